//! Who belongs to a group: made once, then changed by its leader, one change at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{ChangeMembers, Raft};

use super::call::{Answer, Call, Introduced, Manage};
use super::consensus::{Types, Voter};
use super::group::Group;
use super::machine::Machine;
use super::transport::NodeId;
use crate::{Error, Result, limits};

/// How often it is looked whether a change came about.
const STEP: Duration = Duration::from_millis(20);

pub(super) type Changed = Result<ClientWriteResponse<Types>, RaftError<Types, ClientWriteError<Types>>>;

impl Group {
    /// Makes the group, of these nodes, which must have opened it with empty folders; this one is among them. Once in the
    /// group's life, on one of them. `Exists` if any of them belongs to a group already.
    pub async fn bootstrap(&self, members: &[NodeId]) -> Result<()> {
        let mut voters = BTreeMap::new();
        for node in members {
            let Introduced { incarnation, is_new } = self.introduce(*node).await?;
            if !is_new {
                return Err(Error::Exists(format!("group {} on node {node}", self.name()).into()));
            }
            voters.insert(node.0, Voter { incarnation, era: 0 });
        }
        match self.raft.initialize(voters).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Err(Error::Exists(format!("group {}", self.name()).into()))
            }
            Err(error) => Err(Error::Invalid(error.to_string().into())),
        }
    }

    /// Gives the node a copy of the state that it keeps current, without a vote. It must have opened the group with an
    /// empty folder under an id that no folder had before it; `Exists` otherwise.
    pub async fn add_learner(&self, node: NodeId) -> Result<()> {
        self.manage(Manage::AddLearner(node.0)).await
    }

    /// Gives the node a vote, once its copy of the state is current: see [`Group::add_learner`]. `Unavailable` while it
    /// is being copied: it goes on being so, and who asks again goes on from there.
    pub async fn add_voter(&self, node: NodeId) -> Result<()> {
        self.manage(Manage::AddVoter(node.0)).await
    }

    /// The node is no member any more. Its id is not used again.
    pub async fn remove(&self, node: NodeId) -> Result<()> {
        self.manage(Manage::Remove(node.0)).await
    }

    /// Another voter leads.
    pub async fn transfer(&self, to: NodeId) -> Result<()> {
        self.manage(Manage::Transfer(to.0)).await
    }

    async fn manage(&self, manage: Manage) -> Result<()> {
        match self.route.leader(&Call::Manage(manage), limits::MANAGE_PATIENCE).await {
            Ok(Answer::Managed(())) => Ok(()),
            Ok(_) => Err(super::engine::mistaken()),
            Err(Error::CommitUnknown) => {
                Err(Error::Unavailable("the answer is lost; the change may have come about".into()))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn manage_here(&self, manage: Manage) -> Answer {
        if self.current_leader() != Some(self.config.node) {
            return Answer::NotLeader(self.current_leader().map(|leader| leader.0));
        }
        let outcome = match manage {
            Manage::AddLearner(node) => self.admit(node).await,
            Manage::AddVoter(node) => self.promote(node).await,
            Manage::Remove(node) if node == self.config.node.0 => {
                // Another leader does it.
                self.hand_over().await;
                Err(Hindrance::NotLeader(self.current_leader().map(|leader| leader.0)))
            }
            Manage::Remove(node) => self.dismiss(node).await,
            Manage::Transfer(node) => self.give(node).await,
        };
        match outcome {
            Ok(()) => Answer::Managed(()),
            Err(Hindrance::NotLeader(leader)) => Answer::NotLeader(leader),
            Err(Hindrance::Error(error)) => Answer::Failed(error),
        }
    }

    /// Asks a node which folder it has.
    async fn introduce(&self, node: NodeId) -> Result<Introduced> {
        if node == self.config.node {
            return Ok(Introduced { incarnation: self.identity.incarnation, is_new: self.is_new() });
        }
        let asked = self.route.exchange.ask((node, 0), &Call::Introduce(()), limits::CALL_PATIENCE).await;
        match asked {
            Ok(Answer::Introduced(introduced)) => Ok(introduced),
            Ok(Answer::Failed(error)) => Err(error),
            Ok(_) => Err(super::engine::mistaken()),
            Err(error) => Err(Error::Unavailable(error.to_string().into())),
        }
    }

    /// Whether the folder holds nothing of the group yet.
    pub(super) fn is_new(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.last_log_index.is_none() && metrics.membership_config.nodes().next().is_none()
    }

    async fn admit(&self, node: u64) -> Result<(), Hindrance> {
        if self.raft.metrics().borrow_watched().membership_config.get_node(&node).is_some() {
            return Ok(());
        }
        let Introduced { incarnation, is_new } = self.introduce(NodeId(node)).await?;
        self.catch_up().await?;
        let roster = self.roster();
        roster.admits(node, incarnation)?;
        if !is_new && !roster.known.contains_key(&node) {
            let text = format!("node {node} has data of another group of this name");
            return Err(Error::Exists(text.into()).into());
        }
        let voter = Voter { incarnation, era: roster.era() };
        self.change_members(move |raft| async move { raft.add_learner(node, voter, false).await }).await
    }

    /// Waits until this leader has applied what earlier ones committed: who was a member stands there.
    async fn catch_up(&self) -> Result<(), Hindrance> {
        let next = match self.read_index_here().await {
            Answer::ReadIndex(next) => next,
            Answer::NotLeader(leader) => return Err(Hindrance::NotLeader(leader)),
            _ => return Err(super::engine::mistaken().into()),
        };
        match self.reached(|progress| progress.next >= next).await {
            Some(_) => Ok(()),
            None => Err(Error::Unavailable("this leader lags behind its group".into()).into()),
        }
    }

    async fn promote(&self, node: u64) -> Result<(), Hindrance> {
        let members = self.raft.metrics().borrow_watched().membership_config.clone();
        let configs = members.membership().get_joint_config();
        if configs.len() == 1 && configs[0].contains(&node) {
            return Ok(());
        }
        self.admit(node).await?;
        let deadline = Instant::now() + limits::COPY_PATIENCE;
        while self.lag_of(node).is_none_or(|lag| lag > limits::PROMOTED_LAG) {
            if Instant::now() > deadline {
                let text = format!("node {node} is still copying the group {}: ask again", self.name());
                return Err(Error::Unavailable(text.into()).into());
            }
            if self.current_leader() != Some(self.config.node) {
                return Err(Hindrance::NotLeader(self.current_leader().map(|leader| leader.0)));
            }
            tokio::time::sleep(STEP).await;
        }
        self.change_voters(ChangeMembers::AddVoterIds(BTreeSet::from([node]))).await
    }

    async fn change_voters(&self, change: ChangeMembers<u64, Voter>) -> Result<(), Hindrance> {
        self.change_members(move |raft| {
            let change = change.clone();
            async move { raft.change_membership(change, false).await }
        })
        .await
    }

    /// What was begun is finished, though the caller goes: a change of voters has two steps, between which no other may
    /// come. Who asks meanwhile waits in turn; for what an earlier leader began as well.
    pub(super) async fn change_members<C, F>(&self, change: C) -> Result<(), Hindrance>
    where
        C: Fn(Raft<Types, Machine>) -> F + Send + 'static,
        F: Future<Output = Changed> + Send + 'static,
    {
        let deadline = tokio::time::Instant::now() + limits::COPY_PATIENCE;
        let turn = tokio::time::timeout_at(deadline, self.changing.clone().lock_owned()).await;
        let turn = turn.map_err(|_| {
            let text =
                format!("another change of the members of the group {} is under way: ask again", self.name());
            Error::Unavailable(text.into())
        })?;
        let raft = self.raft.clone();
        let changed = tokio::spawn(async move {
            let _turn = turn;
            loop {
                match change(raft.clone()).await {
                    Err(error) if is_under_way(&error) && tokio::time::Instant::now() < deadline => {
                        tokio::time::sleep(STEP).await;
                    }
                    changed => return changed,
                }
            }
        });
        match changed.await {
            Ok(changed) => Ok(changed.map(drop)?),
            Err(error) => Err(Error::Unavailable(error.to_string().into()).into()),
        }
    }

    /// Entries of the leader's log that the node has not confirmed.
    pub(super) fn lag_of(&self, node: u64) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index?;
        if node == self.config.node.0 {
            return Some(0);
        }
        let matching = metrics.replication.as_ref()?.get(&node)?.as_ref()?;
        Some(last.saturating_sub(matching.index))
    }

    async fn dismiss(&self, node: u64) -> Result<(), Hindrance> {
        let members = self.raft.metrics().borrow_watched().membership_config.clone();
        if members.get_node(&node).is_none() {
            return Ok(());
        }
        let is_voter = members.voter_ids().any(|voter| voter == node);
        let nodes = BTreeSet::from([node]);
        let change =
            if is_voter { ChangeMembers::RemoveVoters(nodes) } else { ChangeMembers::RemoveNodes(nodes) };
        self.change_voters(change).await
    }

    async fn give(&self, to: u64) -> Result<(), Hindrance> {
        if to == self.config.node.0 {
            return Ok(());
        }
        if !self.raft.metrics().borrow_watched().membership_config.voter_ids().any(|voter| voter == to) {
            return Err(Error::NotFound(format!("voter {to}").into()).into());
        }
        let deadline = Instant::now() + self.config.timing.election_max * 4;
        let mut attempt = Instant::now();
        while self.current_leader() != Some(NodeId(to)) {
            if Instant::now() > deadline {
                let text = format!("node {to} did not take over");
                return Err(Error::Unavailable(text.into()).into());
            }
            if Instant::now() >= attempt && self.current_leader() == Some(self.config.node) {
                let handed = self.raft.trigger().transfer_leader(to).await;
                handed.map_err(|error| Error::Unavailable(error.to_string().into()))?;
                attempt = Instant::now() + self.config.timing.election_max;
            }
            tokio::time::sleep(STEP).await;
        }
        Ok(())
    }

    /// If this node leads, the voter that has most of the log does, if there is another.
    pub(super) async fn hand_over(&self) {
        if self.current_leader() != Some(self.config.node) {
            return;
        }
        let voters: Vec<u64> = self.raft.metrics().borrow_watched().membership_config.voter_ids().collect();
        let others = voters.into_iter().filter(|voter| *voter != self.config.node.0);
        let next = others.filter_map(|voter| Some((self.lag_of(voter)?, voter))).min();
        if let Some((_, next)) = next
            && let Err(Hindrance::Error(error)) = self.give(next).await
        {
            tracing::info!(%error, group = self.name(), "the leadership was not handed over");
        }
    }
}

fn is_under_way(error: &RaftError<Types, ClientWriteError<Types>>) -> bool {
    matches!(
        error,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)))
    )
}

/// Why a change did not come about.
pub(super) enum Hindrance {
    NotLeader(Option<u64>),
    Error(Error),
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<RaftError<Types, ClientWriteError<Types>>> for Hindrance {
    fn from(error: RaftError<Types, ClientWriteError<Types>>) -> Self {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                Self::NotLeader(forward.leader_id)
            }
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Error::CommitUnknown.into(),
            RaftError::APIError(error) => Error::Unavailable(error.to_string().into()).into(),
            RaftError::Fatal(_) => Self::NotLeader(None),
        }
    }
}
