//! From commit to acknowledgement, on one thread: conflicts are judged, survivors go to the log in one
//! entry, at most two entries are under way, and what the log has made durable is applied and told.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lsm_tree::AbstractTree;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::entry::{Batch, Builder, Write};
use super::store::Store;
use crate::kv::engine::{Commit, Committed, Version, Versionstamp};
use crate::kv::range::KeyRange;
use crate::kv::resolver::Window;
use crate::kv::watches::Watches;
use crate::log::{Entry, Position};
use crate::{Error, Result, limits};

/// Entries handed to the log and not yet applied.
const IN_FLIGHT: usize = 2;
/// Flushed runs of the tree's top level past which commits wait for compaction.
const TOP_LEVEL_RUNS: usize = 20;
/// Sealed memtables past which commits wait for the flush.
const SEALED_MEMTABLES: usize = 3;
/// The only term of a log that nobody shares.
const TERM: u64 = 1;

/// What waits for the pipeline's thread.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    commits: VecDeque<Pending>,
    octets: usize,
    durable: VecDeque<Result<Vec<Position>>>,
    // Why the tree cannot take more, as the upkeep found it.
    trouble: Option<Error>,
    is_closing: bool,
}

/// A transaction handed in.
pub(super) struct Pending {
    pub(super) commit: Commit,
    /// Its values stand in the tree whatever their length.
    pub(super) inline: bool,
    pub(super) octets: usize,
    pub(super) done: oneshot::Sender<Result<Committed>>,
}

/// An entry under way.
struct InFlight {
    index: u64,
    payload: Bytes,
    waiting: Vec<(Version, oneshot::Sender<Result<Committed>>)>,
}

impl Inbox {
    /// Hands a transaction in.
    pub(super) fn push(&self, pending: Pending) -> Result<()> {
        let mut waiting = self.state.lock();
        if waiting.is_closing {
            return Err(Error::Closed);
        }
        if waiting.octets > 0 && waiting.octets + pending.octets > limits::COMMIT_QUEUE_OCTETS {
            return Err(Error::Overloaded("the commit queue is full".into()));
        }
        waiting.octets += pending.octets;
        waiting.commits.push_back(pending);
        self.filled.notify_one();
        Ok(())
    }

    /// Tells that the tree could, or could not, be flushed.
    pub(super) fn set_trouble(&self, trouble: Option<Error>) {
        self.state.lock().trouble = trouble;
        self.filled.notify_one();
    }

    /// Finishes what waits, then ends the thread.
    pub(super) fn close(&self) {
        self.state.lock().is_closing = true;
        self.filled.notify_one();
    }
}

/// The thread's own state.
pub(super) struct Pipeline {
    inbox: Arc<Inbox>,
    store: Arc<Store>,
    watches: Arc<Watches>,
    wake_upkeep: Box<dyn Fn() + Send>,
    window: Window,
    in_flight: VecDeque<InFlight>,
    next_index: u64,
    next_version: u64,
    // An entry failed, and why: those behind it fail too, for the same reason, and only then the next is made.
    failed: Option<Error>,
    // A durable entry could not be applied, or the log is over.
    is_dead: bool,
}

/// What the thread does next.
enum Step {
    Durable(Result<Vec<Position>>),
    Resolve(Vec<Pending>),
    Refuse(Vec<Pending>, Error),
    End,
}

