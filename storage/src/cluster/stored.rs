//! How the cluster, its nodes and its tokens are written: keys and records.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::words::{ClusterId, Fingerprint, Node, NodeAddress};
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::raft::NodeId;
use crate::types::Timestamp;
use crate::{Error, Result};

const CLUSTER: u8 = 1;
const LAST_NODE: u8 = 2;
const NODE: u8 = 3;
const TOKEN: u8 = 4;
const CHANGED: u8 = 5;

#[derive(Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) id: ClusterId,
    pub(super) authority: Vec<u8>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) founded: Timestamp,
}

impl Record for ClusterRecord {
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) address: NodeAddress,
    pub(super) key: Fingerprint,
    pub(super) certified_until: Timestamp,
    pub(super) joined: Timestamp,
    pub(super) removed: Option<Timestamp>,
}

impl Record for NodeRecord {
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub(super) uses: u32,
    pub(super) expires: Timestamp,
}

impl Record for TokenRecord {
    const VERSION: u8 = 1;
}

impl NodeRecord {
    pub(super) fn into_node(self, id: NodeId) -> Node {
        let Self { address, key, certified_until, joined, removed } = self;
        Node { id, address, key, certified_until, joined, removed }
    }
}

impl From<&Node> for NodeRecord {
    fn from(node: &Node) -> Self {
        let Node { id: _, address, key, certified_until, joined, removed } = node.clone();
        Self { address, key, certified_until, joined, removed }
    }
}

fn below(kind: u8) -> KeyWriter {
    KeyWriter::new(subspace::CLUSTER).u8(kind)
}

pub(super) fn cluster_key() -> Bytes {
    below(CLUSTER).finish()
}

/// The highest id that was ever given to a node.
pub(super) fn last_node_key() -> Bytes {
    below(LAST_NODE).finish()
}

/// Touched by every change of a node.
pub(super) fn changed_key() -> Bytes {
    below(CHANGED).finish()
}

pub(super) fn node_key(id: NodeId) -> Bytes {
    below(NODE).u64(id.0).finish()
}

pub(super) fn nodes() -> KeyRange {
    KeyRange::prefix(&below(NODE).finish())
}

pub(super) fn token_key(hash: &[u8; 32]) -> Bytes {
    below(TOKEN).fixed(hash).finish()
}

pub(super) fn tokens() -> KeyRange {
    KeyRange::prefix(&below(TOKEN).finish())
}

/// The node of a pair of [`nodes`].
pub(super) fn node(key: &[u8], value: &[u8]) -> Result<Node> {
    let mut reader = KeyReader::new(key, subspace::CLUSTER)?;
    reader.u8()?;
    Ok(NodeRecord::decode(value)?.into_node(NodeId(reader.u64()?)))
}

pub(super) fn node_id(value: &[u8]) -> Result<NodeId> {
    let octets = value.try_into().map_err(|_| Error::Corrupt("last node id".into()))?;
    Ok(NodeId(u64::from_be_bytes(octets)))
}
