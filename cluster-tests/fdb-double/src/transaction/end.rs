//! How transactions end: committed, started over, cancelled, out of time.

use std::sync::Arc;
use std::time::Duration;

use super::state::{State, Transaction};
use crate::errors::{self, Code};
use crate::future::{Future, Output};
use crate::history::{self, Commit};
use crate::network;

/// How long the first retry waits at most.
const FIRST_DELAY: Duration = Duration::from_millis(10);

impl Transaction {
    /// `fdb_transaction_commit`.
    pub(crate) fn commit(self: &Arc<Self>) -> Arc<Future> {
        let future = Future::new();
        let waiting = future.clone();
        let asked = self.ask(move |transaction, state| {
            if state.octets() > state.options.size_limit {
                return Err(errors::TRANSACTION_TOO_LARGE);
            }
            state.committing = true;
            if state.mutations.is_empty() && state.write_conflicts.is_empty() {
                transaction.read_only(state, waiting);
                return Ok(Output::Void);
            }
            let version = transaction.version_for_commit(state);
            let commit = Commit {
                read_version: version,
                read_conflicts: std::mem::take(&mut state.read_conflicts),
                write_conflicts: std::mem::take(&mut state.write_conflicts),
                mutations: std::mem::take(&mut state.mutations),
            };
            Self::tie(state, &waiting);
            let life = state.life;
            let (database, committing) = (transaction.database.clone(), transaction.clone());
            transaction.database.cluster.commit(database, commit, move |committed| {
                committing.committed(life, committed, &waiting);
            });
            Ok(Output::Void)
        });
        let (failed, transaction, waiting) = (asked.clone(), self.clone(), future.clone());
        asked.call(Box::new(move || {
            match failed.result() {
                // Another commit is under way, and has the say.
                Some(Err(code @ errors::USED_DURING_COMMIT)) => waiting.complete(Err(*code)),
                Some(Err(code)) => transaction.refused(*code, &waiting),
                _ => {}
            }
        }));
        future
    }

    fn version_for_commit(&self, state: &mut State) -> i64 {
        let mut history = self.database.cluster.history.lock();
        *state.read_version.get_or_insert_with(|| history.read_version())
    }

    /// A transaction that wrote nothing always commits, and begins to watch.
    fn read_only(self: &Arc<Self>, state: &mut State, future: Arc<Future>) {
        let (watches, stamps) = (std::mem::take(&mut state.watches), std::mem::take(&mut state.stamps));
        let cluster = self.database.cluster.clone();
        network::spawn(move || {
            stamps.into_iter().for_each(|stamp| stamp.complete(Err(errors::NO_COMMIT_VERSION)));
            cluster.watch(watches);
            future.complete(Ok(Output::Void));
        });
    }

    fn committed(&self, life: u64, committed: crate::cluster::Committed, future: &Arc<Future>) {
        let (version, order) = match committed {
            Ok(committed) => committed,
            Err(code) => return self.refused(code, future),
        };
        let mut state = self.state.lock();
        if state.life != life || state.dead.is_some() {
            drop(state);
            return future.complete(Err(errors::TRANSACTION_CANCELLED));
        }
        state.committed = version;
        let (watches, stamps) = (std::mem::take(&mut state.watches), std::mem::take(&mut state.stamps));
        drop(state);
        let stamp = history::stamp(version, order);
        stamps.into_iter().for_each(|future| future.complete(Ok(Output::Key(stamp.to_vec()))));
        self.database.cluster.watch(watches);
        future.complete(Ok(Output::Void));
    }

    fn refused(&self, code: Code, future: &Arc<Future>) {
        let pending = self.state.lock().take_pending();
        future.complete(Err(code));
        pending.into_iter().for_each(|future| future.complete(Err(code)));
    }

    /// `fdb_transaction_get_committed_version`.
    pub(crate) fn committed_version(&self) -> i64 {
        self.state.lock().committed
    }

