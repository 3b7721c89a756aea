//! What a transaction holds, and how calls reach it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cluster::{Database, Watch};
use crate::errors::{self, Code};
use crate::future::{Future, Output};
use crate::history::{Mutation, Range};
use crate::network;
use crate::options::Options;
use crate::overlay::Overlay;

/// How often a cluster that is away is asked again.
const AWAY: Duration = Duration::from_millis(5);

/// A transaction. The client holds one reference, calls under way the others.
pub(crate) struct Transaction {
    pub(crate) database: Arc<Database>,
    pub(crate) state: Mutex<State>,
}

/// What it holds.
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) read_version: Option<i64>,
    pub(crate) overlay: Overlay,
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) read_conflicts: Vec<Range>,
    pub(crate) write_conflicts: Vec<Range>,
    pub(crate) watches: Vec<Watch>,
    /// Who waits for the versionstamp.
    pub(crate) stamps: Vec<Arc<Future>>,
    pub(crate) committing: bool,
    /// -1 until it has committed, and if it only read.
    pub(crate) committed: i64,
    /// The first thing that was wrong; told by whatever can tell.
    pub(crate) deferred: Option<Code>,
    /// Cancelled, or out of time.
    pub(crate) dead: Option<Code>,
    pub(crate) retries: u64,
    pub(crate) began: Instant,
    // Results that the client waits for.
    pending: Vec<Weak<Future>>,
    // Counts the lives of the transaction: timers of an earlier one say nothing.
    pub(crate) life: u64,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            read_version: None,
            overlay: Overlay::default(),
            mutations: Vec::new(),
            read_conflicts: Vec::new(),
            write_conflicts: Vec::new(),
            watches: Vec::new(),
            stamps: Vec::new(),
            committing: false,
            committed: -1,
            deferred: None,
            dead: None,
            retries: 0,
            began: Instant::now(),
            pending: Vec::new(),
            life: 0,
        }
    }

    /// Why nothing can be done with the transaction.
    pub(crate) fn refusal(&self) -> Option<Code> {
        let committing = self.committing.then_some(errors::USED_DURING_COMMIT);
        self.dead.or(self.deferred).or(committing)
    }

    /// What is to be committed, by FoundationDB's count as we understand it: keys and values of mutations, and the keys
    /// of conflict ranges.
    pub(crate) fn octets(&self) -> i64 {
        let ranges = self.read_conflicts.iter().chain(&self.write_conflicts);
        let ranges: usize = ranges.map(|(begin, end)| begin.len() + end.len()).sum();
        let mutations = self.mutations.iter().map(|mutation| match mutation {
            Mutation::Set(key, value) | Mutation::Atomic(key, _, value) => key.len() + value.len(),
            Mutation::StampedKey(key, _, value) | Mutation::StampedValue(key, value, _) => {
                key.len() + value.len()
            }
            Mutation::Clear(key) => 2 * key.len() + 1,
            Mutation::ClearRange((begin, end)) => begin.len() + end.len(),
        });
        (ranges + mutations.sum::<usize>()) as i64
    }

    /// What nobody will be told any more.
    pub(crate) fn take_pending(&mut self) -> Vec<Arc<Future>> {
        let watches = std::mem::take(&mut self.watches).into_iter().map(|watch| watch.future);
        let stamps = std::mem::take(&mut self.stamps);
        let pending = std::mem::take(&mut self.pending);
        watches.chain(stamps).chain(pending.into_iter().filter_map(|future| future.upgrade())).collect()
    }
}

/// What a call does with the transaction once the cluster answers.
pub(crate) type Answer = Box<dyn FnOnce(&Arc<Transaction>, &mut State) -> Result<Output, Code> + Send>;

impl Transaction {
    /// A new one.
    pub(crate) fn new(database: Arc<Database>) -> Arc<Self> {
        let options = database.options.lock().clone();
        let transaction = Arc::new(Self { database, state: Mutex::new(State::new(options)) });
        transaction.clone().start_timer();
        transaction
    }

    /// Does something with the state, in its turn.
    pub(crate) fn act(self: &Arc<Self>, act: impl FnOnce(&mut State) -> Result<(), Code> + Send + 'static) {
        let transaction = self.clone();
        network::spawn(move || {
            let mut state = transaction.state.lock();
            let refusal = state.refusal().filter(|_| state.dead.is_some() || state.committing);
            let done = refusal.map_or_else(|| act(&mut state), Err);
            if let Err(code) = done {
                state.deferred.get_or_insert(code);
            }
        });
    }

    /// Asks the cluster.
    pub(crate) fn ask(
        self: &Arc<Self>,
        answer: impl FnOnce(&Arc<Self>, &mut State) -> Result<Output, Code> + Send + 'static,
    ) -> Arc<Future> {
        let future = Future::new();
        let (transaction, waiting) = (self.clone(), future.clone());
        network::spawn(move || transaction.try_to_answer(waiting, Box::new(answer)));
        future
    }

    fn try_to_answer(self: Arc<Self>, future: Arc<Future>, answer: Answer) {
        if future.result().is_some() {
            return;
        }
        let away = self.database.control(|control| control.away);
        let mut state = self.state.lock();
        if let Some(code) = state.refusal() {
            drop(state);
            return future.complete(Err(code));
        }
        if away {
            state.pending.push(Arc::downgrade(&future));
            drop(state);
            return network::spawn_after(AWAY, move || self.try_to_answer(future, answer));
        }
        let result = answer(&self, &mut state);
        drop(state);
        future.complete(result);
    }

    /// Has a future fail with the transaction.
    pub(crate) fn tie(state: &mut State, future: &Arc<Future>) {
        state.pending.retain(|future| future.upgrade().is_some_and(|future| future.result().is_none()));
        state.pending.push(Arc::downgrade(future));
    }

    /// The read version, asked for if there is none.
    pub(crate) fn version(&self, state: &mut State) -> Result<i64, Code> {
        let life = self.database.control(|control| control.life);
        let mut history = self.database.cluster.history.lock();
        let version = *state.read_version.get_or_insert_with(|| history.read_version());
        history.check(version, life).map(|()| version)
    }
}
