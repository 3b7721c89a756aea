//! One file of the log: a header that names its first entry, records, and zeros up to its preallocated
//! end. Its recovery is a function of octets, so that it can be tested and fuzzed without files.

use std::path::{Path, PathBuf};

use super::record::{HEADER_OCTETS, Header, MARK};
use crate::{Error, Result, limits};

/// Octets of a file's header: magic, index of the first entry, checksum, zeros.
pub const SEGMENT_HEADER_OCTETS: usize = 32;
const MAGIC: &[u8; 8] = b"STERNLG2";
/// What a disk writes whole or not at all.
const SECTOR_OCTETS: usize = 512;
const SUFFIX: &str = ".log";

/// The file's header.
pub fn header(first_index: u64) -> [u8; SEGMENT_HEADER_OCTETS] {
    let mut octets = [0; SEGMENT_HEADER_OCTETS];
    octets[..8].copy_from_slice(MAGIC);
    octets[8..16].copy_from_slice(&first_index.to_le_bytes());
    let crc = crc32c::crc32c(&octets[..16]);
    octets[16..20].copy_from_slice(&crc.to_le_bytes());
    octets
}

/// The file's path.
pub fn path(folder: &Path, first_index: u64) -> PathBuf {
    folder.join(format!("{first_index:020}{SUFFIX}"))
}

/// The first index that a file's name tells; `None` for a file that is not the log's.
pub fn first_index_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Offset of each record, the first one's first.
    pub offsets: Vec<u32>,
    /// Behind the last good record. What follows is a torn tail, or nothing.
    pub end: u64,
    /// Up to here its records tell that it has been synced. What follows may be the system's memory of a sync that failed.
    pub synced: u64,
    /// The last record's term.
    pub last_term: u64,
    /// Whether something other than zeros follows, which was never acknowledged.
    pub torn: bool,
}

/// Reads a file's octets. `is_last`: only the log's last file may end in a torn tail. `Corrupt` where
/// something is lost that had been synced: this must never be cut silently.
pub fn recover(octets: &[u8], first_index: u64, is_last: bool) -> Result<Recovered> {
    let mut recovered = Recovered { offsets: Vec::new(), end: 0, synced: 0, last_term: 0, torn: false };
    if octets.get(..SEGMENT_HEADER_OCTETS) != Some(&header(first_index)[..]) {
        return headless(octets, first_index, is_last, recovered);
    }
    let mut at = SEGMENT_HEADER_OCTETS;
    while let Some(header) = record_at(octets, at) {
        let expected = first_index + recovered.offsets.len() as u64;
        if header.index == expected && header.term >= recovered.last_term {
            recovered.offsets.push(u32::try_from(at).map_err(|_| corrupt(first_index, at, "file too long"))?);
            recovered.last_term = header.term;
        } else if header.index != MARK {
            break;
        }
        recovered.synced = header.synced.clamp(recovered.synced, at as u64);
        at += HEADER_OCTETS + header.length;
    }
    recovered.end = at as u64;
    let tail = &octets[at..];
    recovered.torn = !is_zeros(tail);
    if recovered.torn && !is_last {
        return Err(corrupt(first_index, at, "damaged record in a finished file"));
    }
    if recovered.torn && promised(octets, at) {
        return Err(corrupt(first_index, at, "damaged record before the last synced one"));
    }
    if recovered.torn && !may_be_torn(octets, at) {
        return Err(corrupt(first_index, at, "damaged last record"));
    }
    Ok(recovered)
}

/// A file without header: its making was cut short, unless it holds records that follow a sync.
fn headless(octets: &[u8], first_index: u64, is_last: bool, mut recovered: Recovered) -> Result<Recovered> {
    if !is_last || promised(octets, 0) {
        return Err(corrupt(first_index, 0, "damaged file header"));
    }
    recovered.torn = true;
    Ok(recovered)
}

/// Whether a record behind the damage at `damaged` tells that the place had been synced.
fn promised(octets: &[u8], damaged: usize) -> bool {
    let used = octets.iter().rposition(|octet| *octet != 0).map_or(0, |at| at + HEADER_OCTETS);
    let last = used.min(octets.len()).saturating_sub(HEADER_OCTETS);
    (damaged + 1..=last).any(|at| {
        let candidate = Header::read(&octets[at..]).filter(|header| header.synced > damaged as u64);
        // A cheap look before the checksum: a synced place never lies behind the record that names it.
        candidate.is_some_and(|header| header.synced <= at as u64 && whole(&header, &octets[at..]))
    })
}

/// Whether a power loss can have left what stands at `at` of a record that had not been synced: in some sector nothing
/// was written.
fn may_be_torn(octets: &[u8], at: usize) -> bool {
    let rest = &octets[at..];
    let header = Header::read(rest).filter(|header| header.is_sound(rest));
    // Without its header nobody knows how far the record goes.
    let end = at + HEADER_OCTETS + header.map_or(0, |header| header.length);
    if end > octets.len() {
        return true;
    }
    let end = end.next_multiple_of(SECTOR_OCTETS).min(octets.len());
    let (first, others) = octets[at..end].split_at((SECTOR_OCTETS - at % SECTOR_OCTETS).min(end - at));
    std::iter::once(first).chain(others.chunks(SECTOR_OCTETS)).any(is_zeros)
}

fn is_zeros(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}

fn record_at(octets: &[u8], at: usize) -> Option<Header> {
    let rest = octets.get(at..)?;
    Header::read(rest).filter(|header| whole(header, rest))
}

fn whole(header: &Header, octets: &[u8]) -> bool {
    header.length <= limits::LOG_ENTRY_OCTETS
        && (header.index != MARK || header.length == 0)
        && header.checks(octets)
}

fn corrupt(first_index: u64, at: usize, what: &str) -> Error {
    Error::Corrupt(format!("log file {first_index}, offset {at}: {what}").into())
}
