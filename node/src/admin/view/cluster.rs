//! A cluster, its nodes and groups, and tokens for new nodes.

use serde::{Deserialize, Serialize};
use sterna_storage::types::Timestamp;

/// A token that lets new nodes in, to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTokenView {
    /// Nodes that it lets in.
    pub uses: u32,
    /// For how long it is good.
    pub lifetime_seconds: u64,
}

/// A token that was made. It is shown this once.
#[derive(Serialize, Deserialize)]
pub struct TokenView {
    /// The token.
    pub token: String,
    /// SHA-256 of the cluster's authority's public key.
    pub authority: String,
    /// Where the new node may ask.
    pub address: String,
    /// Until when it is good, in milliseconds since 1970.
    pub expires: Timestamp,
}

/// A cluster as one of its nodes sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its id.
    pub id: String,
    /// The node that answers.
    pub node: u64,
    /// SHA-256 of its authority's public key.
    pub authority: String,
    /// What needs a person.
    pub warning: Option<String>,
    /// All nodes that there ever were.
    pub nodes: Vec<NodeView>,
    /// Who keeps the metadata.
    pub groups: Vec<GroupView>,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeView {
    /// Never given twice.
    pub id: u64,
    /// Where it is called.
    pub address: String,
    /// `member` or `removed`.
    pub state: String,
    /// When its certificate ends, which it renews by itself; `None` where the roster does not answer.
    pub certified_until: Option<Timestamp>,
    /// When it joined; `None` likewise.
    pub joined: Option<Timestamp>,
}

/// A group of nodes that keep the same part of the metadata.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupView {
    /// `config` or `mail`.
    pub name: String,
    /// What the node that answers does in it: `new`, `learner`, `follower`, `candidate`, `leader`, `stopped`.
    pub role: String,
    /// The node that leads, if the node that answers knows.
    pub leader: Option<u64>,
    /// Raised by each election.
    pub term: u64,
    /// Who votes.
    pub voters: Vec<u64>,
    /// Who follows without a vote.
    pub learners: Vec<u64>,
    /// Entries of the log that this node has applied.
    pub applied_entries: u64,
    /// Why this node does not serve it, if it does not.
    pub trouble: Option<String>,
}
