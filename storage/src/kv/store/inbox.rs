//! What waits for the thread that resolves: transactions, bounded in octets, and what became of the entries before.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::kv::engine::{Commit, Committed, Mutation};
use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

/// Transactions that wait, and events of the thread's own kind, which go first.
pub(crate) struct Inbox<E> {
    state: Mutex<Waiting<E>>,
    filled: Condvar,
}

struct Waiting<E> {
    commits: VecDeque<Pending>,
    octets: usize,
    events: VecDeque<E>,
    // Why the tree cannot take more, as the upkeep found it.
    trouble: Option<Error>,
    is_closing: bool,
}

/// A transaction handed in.
pub(crate) struct Pending {
    pub(crate) commit: Commit,
    /// Its values stand in the tree whatever their length.
    pub(crate) inline: bool,
    pub(crate) octets: usize,
    pub(crate) done: oneshot::Sender<Result<Committed, Refused>>,
}

/// Why a transaction was not committed.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// As told to the caller.
    Error(Error),
    /// This node does not resolve, or no longer; nothing was changed, and another node does.
    NotLeader,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What the thread does next.
pub(crate) enum Step<E> {
    Event(E),
    Resolve(Vec<Pending>),
    Refuse(Vec<Pending>, Refused),
    End,
}

/// What the thread can do now.
pub(crate) enum Readiness {
    /// An entry may be made.
    Ready,
    /// Entries are under way.
    Busy,
    /// Whoever waits is told this.
    Refusing(Refused),
}

impl<E> Default for Inbox<E> {
    fn default() -> Self {
        let (commits, events) = (VecDeque::new(), VecDeque::new());
        let waiting = Waiting { commits, octets: 0, events, trouble: None, is_closing: false };
        Self { state: Mutex::new(waiting), filled: Condvar::new() }
    }
}

impl Pending {
    /// As a caller hands it in, and where its outcome is told.
    pub(crate) fn new(commit: Commit) -> (Self, oneshot::Receiver<Result<Committed, Refused>>) {
        let (done, outcome) = oneshot::channel();
        let octets = octets_of(&commit);
        (Self { commit, inline: false, octets, done }, outcome)
    }

    /// The caller may have gone; what is told stands all the same.
    pub(crate) fn tell(self, outcome: Result<Committed, Refused>) {
        let _ = self.done.send(outcome);
    }
}

impl<E> Inbox<E> {
    /// Hands a transaction in.
    pub(crate) fn push(&self, pending: Pending) -> Result<()> {
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

    /// Tells the thread.
    pub(crate) fn tell(&self, event: E) {
        self.state.lock().events.push_back(event);
        self.filled.notify_one();
    }

    /// Tells that the tree could, or could not, be flushed.
    pub(crate) fn set_trouble(&self, trouble: Option<Error>) {
        self.state.lock().trouble = trouble;
        self.filled.notify_one();
    }

    /// Why the tree could not be flushed.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.state.lock().trouble.clone()
    }

    /// Finishes what waits, then ends the thread.
    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.filled.notify_one();
    }

    /// Waits for the next step. `is_idle`: nothing is under way, so that the thread may end.
    pub(crate) fn next(
        &self,
        readiness: &Readiness,
        is_idle: bool,
        is_stalled: impl Fn() -> bool,
    ) -> Step<E> {
        let mut waiting = self.state.lock();
        loop {
            if let Some(event) = waiting.events.pop_front() {
                return Step::Event(event);
            }
            if !waiting.commits.is_empty() {
                match readiness {
                    Readiness::Refusing(reason) => return waiting.refuse_all(reason.clone()),
                    Readiness::Ready => {
                        let stalled = is_stalled();
                        if let Some(error) = waiting.trouble.clone().filter(|_| stalled) {
                            return waiting.refuse_all(error.into());
                        }
                        if !stalled {
                            return Step::Resolve(waiting.take_some());
                        }
                    }
                    Readiness::Busy => {}
                }
            }
            if waiting.is_closing && waiting.commits.is_empty() && is_idle {
                return Step::End;
            }
            // The wait ends by itself where compaction, which does not tell, was waited for.
            self.filled.wait_for(&mut waiting, Duration::from_millis(100));
        }
    }
}

impl<E> Waiting<E> {
    fn refuse_all(&mut self, reason: Refused) -> Step<E> {
        self.octets = 0;
        Step::Refuse(self.commits.drain(..).collect(), reason)
    }

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

/// What a transaction takes of the queue's budget.
pub(crate) fn octets_of(commit: &Commit) -> usize {
    let of = |mutation: &Mutation| match mutation {
        Mutation::Set(key, value) => key.len() + value.len(),
        Mutation::SetVersionstampedKey { key, value, .. } => key.len() + value.len(),
        Mutation::SetVersionstampedValue { key, value, .. } => key.len() + value.len(),
        Mutation::ClearRange(range) => range.octets(),
        Mutation::Clear(key) | Mutation::Add(key, _) | Mutation::Max(key, _) | Mutation::Min(key, _) => {
            key.len() + 8
        }
    };
    let ranges = commit.read_conflicts.iter().chain(&commit.write_conflicts).map(KeyRange::octets);
    commit.mutations.iter().map(of).sum::<usize>() + ranges.sum::<usize>() + 32 * (1 + commit.mutations.len())
}
