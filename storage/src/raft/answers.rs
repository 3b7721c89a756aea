//! The server's side of calls: which group is meant, whether it is the folder that is meant, and what it answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::call::{Answer, Call, Envelope, Get, GetRange, Introduced};
use super::group::Group;
use super::roster::Roster;
use super::transport::{Answers, Lane, NodeId};
use crate::kv::budget::check_key;
use crate::kv::engine::{Commit, Engine};
use crate::kv::store::inbox::{Pending, Refused};
use crate::{Error, Result, limits};

/// The groups of this node, by name: what the server's side of the transport hands calls to.
pub struct Groups {
    groups: RwLock<HashMap<String, Arc<Group>>>,
    calls: Semaphore,
    // Of long calls, and of what ranges give.
    octets: Semaphore,
    watches: Semaphore,
}

/// A call of up to so many octets counts by its number alone.
const SHORT_OCTETS: usize = 4096;

impl Default for Groups {
    fn default() -> Self {
        Self {
            groups: RwLock::default(),
            calls: Semaphore::new(limits::CALLS_ANSWERED),
            octets: Semaphore::new(limits::CALLS_ANSWERED_OCTETS),
            watches: Semaphore::new(limits::WATCHES_ANSWERED),
        }
    }
}

impl Groups {
    /// From now on calls reach the group.
    pub fn add(&self, group: Arc<Group>) {
        self.groups.write().insert(group.name().to_owned(), group);
    }

    /// From now on they do not.
    pub fn remove(&self, name: &str) -> Option<Arc<Group>> {
        self.groups.write().remove(name)
    }

    async fn answer_envelope(&self, from: NodeId, envelope: Envelope) -> Answer {
        let group = self.groups.read().get(&envelope.group).cloned();
        let Some(group) = group else {
            return Answer::Failed(Error::Unavailable(format!("no group {} here", envelope.group).into()));
        };
        let permits = match &envelope.call {
            Call::Watch(_) => &self.watches,
            Call::ReadVersion(()) | Call::Get(_) | Call::Range(_) | Call::Commit(_) => &self.calls,
            _ => return group.answer_member(from, envelope).await,
        };
        let given = if matches!(envelope.call, Call::Range(_)) { limits::RANGE_CHUNK_OCTETS } else { 0 };
        match (permits.try_acquire(), self.room(given)) {
            (Ok(_permit), Ok(_room)) => group.answer_here(envelope.call).await,
            _ => Answer::Failed(overloaded()),
        }
    }

    fn room(&self, octets: usize) -> Result<SemaphorePermit<'_>> {
        let octets = u32::try_from(octets).map_err(|_| overloaded())?;
        self.octets.try_acquire_many(octets).map_err(|_| overloaded())
    }

    async fn answer_octets(&self, from: NodeId, lane: Lane, request: &Bytes) -> Result<Answer> {
        // What other lanes carry is bounded by how their senders use them: one call after the other.
        let is_long = lane == Lane::Transactions && request.len() > SHORT_OCTETS;
        let _room = self.room(if is_long { request.len() } else { 0 })?;
        let invalid = |error: Error| Error::Invalid(format!("call of node {from}: {error}").into());
        let envelope = Envelope::decode(request).map_err(invalid)?;
        if envelope.call.lane() != lane {
            return Err(Error::Invalid(format!("call of node {from} on another lane").into()));
        }
        Ok(self.answer_envelope(from, envelope).await)
    }
}

fn overloaded() -> Error {
    Error::Overloaded("calls of other nodes".into())
}

#[async_trait]
impl Answers for Groups {
    async fn answer(&self, from: NodeId, lane: Lane, request: Bytes) -> Bytes {
        self.answer_octets(from, lane, &request).await.unwrap_or_else(Answer::Failed).encode()
    }

    async fn misses(&self, node: NodeId) {
        let groups: Vec<_> = self.groups.read().values().cloned().collect();
        futures::future::join_all(groups.iter().map(|group| group.misses(node))).await;
    }
}

impl Group {
    /// Answers what a member asks; consensus only between the folders that are meant.
    async fn answer_member(&self, from: NodeId, envelope: Envelope) -> Answer {
        let is_consensus = matches!(
            envelope.call,
            Call::Append(_) | Call::Vote(_) | Call::PreVote(_) | Call::Lead(_) | Call::Part(_)
        );
        if is_consensus && !self.is_meant(from, &envelope) {
            return Answer::Stranger(());
        }
        self.answer_here(envelope.call).await
    }

    fn is_meant(&self, from: NodeId, envelope: &Envelope) -> bool {
        let roster = self.roster();
        if roster.admits(from.0, envelope.from).is_err() {
            tracing::warn!(node = %from, "a node calls with another folder than the group's member has");
            return false;
        }
        if envelope.to == self.identity.incarnation {
            return true;
        }
        // Only a member can tell, and who is new here knows none.
        let is_told = roster.known.is_empty() || roster.known.contains_key(&from.0);
        if is_told && !self.is_displaced.swap(true, Ordering::AcqRel) {
            tracing::error!(
                group = self.name(),
                "another folder was the group's member under this node's id; this one may not take its place: \
                 start with an empty folder under a new id"
            );
        }
        false
    }

