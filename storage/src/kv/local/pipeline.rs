//! From commit to acknowledgement, on one thread: conflicts are judged, survivors go to the log in one
//! entry, at most two entries are under way, and what the log has made durable is applied and told.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::kv::engine::Version;
use crate::kv::store::batch::{Resolver, Waiters};
use crate::kv::store::inbox::{Inbox, Pending, Readiness, Refused, Step};
use crate::kv::store::tree::{Applying, Store};
use crate::kv::watches::Watches;
use crate::log::{Entry, Position};
use crate::{Error, Result};

/// Entries handed to the log and not yet applied.
const IN_FLIGHT: usize = 2;
/// The only term of a log that nobody shares.
const TERM: u64 = 1;

/// The log's answer to the entry that has been longest under way.
pub(super) type Durable = Result<Vec<Position>>;

/// An entry under way.
struct InFlight {
    index: u64,
    payload: Bytes,
    waiting: Waiters,
}

/// The thread's own state.
pub(super) struct Pipeline {
    inbox: Arc<Inbox<Durable>>,
    store: Arc<Store>,
    watches: Arc<Watches>,
    wake_upkeep: Box<dyn Fn() + Send>,
    resolver: Resolver,
    in_flight: VecDeque<InFlight>,
    next_index: u64,
    // An entry failed, and why: those behind it fail too, for the same reason, and only then the next is made.
    failed: Option<Error>,
    // A durable entry could not be applied, or the log is over.
    is_dead: bool,
}

impl Pipeline {
    pub(super) fn new(
        inbox: Arc<Inbox<Durable>>,
        store: Arc<Store>,
        watches: Arc<Watches>,
        wake_upkeep: Box<dyn Fn() + Send>,
    ) -> Self {
        let applied = store.applied();
        Self {
            inbox,
            watches,
            wake_upkeep,
            resolver: Resolver::new(Version(applied.version)),
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            next_index: applied.index + 1,
            failed: None,
            is_dead: false,
            store,
        }
    }

    /// Runs until closed.
    pub(super) fn run(mut self) {
        loop {
            let readiness = match () {
                () if self.is_dead => Readiness::Refusing(Error::Closed.into()),
                () if self.in_flight.len() < IN_FLIGHT && self.failed.is_none() => Readiness::Ready,
                () => Readiness::Busy,
            };
            match self.inbox.next(&readiness, self.in_flight.is_empty(), || self.store.is_stalled()) {
                Step::Event(outcome) => self.finish(outcome),
                Step::Resolve(pending) => self.resolve(pending),
                Step::Refuse(pending, reason) => {
                    pending.into_iter().for_each(|pending| pending.tell(Err(reason.clone())));
                }
                Step::End => return,
            }
        }
    }

    /// Judges the transactions, in order, and hands the survivors to the log.
    fn resolve(&mut self, pending: Vec<Pending>) {
        let floor = Version(self.store.floor());
        let Some((payload, waiting)) = self.resolver.resolve(pending, floor, &[]) else { return };
        let index = self.next_index;
        self.next_index += 1;
        let inbox = self.inbox.clone();
        let entry = Entry { index, term: TERM, payload: payload.clone() };
        let appended = self.store.log.append(vec![entry], move |outcome| inbox.tell(outcome));
        self.in_flight.push_back(InFlight { index, payload, waiting });
        if let Err(error) = appended {
            self.inbox.tell(Err(error));
        }
    }

    /// Applies the entry that has been longest under way, and tells its transactions.
    fn finish(&mut self, outcome: Durable) {
        let Some(InFlight { index, payload, waiting }) = self.in_flight.pop_front() else { return };
        let outcome = outcome.and_then(|positions| self.apply(index, &payload, &positions));
        let applied = outcome.map_err(|error| match (error, &self.failed) {
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
        waiting.tell(&applied.map_err(Refused::Error));
        if self.failed.is_some() && self.in_flight.is_empty() {
            self.failed = None;
            self.next_index = self.store.log.last_index() + 1;
            self.resolver.take_back(Version(self.store.applied().version));
        }
    }

    fn apply(&mut self, index: u64, batch: &Bytes, positions: &[Position]) -> Result<()> {
        let position = *positions.first().ok_or_else(|| Error::Corrupt("log told no place".into()))?;
        let sealed = self.store.applied().sealed;
        let entry = Applying { index, term: TERM, batch, position, beside: None };
        let batch = self.store.apply(entry).map_err(|error| {
            // The log has the entry and the tree has half of it: only a restart, which replays it, mends that.
            self.is_dead = true;
            (self.store.on_fatal)(&io::Error::other(error));
            Error::Closed
        })?;
        if self.store.applied().sealed != sealed {
            (self.wake_upkeep)();
        }
        self.watches.batch_applied(&batch);
        Ok(())
    }
}
