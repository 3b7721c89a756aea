//! How nodes of a cluster call each other. Who carries the octets is the assembler's affair: this floor
//! opens no socket.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A node of the cluster, by the number that it was given when it joined. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl std::fmt::Display for NodeId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// Which connection carries a call, so that none waits behind another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes and heartbeats: small and urgent.
    Votes,
    /// Entries of the log.
    Log,
    /// Parts of snapshots.
    Snapshots,
    /// Transactions: reads and commits.
    Transactions,
    /// Waiting for a change: calls that are answered when there is one, or none came for a while.
    Watches,
    /// Waiting until a node has taken in a change of the directory. The assembler's own: no group is asked there.
    Changes,
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not handed to the other node: nothing happened there.
    #[error("node {0} cannot be reached: {1}")]
    NotSent(NodeId, String),
    /// It may have been carried out.
    #[error("the answer of node {0} is lost: {1}")]
    Lost(NodeId, String),
}

/// How long a caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the call is handed to the other node. Past it the call is not sent any more.
    pub sending: Duration,
    /// Until the answer, counted from the same moment.
    pub answer: Duration,
}

impl From<Duration> for Patience {
    fn from(answer: Duration) -> Self {
        Self { sending: answer, answer }
    }
}

/// Carries calls to other nodes.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The other node's answer, waited for at most that long. Calls on one lane to one node are sent in the order in which
    /// they were made and answered in any. Request and answer are at most [`crate::limits::CALL_OCTETS`] long.
    async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        patience: Patience,
    ) -> Result<Bytes, CallError>;
}

/// Answers calls from other nodes.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// The answer. Errors are part of it. `from` has been proven by the caller's certificate.
    async fn answer(&self, from: NodeId, lane: Lane, request: Bytes) -> Bytes;

    /// That node is not connected to this one any more, and was not back soon. Dropped when it is.
    async fn misses(&self, node: NodeId);
}
