//! The log on a disk that loses power, is full, fails, or lies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::simulated::Disk;
use super::*;
use crate::{Error, Result};

const SEGMENT_OCTETS: u64 = 8 * 1024;

fn open(disk: &Disk) -> Result<Log> {
    open_from(disk, 1, Arc::new(|_| {}))
}

fn open_from(disk: &Disk, first_needed: u64, on_fatal: OnFatal) -> Result<Log> {
    let (folder, files) = (PathBuf::from("/log"), Arc::new(disk.clone()));
    Log::open(Config { folder, segment_octets: SEGMENT_OCTETS, first_needed, files, on_fatal })
}

fn payload(index: u64, octets: usize) -> Bytes {
    (0..octets).map(|at| (at as u64 ^ index) as u8).collect::<Vec<_>>().into()
}

fn entry(index: u64, octets: usize) -> Entry {
    Entry { index, term: 1 + index / 100, payload: payload(index, octets) }
}

/// Appends and waits.
fn append(log: &Log, entries: Vec<Entry>) -> Result<Vec<Position>> {
    let (done, outcome) = mpsc::channel();
    log.append(entries, move |result| drop(done.send(result)))?;
    outcome.recv().expect("the writer tells")
}

fn truncate(log: &Log, index: u64) -> Result<()> {
    let (done, outcome) = mpsc::channel();
    log.truncate_after(index, move |result| drop(done.send(result)))?;
    outcome.recv().expect("the writer tells")
}

fn read_all(log: &Log) -> Vec<Entry> {
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

#[test]
fn a_full_disk_is_told_and_recovers_by_itself() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    append(&log, vec![entry(1, 100)]).expect("appends");
    disk.set_room(Some(100));
    let mut next = 2;
    let refused = loop {
        match append(&log, vec![entry(next, 1000)]) {
            Ok(_) => next += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Full(_)), "{refused:?}");
    assert!(append(&log, vec![entry(next, 1000)]).is_err());
    disk.set_room(None);
    append(&log, vec![entry(next, 1000)]).expect("there is room again");
    drop(log);
    assert_eq!(read_all(&open(&disk.lose_power(7)).expect("opens")).len() as u64, next);
}

#[test]
fn a_failed_sync_ends_the_log() {
    let disk = Disk::default();
    let fatal = Arc::new(AtomicUsize::new(0));
    let seen = fatal.clone();
    let log = open_from(
        &disk,
        1,
        Arc::new(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        }),
    )
    .expect("opens");
    append(&log, vec![entry(1, 100)]).expect("appends");
    disk.set_fails_to_sync();
    assert!(matches!(append(&log, vec![entry(2, 100)]), Err(Error::Closed)));
    assert_eq!(fatal.load(Ordering::SeqCst), 1);
    let later = append(&log, vec![entry(2, 100)]);
    assert!(later.is_err(), "no second attempt is taken for a success");
}

/// Appends at random until the power goes; all that was acknowledged must be there, and nothing that was
/// not appended.
#[test]
fn power_losses_lose_nothing_that_was_acknowledged() {
    for seed in 0..1000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disk = Disk::default();
        let mut acknowledged: u64 = 0;
        for life in 0..4 {
            let log = open(&disk).unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
            let entries = read_all(&log);
            let last = log.last_index();
            assert!(last >= acknowledged, "seed {seed}, life {life}: {last} of {acknowledged}");
            for entry in &entries {
                let expected = payload(entry.index, entry.payload.len());
                assert!(entry.payload == expected, "seed {seed}, life {life}: entry {}", entry.index);
            }
            let (done, outcomes) = mpsc::channel();
            let mut next = last + 1;
            for _ in 0..random.random_range(1..12) {
                let count = random.random_range(1..4);
                let entries = (next..next + count).map(|index| entry(index, random.random_range(0..3000)));
                let (done, until) = (done.clone(), next + count - 1);
                let tell = move |result: Result<_>| drop(done.send(result.map(|_| until)));
                log.append(entries.collect(), tell).expect("fits the queue");
                next += count;
            }
            drop(done);
            let waited = random.random_range(0..6);
            acknowledged = outcomes.iter().take(waited).flatten().last().unwrap_or(last);
            let next_disk =
                if random.random_bool(0.7) { disk.lose_power(random.random()) } else { disk.kill_process() };
            // What was told before the power went counts, too.
            acknowledged = outcomes.try_iter().flatten().last().unwrap_or(acknowledged);
            drop(log);
            disk = next_disk;
        }
    }
}

fn written(entries: u64) -> Disk {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    (1..=entries).for_each(|index| drop(append(&log, vec![entry(index, 200)]).expect("appends")));
    drop(log);
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_is_never_silently_a_loss(file in 0usize..4, at in 0usize..8192, bit in 0u8..8) {
        let disk = written(80);
        disk.damage(|files| {
            let count = files.len();
            let file = &mut files[file % count];
            let at = at % file.len();
            file[at] ^= 1 << bit;
        });
        match open(&disk) {
            Err(error) => prop_assert!(matches!(error, Error::Corrupt(_)), "{error}"),
            Ok(log) => {
                prop_assert_eq!(log.last_index(), 80);
                prop_assert!(read_all(&log).iter().all(|entry| entry.payload == payload(entry.index, 200)));
            }
        }
    }

    #[test]
    fn a_cut_file_gives_a_prefix_or_is_corrupt(at in 0usize..8192) {
        let disk = written(80);
        disk.damage(|files| files.last_mut().expect("a file").truncate(at));
        match open(&disk) {
            Err(error) => prop_assert!(matches!(error, Error::Corrupt(_)), "{error}"),
            Ok(log) => {
                prop_assert!(log.last_index() <= 80);
                prop_assert!(read_all(&log).iter().all(|entry| entry.payload == payload(entry.index, 200)));
            }
        }
    }

    #[test]
    fn recovery_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..2048), headed: bool, is_last: bool) {
        let mut file = if headed { segment::header(7).to_vec() } else { Vec::new() };
        record::write(&mut file, &Entry { index: 7, term: 1, payload: Bytes::from_static(b"x") }, 0);
        file.extend_from_slice(&octets);
        if let Ok(recovered) = segment::recover(&file, 7, is_last) {
            prop_assert!(recovered.end <= file.len() as u64);
        }
    }
}
