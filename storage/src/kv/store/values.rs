//! What the tree keeps under a key: the value itself, or its place in the log; and the engine's own keys.

use bytes::Bytes;

use crate::kv::key::subspace;
use crate::log::Position;
use crate::{Error, Result};

const INLINE: u8 = 0;
const PLACE: u8 = 1;

/// Where a large value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

/// A value as the tree keeps it.
#[derive(Debug, PartialEq)]
pub(crate) enum Stored {
    Inline(Bytes),
    Place(Place),
}

impl Place {
    pub(crate) fn encode(&self) -> [u8; 25] {
        let mut out = [PLACE; 25];
        out[1..9].copy_from_slice(&self.position.segment.to_le_bytes());
        out[9..17].copy_from_slice(&self.position.offset.to_le_bytes());
        out[17..21].copy_from_slice(&self.length.to_le_bytes());
        out[21..25].copy_from_slice(&self.crc.to_le_bytes());
        out
    }
}

/// The tree's form of a value that stands in it.
pub(crate) fn inline(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + value.len());
    out.push(INLINE);
    out.extend_from_slice(value);
    out
}

/// From the tree's form.
pub(crate) fn decode(stored: &[u8]) -> Result<Stored> {
    let corrupt = || Error::Corrupt("value in the tree".into());
    match stored.split_first() {
        Some((&INLINE, value)) => Ok(Stored::Inline(Bytes::copy_from_slice(value))),
        Some((&PLACE, rest)) => {
            let (numbers, _) = rest.split_first_chunk::<24>().ok_or_else(corrupt)?;
            let u32_at = |at: usize| {
                u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]])
            };
            let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
            let position = Position { segment: u64_at(0), offset: u64_at(8) };
            Ok(Stored::Place(Place { position, length: u32_at(16), crc: u32_at(20) }))
        }
        _ => Err(corrupt()),
    }
}

/// Holds the index and last version of the last entry applied.
pub(crate) const APPLIED: [u8; 2] = [subspace::ENGINE, b'a'];

/// Says that the key whose name is its value had, when it was written, its value at this place.
pub(crate) fn place_key(position: Position) -> [u8; 18] {
    let mut key = [0; 18];
    key[..2].copy_from_slice(&[subspace::ENGINE, b'v']);
    key[2..10].copy_from_slice(&position.segment.to_be_bytes());
    key[10..].copy_from_slice(&position.offset.to_be_bytes());
    key
}

/// The place that such a key tells.
pub(crate) fn place_of(key: &[u8]) -> Option<Position> {
    let (segment, offset) = key.get(2..18)?.split_at(8);
    let number = |octets: &[u8]| octets.try_into().ok().map(u64::from_be_bytes);
    Some(Position { segment: number(segment)?, offset: number(offset)? })
}
