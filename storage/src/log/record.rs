//! An entry as it stands in a log file: a header of 32 octets, then the payload.
//!
//! ```text
//! crc32c of all that follows  u32   length of the payload  u32   (little-endian, all of them)
//! index                       u64   term                   u64
//! synced: how much of this file had been synced when the record was written   u64
//! ```
//!
//! The last field is what tells a torn tail from corruption: where a record does not check, but a later
//! one says that the place had been synced before it, something synced was lost.

use bytes::Bytes;

/// Octets of a record's header.
pub const HEADER_OCTETS: usize = 32;

/// Index of a mark: a record without payload that only tells how much had been synced.
pub const MARK: u64 = 0;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One more than the entry's before.
    pub index: u64,
    /// Never less than the entry's before.
    pub term: u64,
    /// What it says.
    pub payload: Bytes,
}

/// Where octets stand in the log's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The file: the index of its first entry.
    pub segment: u64,
    /// From the file's begin.
    pub offset: u64,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    crc: u32,
    /// Octets of the payload.
    pub length: usize,
    /// The entry's.
    pub index: u64,
    /// The entry's.
    pub term: u64,
    /// Octets of the file that had been synced before.
    pub synced: u64,
}

impl Header {
    /// Of a record; `None` if there are too few octets. Nothing is checked yet.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let (octets, _) = octets.split_first_chunk::<HEADER_OCTETS>()?;
        let u32_at =
            |at: usize| u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        Some(Self {
            crc: u32_at(0),
            length: u32_at(4) as usize,
            index: u64_at(8),
            term: u64_at(16),
            synced: u64_at(24),
        })
    }

    /// Whether the octets begin with a whole and undamaged record of this header.
    pub fn checks(&self, octets: &[u8]) -> bool {
        let end = HEADER_OCTETS.checked_add(self.length);
        let body = end.and_then(|end| octets.get(4..end));
        body.is_some_and(|body| crc32c::crc32c(body) == self.crc)
    }
}

/// Appends a mark.
pub fn write_mark(out: &mut Vec<u8>, synced: u64) {
    write(out, &Entry { index: MARK, term: 0, payload: Bytes::new() }, synced);
}

/// Appends the entry's record.
pub fn write(out: &mut Vec<u8>, entry: &Entry, synced: u64) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(entry.payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&entry.index.to_le_bytes());
    out.extend_from_slice(&entry.term.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(&entry.payload);
    let crc = crc32c::crc32c(&out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
}