impl Pipeline {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        store: Arc<Store>,
        watches: Arc<Watches>,
        wake_upkeep: Box<dyn Fn() + Send>,
    ) -> Self {
        let applied = store.applied();
        Self {
            inbox,
            watches,
            wake_upkeep,
            window: Window::new(Version(applied.version)),
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            next_index: applied.index + 1,
            next_version: applied.version + 1,
            failed: None,
            is_dead: false,
            store,
        }
    }

    /// Runs until closed.
    pub(super) fn run(mut self) {
        loop {
            match self.next_step() {
                Step::Durable(outcome) => self.finish(outcome),
                Step::Resolve(pending) => self.resolve(pending),
                Step::Refuse(pending, error) => {
                    pending.into_iter().for_each(|pending| tell(pending.done, Err(error.clone())));
                }
                Step::End => return,
            }
        }
    }

    fn next_step(&self) -> Step {
        let tree = &self.store.tree;
        let is_stalled =
            || tree.sealed_memtable_count() > SEALED_MEMTABLES || tree.l0_run_count() > TOP_LEVEL_RUNS;
        let mut waiting = self.inbox.state.lock();
        loop {
            if let Some(outcome) = waiting.durable.pop_front() {
                return Step::Durable(outcome);
            }
            if self.is_dead && !waiting.commits.is_empty() {
                return Step::Refuse(waiting.commits.drain(..).collect(), Error::Closed);
            }
            let can_resolve = self.in_flight.len() < IN_FLIGHT && self.failed.is_none();
            if can_resolve && !waiting.commits.is_empty() {
                let stalled = is_stalled();
                if let Some(error) = waiting.trouble.clone().filter(|_| stalled) {
                    waiting.octets = 0;
                    return Step::Refuse(waiting.commits.drain(..).collect(), error);
                }
                if !stalled {
                    return Step::Resolve(waiting.take_some());
                }
            }
            if waiting.is_closing && waiting.commits.is_empty() && self.in_flight.is_empty() {
                return Step::End;
            }
            // The wait ends by itself where compaction, which does not tell, was waited for.
            self.inbox.filled.wait_for(&mut waiting, Duration::from_millis(100));
        }
    }

    /// Judges the transactions, in order, and hands the survivors to the log.
    fn resolve(&mut self, pending: Vec<Pending>) {
        self.window.forget(Version(self.store.floor()));
        let mut builder = Builder::new(Version(self.next_version));
        let mut waiting = Vec::with_capacity(pending.len());
        for Pending { commit, inline, done, .. } in pending {
            if let Err(error) = self.window.check(&commit) {
                tell(done, Err(error));
                continue;
            }
            let version = Version(self.next_version);
            self.next_version += 1;
            self.window.record(version, &commit);
            builder.push(&commit.mutations, version, inline);
            waiting.push((version, done));
        }
        if waiting.is_empty() {
            return;
        }
        let (index, payload) = (self.next_index, builder.finish());
        self.next_index += 1;
        let inbox = self.inbox.clone();
        let entry = Entry { index, term: TERM, payload: payload.clone() };
        let appended = self.store.log.append(vec![entry], move |outcome| {
            inbox.state.lock().durable.push_back(outcome);
            inbox.filled.notify_one();
        });
        self.in_flight.push_back(InFlight { index, payload, waiting });
        if let Err(error) = appended {
            self.inbox.state.lock().durable.push_back(Err(error));
        }
    }

    /// Applies the entry that has been longest under way, and tells its transactions.
    fn finish(&mut self, outcome: Result<Vec<Position>>) {
        let Some(InFlight { index, payload, waiting }) = self.in_flight.pop_front() else { return };
        let applied = outcome.and_then(|positions| {
            let position = positions.first().ok_or_else(|| Error::Corrupt("log told no place".into()))?;
            let sealed = self.store.applied().sealed;
            let batch = self.store.apply(index, &payload, *position).map_err(|error| {
                // The log has the entry and the tree has half of it: only a restart, which replays it, mends that.
                self.is_dead = true;
                (self.store.on_fatal)(&io::Error::other(error));
                Error::Closed
            })?;
            if self.store.applied().sealed != sealed {
                (self.wake_upkeep)();
            }
            self.notify(&batch);
            Ok(())
        });
        let applied = applied.map_err(|error| match (error, &self.failed) {
            // A failed sync: the entry may be on disk, or not.
            (Error::Closed, _) => Error::CommitUnknown,
            (_, Some(first)) => first.clone(),
            (error, None) => error,
        });
        if let Err(error) = &applied {
            self.is_dead |= matches!(error, Error::CommitUnknown);
            tracing::warn!(%error, index, "log entry failed");
            self.failed = Some(error.clone());
        }
        for (version, done) in waiting {
            let versionstamp = Versionstamp::new(version, 0);
            tell(done, applied.clone().map(|()| Committed { version, versionstamp }));
        }
        if self.failed.is_some() && self.in_flight.is_empty() {
            self.failed = None;
            self.next_index = self.store.log.last_index() + 1;
            let applied = Version(self.store.applied().version);
            self.next_version = applied.0 + 1;
            self.window.take_back(applied);
        }
    }

    fn notify(&self, batch: &Batch) {
        if self.watches.is_empty() {
            return;
        }
        for write in batch.transactions.iter().flatten() {
            match write {
                Write::Set(key, ..) | Write::SetInline(key, _) | Write::Clear(key) => {
                    self.watches.key_changed(key)
                }
                Write::Add(key, _) | Write::Max(key, _) | Write::Min(key, _) => self.watches.key_changed(key),
                Write::ClearRange(KeyRange { begin, end }) => {
                    self.watches.range_changed(&KeyRange::new(begin.clone(), end.clone()));
                }
            }
        }
    }
}

impl Waiting {
    /// The next entry's worth.
    fn take_some(&mut self) -> Vec<Pending> {
        let mut octets = 0;
        let mut taken = Vec::new();
        while let Some(next) = self.commits.front()
            && taken.len() < limits::ENTRY_TRANSACTIONS
            && (taken.is_empty() || octets + next.octets <= limits::ENTRY_OCTETS)
        {
            octets += next.octets;
            taken.extend(self.commits.pop_front());
        }
        self.octets = self.octets.saturating_sub(octets);
        taken
    }
}

/// The caller may have gone; the commit stands all the same.
fn tell(done: oneshot::Sender<Result<Committed>>, outcome: Result<Committed>) {
    let _ = done.send(outcome);
}
