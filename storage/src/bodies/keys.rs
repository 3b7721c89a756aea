//! The keys of the body store.

use bytes::Bytes;

use super::objects::ObjectName;
use super::record::{Owner, SegmentId};
use crate::Result;
use crate::kv::key::subspace;
use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::types::{BodyId, DomainId};

/// Parts of the body store's own subspace.
const CANDIDATE: u8 = b'c';
const CLUSTER_CHECK: u8 = b'k';
const DOMAIN_KEY: u8 = b'd';
const CLUSTER_ID: u8 = b'i';
const MULTIPART: u8 = b'm';
const AWAY: u8 = b'l';
const LEASE: u8 = b'h';
const PIECE: u8 = b'p';
const PLACED: u8 = b'o';
const STAGED: u8 = b's';
const WASTE: u8 = b'w';

fn own(part: u8) -> KeyWriter {
    KeyWriter::new(subspace::BODY_PIECE).u8(part)
}

/// `B body`: where it is.
pub(super) fn body(id: BodyId) -> Bytes {
    KeyWriter::new(subspace::BODY).fixed(&id.0).finish()
}

/// All bodies.
pub(super) fn bodies() -> KeyRange {
    KeyRange::prefix(&[subspace::BODY])
}

/// The body of a `B` key.
pub(super) fn body_of(key: &[u8]) -> Result<BodyId> {
    KeyReader::new(key, subspace::BODY)?.fixed().map(BodyId)
}

/// `R body owner`: that it is referred to.
pub(super) fn reference(id: BodyId, owner: Owner) -> Bytes {
    let mut key = Vec::with_capacity(41);
    key.push(subspace::REFERENCE);
    key.extend_from_slice(&id.0);
    key.extend_from_slice(&owner.encode());
    key.into()
}

/// All references to a body.
pub(super) fn references(id: BodyId) -> KeyRange {
    KeyRange::prefix(&KeyWriter::new(subspace::REFERENCE).fixed(&id.0).finish())
}

/// All references.
pub(super) fn all_references() -> KeyRange {
    KeyRange::prefix(&[subspace::REFERENCE])
}

/// The body and owner of an `R` key.
pub(super) fn reference_of(key: &[u8]) -> Result<(BodyId, Owner)> {
    let mut reader = KeyReader::new(key, subspace::REFERENCE)?;
    let body = BodyId(reader.fixed()?);
    Owner::decode(&mut reader.rest()).map(|owner| (body, owner))
}

/// A piece of a staged body.
pub(super) fn piece(id: BodyId, number: u32) -> Bytes {
    own(PIECE).fixed(&id.0).u32(number).finish()
}

/// All pieces of a staged body.
pub(super) fn pieces(id: BodyId) -> KeyRange {
    KeyRange::prefix(&own(PIECE).fixed(&id.0).finish())
}

/// That a body is staged and waits to be packed; its value is the number of its sealed octets.
pub(super) fn staged(id: BodyId) -> Bytes {
    own(STAGED).fixed(&id.0).finish()
}

/// Sealed octets of the staged body whose key has this value.
pub(super) fn staged_octets(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// All staged bodies.
pub(super) fn all_staged() -> KeyRange {
    KeyRange::prefix(&[subspace::BODY_PIECE, STAGED])
}

/// The body of a staged or candidate key.
pub(super) fn indexed_body(key: &[u8]) -> Result<BodyId> {
    let mut reader = KeyReader::new(key, subspace::BODY_PIECE)?;
    reader.u8()?;
    reader.fixed().map(BodyId)
}

/// That a body lost a reference: the collector looks whether it was the last.
pub(super) fn candidate(id: BodyId) -> Bytes {
    own(CANDIDATE).fixed(&id.0).finish()
}

/// All bodies that lost a reference.
pub(super) fn candidates() -> KeyRange {
    KeyRange::prefix(&[subspace::BODY_PIECE, CANDIDATE])
}

/// How many octets of a long body are kept in pieces because the object store was away.
pub(super) fn away(id: BodyId) -> Bytes {
    own(AWAY).fixed(&id.0).finish()
}

/// All long bodies kept in pieces.
pub(super) fn all_away() -> KeyRange {
    KeyRange::prefix(&[subspace::BODY_PIECE, AWAY])
}

/// A domain's key.
pub(super) fn domain_key(domain: DomainId) -> Bytes {
    own(DOMAIN_KEY).u64(domain.0).finish()
}

/// What tells the right cluster key from a wrong one.
pub(super) fn cluster_check() -> Bytes {
    own(CLUSTER_CHECK).finish()
}

/// Whose metadata these are.
pub(super) fn cluster_id() -> Bytes {
    own(CLUSTER_ID).finish()
}

/// There once a bucket bears the cluster's mark.
pub(super) fn placed() -> Bytes {
    own(PLACED).finish()
}

/// The object store's id of an upload in parts, as long as the object is not settled.
pub(super) fn multipart(name: ObjectName) -> Bytes {
    name.behind(own(MULTIPART)).finish()
}

/// Octets of a segment whose bodies are gone: a hint that the collector should look at it.
pub(super) fn waste(segment: SegmentId) -> Bytes {
    own(WASTE).fixed(&segment.0).finish()
}

/// All segments with bodies that are gone.
pub(super) fn all_waste() -> KeyRange {
    KeyRange::prefix(&[subspace::BODY_PIECE, WASTE])
}

/// The segment of a waste key.
pub(super) fn wasted_segment(key: &[u8]) -> Result<SegmentId> {
    indexed_body(key).map(|id| SegmentId(id.0))
}

/// Who packs and collects.
pub(super) fn lease() -> Bytes {
    own(LEASE).finish()
}

/// What is of use to the nodes that run now, and to no others: the lease, which each takes anew.
pub(crate) fn bound_to_nodes() -> [KeyRange; 1] {
    [KeyRange::prefix(&lease())]
}

/// `S segment`: what is known of it.
pub(super) fn segment(segment: SegmentId) -> Bytes {
    KeyWriter::new(subspace::SEGMENT).fixed(&segment.0).finish()
}

/// `S segment body`: that the body lies there; its value is the number of its sealed octets.
pub(super) fn segment_body(segment: SegmentId, id: BodyId) -> Bytes {
    KeyWriter::new(subspace::SEGMENT).fixed(&segment.0).fixed(&id.0).finish()
}

/// The bodies of a segment.
pub(super) fn segment_bodies(segment: SegmentId) -> KeyRange {
    let all = KeyRange::prefix(&self::segment(segment));
    KeyRange::new(KeyRange::key(&all.begin).end, all.end)
}

/// The body of an `S segment body` key.
pub(super) fn segment_body_of(key: &[u8]) -> Result<BodyId> {
    let mut reader = KeyReader::new(key, subspace::SEGMENT)?;
    reader.fixed::<16>()?;
    reader.fixed().map(BodyId)
}
