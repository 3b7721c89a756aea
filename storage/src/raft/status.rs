//! How a group stands, for people.

use std::sync::atomic::Ordering;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;

use super::group::Group;
use super::machine;
use super::transport::NodeId;
use crate::Result;
use crate::kv::Version;

/// A group, as one of its nodes sees it.
#[derive(Debug, Clone)]
pub struct Status {
    /// The group's name.
    pub group: String,
    /// Who sees it so.
    pub node: NodeId,
    /// What it does.
    pub role: Role,
    /// The term, which each election raises.
    pub term: u64,
    /// Who leads, as far as the node knows.
    pub leader: Option<NodeId>,
    /// Entries in the node's log, purged ones counted.
    pub log_entries: u64,
    /// Entries that it has applied.
    pub applied_entries: u64,
    /// Entries that its tree's files hold.
    pub persisted_entries: u64,
    /// Entries that others can no longer ask it for: a voter that lags behind them receives the whole state.
    pub purged_entries: u64,
    /// The newest version that it reads.
    pub version: Version,
    /// The members, in order.
    pub members: Vec<MemberStatus>,
    /// Why it does not serve, if it does not.
    pub trouble: Option<String>,
}

/// A member, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub node: NodeId,
    /// Whether it votes; learners do not.
    pub is_voter: bool,
    /// Entries of the leader's log that it has not confirmed. Known to the leader alone, once it heard of it.
    pub lag_entries: Option<u64>,
}

/// What a node does in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is no member yet.
    New,
    /// It keeps a copy and has no vote.
    Learner,
    /// It votes.
    Follower,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
    /// It stepped aside: see [`Status::trouble`].
    Stopped,
}

impl Group {
    /// How the group stands, as this node sees it.
    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched().clone();
        let trouble = self.trouble(&metrics.running_state.err().map(|error| error.to_string()));
        let role = match metrics.state {
            _ if trouble.is_some() => Role::Stopped,
            ServerState::Leader => Role::Leader,
            ServerState::Candidate => Role::Candidate,
            ServerState::Follower => Role::Follower,
            _ if self.is_new() => Role::New,
            _ => Role::Learner,
        };
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let member = |(node, _): (&u64, _)| MemberStatus {
            node: NodeId(*node),
            is_voter: voters.contains(node),
            lag_entries: if role == Role::Leader { self.lag_of(*node) } else { None },
        };
        let progress = *self.state.progress.borrow();
        Status {
            group: self.name().to_owned(),
            node: self.config.node,
            role,
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            log_entries: metrics.last_log_index.map_or(0, |index| index + 1),
            applied_entries: progress.next,
            persisted_entries: self.state.store().persisted().0,
            purged_entries: metrics.purged.map_or(0, |purged| purged.index + 1),
            version: Version(progress.version),
            members: metrics.membership_config.nodes().map(member).collect(),
            trouble,
        }
    }

    fn trouble(&self, failure: &Option<String>) -> Option<String> {
        if self.is_displaced.load(Ordering::Acquire) {
            let text = "another folder was the group's member under this node's id: start with an empty folder under \
                        a new id";
            return Some(text.into());
        }
        failure.clone()
    }

    /// A number that voters share whose states are equal, and the version that it was taken at. Reads everything.
    pub async fn hash(&self) -> Result<(Version, [u8; 32])> {
        let store = self.state.store();
        let hashed = tokio::task::spawn_blocking(move || machine::hash(&store)).await;
        hashed.unwrap_or(Err(crate::Error::Closed))
    }
}
