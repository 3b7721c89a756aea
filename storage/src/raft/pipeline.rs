//! The leader's thread: judges waiting transactions, also against those in flight, and proposes the survivors' writes in
//! one entry; at most two entries are under way. A node that does not lead refuses, and its callers go to the one that
//! does.

use std::sync::Arc;
use std::thread::JoinHandle;

use openraft::Raft;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use tokio::runtime::Handle;

use super::consensus::{Outcome, Proposal, Types};
use super::machine::{Machine, State};
use crate::kv::engine::Version;
use crate::kv::store::batch::{Resolver, Waiters};
use crate::kv::store::inbox::{Inbox, Pending, Readiness, Refused, Step};
use crate::kv::store::keeper::spawn;
use crate::{Error, Result};

/// Entries proposed and not yet applied.
const IN_FLIGHT: usize = 2;

/// What the thread is told.
pub(super) enum Event {
    /// This node leads in the term, and all that earlier leaders committed is applied here.
    Lead(u64),
    /// It does not lead, or no longer.
    Follow,
    /// What became of the entry with that number.
    Concluded(u64, Conclusion),
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// Committed, and applied here.
    Applied,
    /// It changed nothing anywhere, and never will.
    Void,
    /// It may have been committed.
    Unknown,
}

/// The thread's own state.
pub(super) struct Pipeline {
    inbox: Arc<Inbox<Event>>,
    state: Arc<State>,
    raft: Raft<Types, Machine>,
    runtime: Handle,
    leading: Option<Leading>,
    // Leads in this term once nothing of an earlier one is under way.
    next_term: Option<u64>,
    in_flight: Vec<(u64, Waiters)>,
    next_number: u64,
    // An entry failed: the next is made when none is under way.
    has_failed: bool,
}

/// A term that this node leads in.
struct Leading {
    term: u64,
    resolver: Resolver,
}

impl Pipeline {
    /// Starts the thread, which ends when the inbox is closed.
    pub(super) fn start(
        state: Arc<State>,
        raft: Raft<Types, Machine>,
        runtime: Handle,
    ) -> Result<JoinHandle<()>> {
        let pipeline = Self {
            inbox: state.inbox.clone(),
            state,
            raft,
            runtime,
            leading: None,
            next_term: None,
            in_flight: Vec::new(),
            next_number: 0,
            has_failed: false,
        };
        spawn("raft-commit", move || pipeline.run())
    }

    fn run(mut self) {
        loop {
            let readiness = match &self.leading {
                None if self.next_term.is_none() => Readiness::Refusing(Refused::NotLeader),
                Some(_) if self.in_flight.len() < IN_FLIGHT && !self.has_failed => Readiness::Ready,
                _ => Readiness::Busy,
            };
            let is_stalled = || self.state.store().is_stalled();
            match self.inbox.next(&readiness, self.in_flight.is_empty(), is_stalled) {
                Step::Event(event) => self.take(event),
                Step::Resolve(pending) => self.resolve(pending),
                Step::Refuse(pending, reason) => {
                    pending.into_iter().for_each(|pending| pending.tell(Err(reason.clone())));
                }
                Step::End => return,
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Lead(term) => {
                self.leading = None;
                self.next_term = Some(term);
            }
            Event::Follow => {
                self.leading = None;
                self.next_term = None;
            }
            Event::Concluded(number, conclusion) => self.conclude(number, conclusion),
        }
        if self.in_flight.is_empty()
            && let Some(term) = self.next_term.take()
        {
            // Whoever read before this version is too old for a window that begins here.
            let resolver = Resolver::new(Version(self.state.store().visible()));
            self.leading = Some(Leading { term, resolver });
            self.has_failed = false;
        }
    }

    fn conclude(&mut self, number: u64, conclusion: Conclusion) {
        let Some(at) = self.in_flight.iter().position(|(waiting, _)| *waiting == number) else { return };
        let (_, waiters) = self.in_flight.remove(at);
        waiters.tell(&match conclusion {
            Conclusion::Applied => Ok(()),
            Conclusion::Void => Err(Refused::NotLeader),
            Conclusion::Unknown => Err(Error::CommitUnknown.into()),
        });
        self.has_failed |= conclusion != Conclusion::Applied;
        if self.in_flight.is_empty() && self.has_failed {
            self.has_failed = false;
            if let Some(leading) = &mut self.leading {
                leading.resolver.take_back(Version(self.state.store().visible()));
            }
        }
    }

    fn resolve(&mut self, pending: Vec<Pending>) {
        let Some(Leading { term, resolver }) = &mut self.leading else { return };
        let floor = Version(self.state.store().floor());
        let Some((payload, waiters)) = resolver.resolve(pending, floor, &Proposal::head(*term)) else {
            return;
        };
        let number = self.next_number;
        self.next_number += 1;
        self.in_flight.push((number, waiters));
        let (responder, outcome) = ProgressResponder::complete_only();
        let write = self.raft.write(Proposal(payload)).with_leader(*term).responder(responder);
        let report = Report { inbox: self.inbox.clone(), number, conclusion: Conclusion::Unknown };
        if self.runtime.block_on(async { write.await.is_err() }) {
            return;
        }
        self.runtime.spawn(async move {
            report.conclude(match outcome.await {
                Ok(Ok(response)) if response.data == Outcome::Applied => Conclusion::Applied,
                Ok(Ok(_)) | Ok(Err(ClientWriteError::ForwardToLeader(_))) => Conclusion::Void,
                Ok(Err(_)) | Err(_) => Conclusion::Unknown,
            });
        });
    }
}

/// Tells what became of an entry when it is dropped: also where the runtime ends before it is known.
struct Report {
    inbox: Arc<Inbox<Event>>,
    number: u64,
    conclusion: Conclusion,
}

impl Report {
    fn conclude(mut self, conclusion: Conclusion) {
        self.conclusion = conclusion;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.inbox.tell(Event::Concluded(self.number, self.conclusion));
    }
}
