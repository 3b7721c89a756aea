//! Going on after a majority of voters is lost for good. Nobody can tell whether the lost ones had acknowledged something
//! that this one never heard of: that is lost, and an operator says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, StorageHelper};

use super::consensus::{LogEntry, Members, Vote, Voter, log_id};
use super::ending::Ending;
use super::group::{GroupConfig, Parts};
use super::log_store::LogStore;
use super::machine::{Machine, State};
use super::roster::era_of;
use super::transport::NodeId;
use crate::kv::Version;
use crate::{Error, Result, log};

/// What a voter has after the others are lost. Whatever the lost majority acknowledged behind it is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// Entries in its log. Those that were never acknowledged to anybody are kept too.
    pub log_entries: u64,
    /// The term of the last one.
    pub last_term: u64,
    /// The version that its tree's files hold; what the log holds beyond is applied at the next start.
    pub version: Version,
    /// Who voted.
    pub voters: Vec<NodeId>,
}

/// Reads what is there. The group must be closed on this node.
pub async fn look(config: &GroupConfig) -> Result<Remains> {
    let mut closed = Closed::open(config).await?;
    let remains = closed.remains().await;
    closed.ending.end().await;
    remains
}

/// Makes this node the only voter of the group, provided that `accepted` is what [`look`] told: whoever calls this has
/// seen what may be lost. The other voters must never start again with their folders: they would be a group of
/// their own. Neither they nor learners are members any more, nor taken in again: whoever comes back has an empty
/// folder, and a new id. The group must be closed on this node.
pub async fn keep_alone(config: &GroupConfig, accepted: &Remains) -> Result<()> {
    let mut closed = Closed::open(config).await?;
    let kept = closed.keep_alone(config.node, accepted).await;
    closed.ending.end().await;
    kept
}

/// A group's folder while no group runs on it.
struct Closed {
    log: LogStore,
    machine: Machine,
    state: Arc<State>,
    incarnation: u64,
    ending: Ending,
}

impl Closed {
    async fn open(config: &GroupConfig) -> Result<Self> {
        let config = config.clone();
        let opened = tokio::task::spawn_blocking(move || {
            if !config.path.join("identity").exists() {
                return Err(Error::NotFound(format!("a group in {}", config.path.display()).into()));
            }
            Parts::open(&config, log::Config::new(config.path.join("log")))
        });
        let Parts { identity, log, state, ending } = opened.await.unwrap_or(Err(Error::Closed))?;
        let machine = Machine::new(state.clone(), log.clone());
        Ok(Self { log, machine, state, incarnation: identity.incarnation, ending })
    }

    async fn remains(&mut self) -> Result<Remains> {
        let last = self.log.get_log_state().await?.last_log_id;
        let members = self.members().await?;
        Ok(Remains {
            log_entries: last.map_or(0, |last| last.index + 1),
            last_term: last.map_or(0, |last| last.leader_id.term),
            version: Version(self.state.store().visible()),
            voters: members.voter_ids().map(NodeId).collect(),
        })
    }

    async fn keep_alone(&mut self, node: NodeId, accepted: &Remains) -> Result<()> {
        if self.remains().await? != *accepted {
            return Err(Error::Invalid("what remains has changed since it was looked at".into()));
        }
        self.appoint(node).await
    }

    async fn members(&mut self) -> Result<Members> {
        let mut helper = StorageHelper::new(&mut self.log, &mut self.machine);
        let members = helper.get_membership().await;
        let members = members.map_err(|error| Error::Corrupt(error.to_string().into()))?;
        Ok(members.effective().membership().clone())
    }

    /// Appends the membership that a lone leader of the next term would have.
    async fn appoint(&mut self, NodeId(node): NodeId) -> Result<()> {
        let last = self.log.get_log_state().await?.last_log_id;
        let voted = self.log.read_vote().await?.map_or(0, |vote| vote.leader_id.term);
        let term = voted.max(last.map_or(0, |last| last.leader_id.term)) + 1;
        let era = era_of(&self.members().await?) + 1;
        let voter = Voter { incarnation: self.incarnation, era };
        let members = Members::new(vec![BTreeSet::from([node])], BTreeMap::from([(node, voter)]));
        let members = members.map_err(|error| Error::Invalid(error.to_string().into()))?;
        let index = last.map_or(0, |last| last.index + 1);
        let entry = LogEntry { log_id: log_id(term, index), payload: EntryPayload::Membership(members) };
        self.log.save_vote(&Vote::new(term, node)).await?;
        let appended = self.log.blocking_append([entry]).await;
        appended.map_err(|error| Error::Unavailable(error.to_string().into()))
    }
}