    /// Who belongs to the group, as far as this node knows. What a lone survivor decided holds from its first start.
    pub(super) fn roster(&self) -> Roster {
        let mut roster = self.state.roster();
        roster.renew(self.raft.metrics().borrow_watched().membership_config.membership());
        roster
    }

    /// Answers a call that is meant for this group on this node.
    pub(super) async fn answer_here(&self, call: Call) -> Answer {
        match call {
            Call::Append(request) => match self.raft.append_entries(request).await {
                Ok(appended) => Answer::Appended(appended),
                Err(error) => unavailable(error),
            },
            Call::Vote(request) => match self.raft.vote(request).await {
                Ok(balloted) => Answer::Balloted(balloted),
                Err(error) => unavailable(error),
            },
            Call::PreVote(request) => match self.raft.pre_vote(request).await {
                Ok(balloted) => Answer::Balloted(balloted),
                Err(error) => unavailable(error),
            },
            Call::Lead(succession) => match self.raft.handle_transfer_leader(succession.request()).await {
                Ok(accepted) => Answer::Led(accepted.is_ok()),
                Err(error) => unavailable(error),
            },
            Call::Part(part) => self.receive(part).await,
            Call::Introduce(()) => Answer::Introduced(Introduced {
                incarnation: self.identity.incarnation,
                is_new: self.is_new(),
            }),
            Call::ReadIndex(()) => self.read_index_here().await,
            Call::Manage(manage) => self.manage_here(manage).await,
            Call::Commit(commit) => self.commit_here(commit).await,
            Call::ReadVersion(()) | Call::Get(_) | Call::Range(_) | Call::Watch(_)
                if !self.is_serving() || self.is_closed.load(Ordering::Acquire) =>
            {
                Answer::Failed(Error::Unavailable("this voter does not serve".into()))
            }
            Call::ReadVersion(()) => answer(here(self.read_version_here().await), Answer::Version),
            Call::Get(Get { key, .. }) | Call::Watch(Get { key, .. }) if check_key(&key).is_err() => {
                Answer::Failed(Error::Invalid("a key that there cannot be".into()))
            }
            Call::Get(Get { at, key }) => answer(here(self.get_here(at, &key).await), Answer::Value),
            Call::Range(GetRange { at, range, limit }) => {
                let limit = limit.bounded();
                answer(here(self.range_here(at, &range, limit).await), Answer::Chunk)
            }
            Call::Watch(Get { at, key }) => {
                match tokio::time::timeout(limits::WATCH_HELD, self.watch(key, at)).await {
                    Ok(outcome) => answer(outcome, |()| Answer::Watched(true)),
                    Err(_) => Answer::Watched(false),
                }
            }
        }
    }

    /// One more than the index that a read must see, if this node leads: a majority confirms that it still does.
    pub(super) async fn read_index_here(&self) -> Answer {
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Answer::ReadIndex(linearizer.read_log_id().index() + 1),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Answer::NotLeader(forward.leader_id)
            }
            Err(_) => Answer::NotLeader(None),
        }
    }

    async fn commit_here(&self, commit: Commit) -> Answer {
        if self.raft.server_metrics().borrow_watched().current_leader != Some(self.config.node.0) {
            return Answer::NotLeader(self.current_leader().map(|leader| leader.0));
        }
        answer(self.resolve(commit).await, |committed| {
            committed.map_or(Answer::NotLeader(None), Answer::Committed)
        })
    }

    /// Hands a transaction to the pipeline. `None` if this node does not lead.
    async fn resolve(&self, commit: Commit) -> Result<Option<crate::kv::Committed>> {
        commit.check()?;
        self.state.store().check_clears(&commit)?;
        let (pending, outcome) = Pending::new(commit);
        self.state.inbox.push(pending)?;
        match tokio::time::timeout(limits::COMMIT_PATIENCE, outcome).await {
            Ok(Ok(Ok(committed))) => Ok(Some(committed)),
            Ok(Ok(Err(Refused::NotLeader))) => Ok(None),
            Ok(Ok(Err(Refused::Error(error)))) => Err(error),
            Ok(Err(_)) | Err(_) => Err(Error::CommitUnknown),
        }
    }
}

/// Where this voter lags, the caller asks another.
fn here<T>(outcome: Result<Option<T>>) -> Result<T> {
    outcome?.ok_or_else(|| Error::Unavailable("this voter lags behind its group".into()))
}

fn answer<T>(outcome: Result<T>, good: impl FnOnce(T) -> Answer) -> Answer {
    outcome.map_or_else(Answer::Failed, good)
}

fn unavailable(error: impl std::fmt::Display) -> Answer {
    Answer::Failed(Error::Unavailable(error.to_string().into()))
}
