//! An entry as it is stored: a small head that changes with each claim, the payload beside it in pieces that change
//! only with the payload, and one index key that says what it waits for.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{KeyRange, KeyReader, KeyWriter, RangeOptions, Transaction};
use crate::limits::{QUEUE_PAYLOAD_OCTETS, QUEUE_PIECE_OCTETS};
use crate::types::{BodyId, QueueId, Timestamp};
use crate::{Error, Result};

/// Shards of the due index: entries due at the same time lie apart, and nodes begin at different ones.
pub(super) const SHARDS: u8 = 64;
/// Keys that tell of new entries.
pub(super) const SIGNALS: u8 = 8;
/// In place of a shard: entries by the incarnation that has claimed them.
const CLAIMED: u8 = 0xff;
/// In place of a shard: the signals.
const SIGNAL: u8 = 0xfe;

/// A message that waits for delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identity, as the `250` reply told.
    pub id: QueueId,
    /// When it was accepted, by the store's clock ([`super::Queue::now`]).
    pub created: Timestamp,
    /// When it is to be tried next, by the same clock.
    pub due: Timestamp,
    /// The message.
    pub body: BodyId,
    /// Octets of the message.
    pub body_size: u64,
    /// The caller's own record: envelope, state of each recipient. At most [`QUEUE_PAYLOAD_OCTETS`].
    pub payload: Bytes,
    /// Whether it is kept from being tried.
    pub held: bool,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The entry.
    pub entry: Entry,
    /// Whether a worker has it now.
    pub claimed: bool,
}

/// One run of a node; a restarted node is another. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Incarnation(pub(super) [u8; 16]);

/// What changes about an entry. Invariant: it has a claim key while claimed, a due key while neither claimed nor
/// held, and never both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) created: Timestamp,
    pub(super) due: Timestamp,
    pub(super) body: BodyId,
    pub(super) body_size: u64,
    pub(super) held: bool,
    /// Who has it.
    pub(super) claim: Option<Incarnation>,
    /// Counts claims, so that an earlier claim of the same incarnation is told from a later one.
    pub(super) epoch: u64,
}

impl Record for Head {
    const VERSION: u8 = 1;
}

impl Head {
    pub(super) fn of(entry: &Entry) -> Self {
        let Entry { created, due, body, body_size, held, .. } = *entry;
        Self { created, due, body, body_size, held, claim: None, epoch: 0 }
    }

    pub(super) fn with(&self, id: QueueId, payload: Bytes) -> Entry {
        let Self { created, due, body, body_size, held, .. } = *self;
        Entry { id, created, due, body, body_size, payload, held }
    }

    /// Writes the head and the one index key that belongs to it, in place of those of `before`.
    pub(super) fn replace(&self, tx: &mut Transaction, id: QueueId, before: Option<&Self>) {
        if let Some(key) = before.and_then(|before| before.index_key(id)) {
            tx.clear(key);
        }
        if let Some(key) = self.index_key(id) {
            tx.set(key, Bytes::new());
        }
        if self.claim.is_none() && !self.held {
            tx.add(signal_key(id.0[9] % SIGNALS), 1);
        }
        tx.set(head_key(id), self.encode());
    }

    pub(super) fn index_key(&self, id: QueueId) -> Option<Bytes> {
        match self.claim {
            Some(incarnation) => Some(claim_key(incarnation, id)),
            None if self.held => None,
            None => Some(due_key(self.due, id)),
        }
    }
}

/// `Q id`.
pub(super) fn head_key(id: QueueId) -> Bytes {
    KeyWriter::new(subspace::QUEUE).fixed(&id.0).finish()
}

/// `Q`, all of it behind the entry `after`: heads, each followed by its payload.
pub(super) fn entries(after: Option<QueueId>) -> KeyRange {
    let mut range = KeyRange::prefix(&[subspace::QUEUE]);
    if let Some(after) = after {
        range.begin = KeyRange::prefix(&head_key(after)).end;
    }
    range
}

/// The entry of a `Q` key, and whether it is its head.
pub(super) fn entry_of(key: &[u8]) -> Result<(QueueId, bool)> {
    let mut reader = KeyReader::new(key, subspace::QUEUE)?;
    let id = QueueId(reader.fixed()?);
    Ok((id, reader.rest().is_empty()))
}

fn payload_key(id: QueueId, number: u32) -> Bytes {
    KeyWriter::new(subspace::QUEUE).fixed(&id.0).u32(number).finish()
}

fn payload_keys(id: QueueId) -> KeyRange {
    let all = KeyRange::prefix(&head_key(id));
    KeyRange::new(payload_key(id, 0), all.end)
}

/// `D shard due id`.
fn due_key(due: Timestamp, id: QueueId) -> Bytes {
    KeyWriter::new(subspace::DUE).u8(id.0[9] % SHARDS).u64(due_millis(due)).fixed(&id.0).finish()
}

