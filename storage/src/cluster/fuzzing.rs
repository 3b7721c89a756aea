//! What must hold of whatever the roster reads back.

use bytes::Bytes;

use super::stored::{self, ClusterRecord, NodeRecord, TokenRecord};
use crate::Result;
use crate::fuzzing::{Check, record, stable};

pub(crate) const CHECKS: &[Check] =
    &[record::<ClusterRecord>, record::<NodeRecord>, record::<TokenRecord>, last_node];

fn last_node(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(Bytes::copy_from_slice(&stored::node_id(octets)?.0.to_be_bytes())))
}
