//! Who a node is, as its certificate says; and which of its runs it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sterna_storage::Error;
use sterna_storage::cluster::ClusterId;
use sterna_storage::raft::NodeId;

/// A node of a cluster. Written as a URI, `sterna://CLUSTER/node/NUMBER`, in its certificate's alternative names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its number there.
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sterna://{}/node/{}", self.cluster, self.node)
    }
}

impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid("no identity of a node: sterna://CLUSTER/node/NUMBER".into());
        let parts = text.strip_prefix("sterna://").and_then(|rest| rest.split_once("/node/"));
        let (cluster, number) = parts.ok_or_else(invalid)?;
        let node = number.parse::<u64>().map(NodeId).map_err(|_| invalid())?;
        let identity = Self { cluster: cluster.parse().map_err(|_| invalid())?, node };
        // One text for each identity: no signs, no leading zeros.
        if identity.to_string() == text { Ok(identity) } else { Err(invalid()) }
    }
}

/// One run of a node, from its start to its end: 128 random bits. Two that live at once under one identity are two
/// nodes with a copied folder.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation([u8; 16]);

impl Incarnation {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Incarnation({:032x})", u128::from_be_bytes(self.0))
    }
}
