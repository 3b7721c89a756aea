//! The log on a disk that does what it is told: reading back, truncating, purging.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;

use super::simulated::Disk;
use super::*;
use crate::{Error, Result};

pub(super) const SEGMENT_OCTETS: u64 = 8 * 1024;

pub(super) fn open(disk: &Disk) -> Result<Log> {
    open_from(disk, 1, Arc::new(|_| {}))
}

pub(super) fn open_from(disk: &Disk, first_needed: u64, on_fatal: OnFatal) -> Result<Log> {
    let (folder, files) = (PathBuf::from("/log"), Arc::new(disk.clone()));
    Log::open(Config { folder, segment_octets: SEGMENT_OCTETS, first_needed, files, on_fatal })
}

pub(super) fn payload(index: u64, octets: usize) -> Bytes {
    (0..octets).map(|at| (at as u64 ^ index) as u8).collect::<Vec<_>>().into()
}

pub(super) fn entry(index: u64, octets: usize) -> Entry {
    Entry { index, term: 1 + index / 100, payload: payload(index, octets) }
}

/// Appends and waits.
pub(super) fn append(log: &Log, entries: Vec<Entry>) -> Result<Vec<Position>> {
    let (done, outcome) = mpsc::channel();
    log.append(entries, move |result| drop(done.send(result)))?;
    outcome.recv().expect("the writer tells")
}

pub(super) fn truncate(log: &Log, index: u64) -> Result<()> {
    let (done, outcome) = mpsc::channel();
    log.truncate_after(index, move |result| drop(done.send(result)))?;
    outcome.recv().expect("the writer tells")
}

/// Goes on behind the index, in term 7.
pub(super) fn skip(log: &Log, index: u64) -> Result<()> {
    let (done, outcome) = mpsc::channel();
    log.skip_to(index, 7, move |result| drop(done.send(result)))?;
    outcome.recv().expect("the writer tells")
}

pub(super) fn read_all(log: &Log) -> Vec<Entry> {
    let last = log.last_index();
    if last < log.first_index() {
        Vec::new()
    } else {
        log.read(log.first_index()..=last, usize::MAX).expect("reads")
    }
}

#[test]
fn entries_are_read_back_across_files_and_reopening() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    let entries: Vec<Entry> = (1..=60).map(|index| entry(index, index as usize * 37)).collect();
    for chunk in entries.chunks(7) {
        let positions = append(&log, chunk.to_vec()).expect("appends");
        for (position, entry) in positions.iter().zip(chunk) {
            assert_eq!(log.read_at(*position, entry.payload.len()).expect("reads"), entry.payload);
            assert_eq!(log.position(entry.index).expect("is there"), *position);
        }
    }
    assert!(log.segments().len() > 3);
    assert_eq!(read_all(&log), entries);
    drop(log);
    let log = open(&disk).expect("opens");
    assert_eq!((log.first_index(), log.last_index(), log.last_term()), (1, 60, 1));
    assert_eq!(read_all(&log), entries);
    assert!(matches!(log.read(61..=61, 1), Err(Error::NotFound(_))));
    assert!(append(&log, vec![entry(63, 1)]).is_err(), "a gap");
}

#[test]
fn an_entry_larger_than_a_file_gets_its_own() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    for index in 1..=3 {
        append(&log, vec![entry(index, 20_000)]).expect("appends");
    }
    drop(log);
    assert_eq!(read_all(&open(&disk).expect("opens")).len(), 3);
}

#[test]
fn a_truncated_suffix_is_gone_for_good() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    (1..=40).for_each(|index| drop(append(&log, vec![entry(index, 500)]).expect("appends")));
    truncate(&log, 12).expect("truncates");
    assert_eq!(log.last_index(), 12);
    // Of another length, so that what follows lies where the old entries lay.
    (13..=20).for_each(|index| drop(append(&log, vec![entry(index, 100)]).expect("appends")));
    let before = read_all(&log);
    drop(log);
    let log = open(&disk.lose_power(1)).expect("opens");
    assert_eq!(read_all(&log), before);
    truncate(&log, 0).expect("truncates to nothing");
    assert!(read_all(&log).is_empty());
    append(&log, vec![entry(1, 9)]).expect("appends");
}

#[test]
fn a_log_cut_back_to_what_was_purged_opens_again() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    (1..=60).for_each(|index| drop(append(&log, vec![entry(index, 1000)]).expect("appends")));
    let files = log.segments().iter().map(|segment| segment.first_index).collect();
    log.purge(40, &files).expect("purges");
    let first = log.first_index();
    truncate(&log, first - 1).expect("truncates");
    drop(log);
    let log = open_from(&disk, first, Arc::new(|_| {})).expect("opens");
    assert_eq!((log.first_index(), log.last_index()), (first, first - 1));
    append(&log, vec![entry(first, 9)]).expect("appends");
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn a_log_that_skips_goes_on_there_after_reopening() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    let place = append(&log, vec![entry(1, 100)]).expect("appends")[0];
    assert!(skip(&log, 1).is_err(), "what is there is not skipped");
    skip(&log, 50).expect("skips");
    assert_eq!((log.first_index(), log.last_index(), log.last_term()), (51, 50, 7));
    let disk = disk.lose_power(3);
    drop(log);
    let log = open_from(&disk, 51, Arc::new(|_| {})).expect("opens");
    assert_eq!((log.first_index(), log.last_index()), (51, 50));
    assert_eq!(log.read_at(place, 100).expect("is kept"), payload(1, 100));
    append(&log, vec![Entry { term: 7, ..entry(51, 100) }]).expect("appends");
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn a_purge_keeps_what_is_pointed_into() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    let places: Vec<Position> =
        (1..=60).map(|index| append(&log, vec![entry(index, 1000)]).expect("appends")[0]).collect();
    let firsts: Vec<u64> = log.segments().iter().map(|segment| segment.first_index).collect();
    log.purge(40, &firsts[1..].iter().copied().collect()).expect("purges");
    assert!(log.first_index() > 30 && log.first_index() <= 41);
    assert!(matches!(log.read(1..=1, 1), Err(Error::NotFound(_))));
    drop(log);
    let log = open_from(&disk, 41, Arc::new(|_| {})).expect("opens");
    assert_eq!(log.read_at(places[0], 1000).expect("is kept"), payload(1, 1000));
    assert!(log.segments()[0].is_retained);
    assert_eq!(log.last_index(), 60);
    log.purge(40, &BTreeSet::from([1])).expect("purges");
    assert!(matches!(log.read_at(places[0], 1000), Err(Error::Corrupt(_))));
    assert!(open_from(&disk, 1, Arc::new(|_| {})).is_err(), "entries that are needed are gone");
}

#[test]
fn a_file_that_nobody_has_looked_at_is_not_purged() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    let places: Vec<Position> =
        (1..=10).map(|index| append(&log, vec![entry(index, 1000)]).expect("appends")[0]).collect();
    let looked_at = log.segments();
    // Meanwhile the next file begins, and the one before it holds nothing but entries that may be purged.
    append(&log, vec![entry(11, SEGMENT_OCTETS as usize)]).expect("appends");
    let finished = looked_at.iter().zip(looked_at.iter().skip(1)).map(|(segment, _)| segment.first_index);
    log.purge(10, &finished.collect()).expect("purges");
    assert_eq!(log.read_at(places[9], 1000).expect("is kept"), payload(10, 1000));
    assert!(matches!(log.read_at(places[0], 1000), Err(Error::Corrupt(_))));
}