    /// `fdb_transaction_get_versionstamp`: known once it has committed.
    pub(crate) fn versionstamp(self: &Arc<Self>) -> Arc<Future> {
        let future = Future::new();
        let (transaction, waiting) = (self.clone(), future.clone());
        network::spawn(move || {
            let mut state = transaction.state.lock();
            match state.refusal() {
                None => state.stamps.push(waiting),
                Some(code) => {
                    drop(state);
                    waiting.complete(Err(code));
                }
            }
        });
        future
    }

    /// `fdb_transaction_on_error`: waits a little and starts over, or tells that it is no use.
    pub(crate) fn on_error(self: &Arc<Self>, code: Code) -> Arc<Future> {
        let future = Future::new();
        let (transaction, waiting) = (self.clone(), future.clone());
        network::spawn(move || {
            let mut state = transaction.state.lock();
            let exhausted = state.options.retry_limit.is_some_and(|limit| state.retries >= limit);
            let verdict = state.dead.or((exhausted || !errors::predicate(50_000, code)).then_some(code));
            if let Some(code) = verdict {
                drop(state);
                return waiting.complete(Err(code));
            }
            let doubled = FIRST_DELAY * 2u32.pow(state.retries.min(16) as u32);
            let delay = doubled.min(state.options.longest_delay).mul_f64(rand::random());
            state.retries += 1;
            drop(state);
            network::spawn_after(delay, move || {
                transaction.start_over(true);
                waiting.complete(Ok(Output::Void));
            });
        });
        future
    }

    /// `fdb_transaction_reset`, and `fdb_transaction_destroy`, after which nobody can ask any more.
    pub(crate) fn reset(self: &Arc<Self>) {
        let transaction = self.clone();
        network::spawn(move || transaction.start_over(false));
    }

    fn start_over(self: &Arc<Self>, after_error: bool) {
        let pending = {
            let mut state = self.state.lock();
            let default = self.database.options.lock().clone();
            let options = if after_error { state.options.kept(&default) } else { default };
            let mut fresh = State::new(options);
            fresh.life = state.life + 1;
            if after_error {
                (fresh.retries, fresh.began) = (state.retries, state.began);
            }
            std::mem::replace(&mut *state, fresh).take_pending()
        };
        let cancelled = |future: Arc<Future>| future.complete(Err(errors::TRANSACTION_CANCELLED));
        pending.into_iter().for_each(cancelled);
        self.clone().start_timer();
    }

    /// `fdb_transaction_cancel`.
    pub(crate) fn cancel(self: &Arc<Self>) {
        let transaction = self.clone();
        network::spawn(move || transaction.die(errors::TRANSACTION_CANCELLED));
    }

    fn die(&self, code: Code) {
        let pending = {
            let mut state = self.state.lock();
            state.dead = Some(code);
            state.take_pending()
        };
        pending.into_iter().for_each(|future| future.complete(Err(code)));
    }

    /// `fdb_transaction_set_option`.
    pub(crate) fn set_option(self: &Arc<Self>, option: u32, value: &[u8]) -> Result<(), Code> {
        // What is wrong with it is told at once.
        self.state.lock().options.clone().set(option, value)?;
        let value = value.to_vec();
        self.act(move |state| state.options.set(option, &value));
        if option == 500 {
            let transaction = self.clone();
            network::spawn(move || transaction.start_timer());
        }
        Ok(())
    }

    /// Ends the transaction once its time is over.
    pub(crate) fn start_timer(self: Arc<Self>) {
        let (life, timeout, left) = {
            let state = self.state.lock();
            let Some(timeout) = state.options.timeout else { return };
            (state.life, timeout, timeout.saturating_sub(state.began.elapsed()))
        };
        network::spawn_after(left, move || {
            let state = self.state.lock();
            let counts = state.life == life && state.options.timeout == Some(timeout);
            drop(state);
            if counts {
                self.die(errors::TRANSACTION_TIMED_OUT);
            }
        });
    }
}
