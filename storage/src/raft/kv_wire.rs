//! How the transaction interface's own types are written: versions, ranges, commits, errors. A key is bounded when it is
//! read: longer ones do no good to a tree.

use bytes::Bytes;

use super::wire::{Reader, Wire, Writer, corrupt, wire_fields};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Mutation, Version, Versionstamp};
use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

impl Wire for Version {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        u64::take(input).map(Self)
    }
}

impl Wire for Versionstamp {
    fn put(&self, out: &mut Writer) {
        out.octets(&self.0);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let octets = input.octets()?;
        octets[..].try_into().map(Self).map_err(|_| corrupt("versionstamp"))
    }
}

wire_fields!(Committed { version, versionstamp });
wire_fields!(Chunk { pairs, more });
wire_fields!(Commit { read_version, read_conflicts, write_conflicts, mutations });

/// A key, or an end of a range, which may be one octet longer.
pub(super) fn take_key(input: &mut Reader) -> Result<Bytes> {
    let key = Bytes::take(input)?;
    if key.len() > limits::KEY_OCTETS + 1 { Err(corrupt("key too long")) } else { Ok(key) }
}

impl Wire for KeyRange {
    fn put(&self, out: &mut Writer) {
        self.begin.put(out);
        self.end.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        Ok(Self { begin: take_key(input)?, end: take_key(input)? })
    }
}

impl Wire for ChunkLimit {
    fn put(&self, out: &mut Writer) {
        (self.pairs as u64).put(out);
        (self.octets as u64).put(out);
        self.reverse.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let number = |input: &mut Reader| u64::take(input).map(|number| number as usize);
        Ok(Self { pairs: number(input)?, octets: number(input)?, reverse: bool::take(input)? })
    }
}

impl Wire for Mutation {
    fn put(&self, out: &mut Writer) {
        let mut part = |kind: u8, key: &Bytes, rest: &dyn Fn(&mut Writer)| {
            out.octet(kind);
            key.put(out);
            rest(out);
        };
        match self {
            Self::Set(key, value) => part(0, key, &|out| value.put(out)),
            Self::Clear(key) => part(1, key, &|_| {}),
            Self::ClearRange(range) => part(2, &range.begin, &|out| range.end.put(out)),
            Self::Add(key, delta) => part(3, key, &|out| delta.put(out)),
            Self::Max(key, value) => part(4, key, &|out| value.put(out)),
            Self::Min(key, value) => part(5, key, &|out| value.put(out)),
            Self::SetVersionstampedKey { key, offset, value } => part(6, key, &|out| {
                (*offset as u64).put(out);
                value.put(out);
            }),
            Self::SetVersionstampedValue { key, value, offset } => part(7, key, &|out| {
                (*offset as u64).put(out);
                value.put(out);
            }),
        }
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let kind = input.octet()?;
        let key = take_key(input)?;
        // The ten octets that the versionstamp replaces must be there.
        let stamped = |input: &mut Reader, within: Option<usize>| {
            let (offset, value) = (u64::take(input)?, Bytes::take(input)?);
            let room = within.unwrap_or(value.len()) as u64;
            match offset.checked_add(10) {
                Some(end) if end <= room => Ok((offset as usize, value)),
                _ => Err(corrupt("versionstamp outside of its key or value")),
            }
        };
        Ok(match kind {
            0 => Self::Set(key, Bytes::take(input)?),
            1 => Self::Clear(key),
            2 => Self::ClearRange(KeyRange { begin: key, end: take_key(input)? }),
            3 => Self::Add(key, i64::take(input)?),
            4 => Self::Max(key, u64::take(input)?),
            5 => Self::Min(key, u64::take(input)?),
            6 => {
                let (offset, value) = stamped(input, Some(key.len()))?;
                Self::SetVersionstampedKey { key, offset, value }
            }
            7 => {
                let (offset, value) = stamped(input, None)?;
                Self::SetVersionstampedValue { key, value, offset }
            }
            _ => return Err(corrupt("unknown mutation")),
        })
    }
}

impl Wire for Error {
    fn put(&self, out: &mut Writer) {
        let (kind, text) = match self {
            Self::NotFound(text) => (0, text.as_ref()),
            Self::Exists(text) => (1, text.as_ref()),
            Self::Invalid(text) => (2, text.as_ref()),
            Self::Conflict => (3, ""),
            Self::TooOld => (4, ""),
            Self::CommitUnknown => (5, ""),
            Self::TooLarge(text) => (6, text.as_ref()),
            Self::OverQuota(text) => (7, text.as_ref()),
            Self::Overloaded(text) => (8, text.as_ref()),
            Self::Full(text) => (9, text.as_ref()),
            Self::Unavailable(text) => (10, text.as_ref()),
            // Of that node: this one goes on.
            Self::Closed => (10, "the node shuts down"),
            Self::Corrupt(text) => (12, text.as_ref()),
        };
        out.octet(kind);
        out.octets(text.as_bytes());
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let kind = input.octet()?;
        let text = String::take(input)?.into();
        Ok(match kind {
            0 => Self::NotFound(text),
            1 => Self::Exists(text),
            2 => Self::Invalid(text),
            3 => Self::Conflict,
            4 => Self::TooOld,
            5 => Self::CommitUnknown,
            6 => Self::TooLarge(text),
            7 => Self::OverQuota(text),
            8 => Self::Overloaded(text),
            9 => Self::Full(text),
            10 => Self::Unavailable(text),
            12 => Self::Corrupt(text),
            _ => return Err(corrupt("unknown error")),
        })
    }
}