fn due_millis(due: Timestamp) -> u64 {
    due.as_millis().max(0) as u64
}

/// What of a shard is due at `now`; all of it for `None`.
pub(super) fn shard(shard: u8, now: Option<Timestamp>) -> KeyRange {
    let key = |millis| KeyWriter::new(subspace::DUE).u8(shard).u64(millis).finish();
    KeyRange::new(key(0), key(now.map_or(u64::MAX, |now| due_millis(now) + 1)))
}

/// Due time and entry of a `D` key.
pub(super) fn due_of(key: &[u8]) -> Result<(Timestamp, QueueId)> {
    let mut reader = KeyReader::new(key, subspace::DUE)?;
    reader.u8()?;
    let due = Timestamp::from_millis(reader.u64()? as i64);
    Ok((due, QueueId(reader.fixed()?)))
}

fn claim_key(incarnation: Incarnation, id: QueueId) -> Bytes {
    KeyWriter::new(subspace::DUE).u8(CLAIMED).fixed(&incarnation.0).fixed(&id.0).finish()
}

/// What an incarnation has claimed.
pub(super) fn claims(incarnation: Incarnation) -> KeyRange {
    KeyRange::prefix(&KeyWriter::new(subspace::DUE).u8(CLAIMED).fixed(&incarnation.0).finish())
}

/// All that is claimed.
pub(super) fn all_claims() -> KeyRange {
    // FF is the last shard there can be, and no range ends behind it by prefix.
    KeyRange::new(Bytes::from_static(&[subspace::DUE, CLAIMED]), Bytes::from_static(&[subspace::DUE + 1]))
}

/// Incarnation and entry of a claim's key.
pub(super) fn claim_of(key: &[u8]) -> Result<(Incarnation, QueueId)> {
    let mut reader = KeyReader::new(key, subspace::DUE)?;
    reader.u8()?;
    Ok((Incarnation(reader.fixed()?), QueueId(reader.fixed()?)))
}

/// A key that changes when an entry whose id ends so is put or comes back.
pub(super) fn signal_key(number: u8) -> Bytes {
    KeyWriter::new(subspace::DUE).u8(SIGNAL).u8(number).finish()
}

/// The signals as they are; 0 for one that never was given.
pub(super) async fn signals(tx: &mut Transaction) -> Result<[u64; SIGNALS as usize]> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let range = KeyRange::prefix(&[subspace::DUE, SIGNAL]);
    let mut signals = [0; SIGNALS as usize];
    for (key, value) in tx.range(range, options).collect().await? {
        let number = key.last().map_or(0, |number| usize::from(*number));
        if let (Some(signal), Ok(count)) = (signals.get_mut(number), value[..].try_into()) {
            *signal = u64::from_le_bytes(count);
        }
    }
    Ok(signals)
}

/// The entry's head, with a conflict. `NotFound` if there is no such entry.
pub(super) async fn head(tx: &mut Transaction, id: QueueId) -> Result<Head> {
    match tx.get(&head_key(id)).await? {
        Some(value) => Head::decode(&value),
        None => Err(Error::NotFound(format!("queue entry {id}").into())),
    }
}

/// The entry's payload.
pub(super) async fn payload(tx: &mut Transaction, id: QueueId) -> Result<Bytes> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let mut reader = tx.range(payload_keys(id), options);
    let Some((_, first)) = reader.next().await? else { return Ok(Bytes::new()) };
    let Some((_, second)) = reader.next().await? else { return Ok(first) };
    let mut payload = BytesMut::from(&first[..]);
    payload.extend_from_slice(&second);
    while let Some((_, piece)) = reader.next().await? {
        payload.extend_from_slice(&piece);
    }
    Ok(payload.freeze())
}

/// Writes the payload in place of an earlier one. `TooLarge` past [`QUEUE_PAYLOAD_OCTETS`].
pub(super) fn set_payload(tx: &mut Transaction, id: QueueId, payload: &Bytes, is_new: bool) -> Result<()> {
    if payload.len() > QUEUE_PAYLOAD_OCTETS {
        let text = format!("queue payload of {} octets, {QUEUE_PAYLOAD_OCTETS} at most", payload.len());
        return Err(Error::TooLarge(text.into()));
    }
    if !is_new {
        tx.clear_range(payload_keys(id));
    }
    for (number, at) in (0..).zip((0..payload.len()).step_by(QUEUE_PIECE_OCTETS)) {
        let end = payload.len().min(at + QUEUE_PIECE_OCTETS);
        tx.set(payload_key(id, number), payload.slice(at..end));
    }
    Ok(())
}

/// Takes the entry away, with all its keys.
pub(super) fn clear(tx: &mut Transaction, id: QueueId, head: &Head) {
    if let Some(key) = head.index_key(id) {
        tx.clear(key);
    }
    tx.clear(head_key(id));
    tx.clear_range(payload_keys(id));
}
