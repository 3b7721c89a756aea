//! What must hold of whatever a group reads back from its disk or hears from another node.

use bytes::Bytes;

use super::anchor::Held;
use super::call::{Answer, Envelope};
use super::consensus::{decode_payload, encode_payload};
use super::identity::Identity;
use super::roster::Roster;
use super::wire::{self, Wire};
use crate::Result;
use crate::fuzzing::{Check, stable};

pub(crate) const CHECKS: &[Check] =
    &[record::<Envelope>, record::<Answer>, record::<Held>, record::<Identity>, record::<Roster>, payload];

fn record<R: Wire>(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(wire::encode(1, &wire::decode::<R>(1, octets)?)))
}

fn payload(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(encode_payload(&decode_payload(octets.clone())?)))
}
