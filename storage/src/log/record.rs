//! An entry as it stands in a log file: a header of 32 octets, then the payload.
//!
//! ```text
//! crc32c of the record: on from the header's own, over the payload            u32   (little-endian, all of them)
//! length of the payload       u32
//! index                       u64   term                   u64
//! synced: how much of this file had been synced when the record was written   u32
//! crc32c of the header, from the length up to here                            u32
//! ```
//!
//! What tells a torn tail from corruption: where a record does not check, but a later one says in `synced` that the
//! place had been synced before it, something synced was lost. Of the last record nobody says so yet. But what a power
//! loss keeps from the disk it keeps in whole sectors, which are zeros then, and the header's own checksum tells how far
//! the record goes: one that does not check although each of its sectors was written is damaged. What remains: damage of
//! the very last record that leaves a whole sector zeros passes for a torn tail, until a later record, or the mark that
//! an idle writer leaves, has reached the disk.

use std::ops::Range;

use bytes::Bytes;

/// Octets of a record's header.
pub const HEADER_OCTETS: usize = 32;

/// What the header's own checksum is of.
const HEADER_CRC_OF: Range<usize> = 4..28;

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
    header_crc: u32,
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
            header_crc: u32_at(28),
            length: u32_at(4) as usize,
            index: u64_at(8),
            term: u64_at(16),
            synced: u64::from(u32_at(24)),
        })
    }

    /// Whether the octets begin with this header, undamaged, whatever follows it.
    pub fn is_sound(&self, octets: &[u8]) -> bool {
        octets.get(HEADER_CRC_OF).is_some_and(|octets| crc32c::crc32c(octets) == self.header_crc)
    }

    /// Whether the octets begin with a whole and undamaged record of this header.
    pub fn checks(&self, octets: &[u8]) -> bool {
        let payload = octets.get(HEADER_OCTETS..).and_then(|rest| rest.get(..self.length));
        self.is_sound(octets)
            && payload.is_some_and(|payload| crc32c::crc32c_append(self.header_crc, payload) == self.crc)
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
    // No file is that long; if one were, it would be true all the same.
    out.extend_from_slice(&u32::try_from(synced).unwrap_or(u32::MAX).to_le_bytes());
    let header_crc = crc32c::crc32c(&out[begin..][HEADER_CRC_OF]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(&entry.payload);
    let crc = crc32c::crc32c_append(header_crc, &entry.payload);
    out[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
}
