//! The log on a disk that loses power, is full, fails, or lies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::files::FileSystem;
use super::record::HEADER_OCTETS;
use super::simulated::Disk;
use super::tests::{append, entry, open, open_from, payload, read_all, skip, truncate};
use super::*;
use crate::{Error, Result};

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

/// It can be read after a restart, although the disk does not have it: who has seen it must not lose it later.
#[test]
fn what_a_failed_sync_left_is_written_again() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    append(&log, vec![entry(1, 100)]).expect("appends");
    disk.set_fails_to_sync();
    assert!(append(&log, vec![entry(2, 3000)]).is_err());
    let disk = disk.kill_process();
    drop(log);
    let log = open(&disk).expect("opens");
    assert_eq!(read_all(&log), [entry(1, 100), entry(2, 3000)]);
    append(&log, vec![entry(3, 100)]).expect("appends");
    let disk = disk.lose_power(11);
    drop(log);
    assert_eq!(read_all(&open(&disk).expect("opens")).len(), 3);
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

/// Who appends knows by the order which of the entries under way an outcome is of.
#[test]
fn outcomes_are_told_in_the_order_of_the_appends() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    let (done, outcomes) = mpsc::channel();
    disk.cut_next_write(Some(500));
    // The second and the third wait together for the writer.
    let held = disk.hold();
    for (index, octets) in [(1, 100), (2, 100), (3, 1000)] {
        let done = done.clone();
        let tell = move |outcome: Result<_>| done.send((index, outcome.is_ok())).expect("is heard");
        log.append(vec![entry(index, octets)], tell).expect("fits the queue");
    }
    drop((held, done));
    assert_eq!(outcomes.iter().collect::<Vec<_>>(), [(1, true), (2, true), (3, false)]);
}

/// What a write that failed half way left is neither an entry, nor damage to one, whatever happens next.
#[test]
fn a_write_that_was_cut_short_leaves_nothing() {
    // A mark is too short to be cut there.
    for cut in (HEADER_OCTETS..1150).step_by(7) {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        append(&log, vec![entry(1, 100)]).expect("appends");
        // Its payload holds a whole record, as somebody may send one who knows how a log looks.
        let mut forged = payload(2, 200).to_vec();
        record::write(&mut forged, &entry(3, 900), 0);
        disk.cut_next_write(Some(cut));
        let refused = append(&log, vec![Entry { payload: forged.into(), ..entry(2, 0) }]);
        assert!(matches!(refused, Err(Error::Unavailable(_))), "cut {cut}: {refused:?}");
        append(&log, vec![entry(2, 200)]).expect("appends");
        let next = if cut % 2 == 0 { disk.lose_power(cut as u64) } else { disk.kill_process() };
        drop(log);
        let entries = read_all(&open(&next).unwrap_or_else(|error| panic!("cut {cut}: {error}")));
        assert_eq!(entries, [entry(1, 100), entry(2, 200)], "cut {cut}");
    }
}

#[test]
fn a_mark_that_was_cut_short_is_no_damage() {
    for cut in 0..HEADER_OCTETS {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        append(&log, vec![entry(1, 100)]).expect("appends");
        disk.cut_next_write(Some(cut));
        // When it ends it leaves a mark, if it has not done so already.
        drop(log);
        disk.cut_next_write(None);
        assert_eq!(read_all(&open(&disk).expect("opens")), [entry(1, 100)], "cut {cut}");
    }
}

/// What it wrote cannot be taken back, so that the log is over although nobody waits for anything.
#[test]
fn a_mark_that_fails_on_a_dead_disk_ends_the_log() {
    // Where the mark was written before the power went, nothing fails.
    let ended = (0..50).any(|seed| {
        let disk = Disk::default();
        let (told, fatal) = mpsc::channel();
        let log = open_from(&disk, 1, Arc::new(move |_| told.send(()).unwrap_or(()))).expect("opens");
        append(&log, vec![entry(1, 100)]).expect("appends");
        disk.lose_power(seed);
        let has_failed = fatal.recv_timeout(Duration::from_millis(500)).is_ok();
        log.close();
        has_failed
    });
    assert!(ended);
}

/// Where skipping fails, what is appended afterwards is found.
#[test]
fn a_skip_that_failed_leaves_nothing() {
    for seed in 0..50 {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        append(&log, vec![entry(1, 100)]).expect("appends");
        disk.set_room(Some(0));
        let refused = skip(&log, 50);
        assert!(matches!(refused, Err(Error::Full(_))), "seed {seed}: {refused:?}");
        append(&log, vec![entry(2, 100)]).expect("appends");
        let next = disk.lose_power(seed);
        drop(log);
        let log = open(&next).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(read_all(&log), [entry(1, 100), entry(2, 100)], "seed {seed}");
        skip(&log, 50).expect("there is room again");
    }
}

/// Where making the next file fails, its name may come back: nothing was appended to the one before meanwhile.
#[test]
fn a_file_whose_making_failed_may_come_back() {
    for seed in 0..50 {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        append(&log, vec![entry(1, 5000)]).expect("appends");
        disk.set_room(Some(0));
        assert!(append(&log, vec![entry(2, 5000)]).is_err(), "it needs a file of its own");
        disk.set_room(None);
        append(&log, vec![entry(2, 50)]).expect("appends");
        let next = disk.lose_power(seed);
        drop(log);
        let entries = read_all(&open(&next).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        assert_eq!(entries, [entry(1, 5000), entry(2, 50)], "seed {seed}");
    }
}

/// Nor does it follow nothing where what came before it was cut off meanwhile.
#[test]
fn a_file_whose_making_failed_does_not_come_back_behind_a_cut() {
    for seed in 0..50 {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        append(&log, vec![entry(1, 5000), entry(2, 50)]).expect("appends");
        disk.set_room(Some(0));
        assert!(append(&log, vec![entry(3, 5000)]).is_err(), "it needs a file of its own");
        disk.set_room(None);
        truncate(&log, 0).expect("cuts");
        let next = disk.lose_power(seed);
        drop(log);
        let entries = read_all(&open(&next).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        assert_eq!(entries, [], "seed {seed}");
    }
}

/// Likewise where a file was removed by someone who was killed before that was durable.
#[test]
fn a_file_whose_removal_was_cut_short_may_come_back() {
    for seed in 0..50 {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        (1..=3).for_each(|index| drop(append(&log, vec![entry(index, 5000)]).expect("appends")));
        let killed = disk.kill_process();
        drop(log);
        killed.remove(&segment::path(Path::new("/log"), 3)).expect("is there");
        let log = open(&killed).expect("opens");
        (3..=5).for_each(|index| drop(append(&log, vec![entry(index, 500)]).expect("appends")));
        let next = killed.lose_power(seed);
        drop(log);
        let entries = read_all(&open(&next).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        assert_eq!(entries.len(), 5, "seed {seed}");
    }
}

#[test]
fn a_full_disk_can_be_truncated() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    (1..=20).for_each(|index| drop(append(&log, vec![entry(index, 1000)]).expect("appends")));
    disk.set_room(Some(0));
    truncate(&log, 5).expect("truncates");
    append(&log, vec![entry(6, 10)]).expect("there is room left in the file");
    drop(log);
    assert_eq!(read_all(&open(&disk.lose_power(3)).expect("opens")).len(), 6);
}

#[test]
fn a_truncation_whose_sync_failed_ends_the_log() {
    let disk = Disk::default();
    let log = open(&disk).expect("opens");
    (1..=20).for_each(|index| drop(append(&log, vec![entry(index, 1000)]).expect("appends")));
    disk.set_fails_to_sync();
    assert!(matches!(truncate(&log, 5), Err(Error::Closed)));
    assert!(append(&log, vec![entry(6, 10)]).is_err());
    let disk = disk.kill_process();
    drop(log);
    let log = open(&disk).expect("opens");
    assert!((5..=20).contains(&log.last_index()));
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
    fn damage_to_the_last_entry_is_no_torn_tail_although_nothing_follows_it(length in 1..3000usize, bit: usize) {
        let disk = Disk::default();
        let log = open(&disk).expect("opens");
        // No sector of it is zeros, or it could be torn.
        let payload: Vec<u8> = payload(1, length).iter().map(|octet| octet | 1).collect();
        append(&log, vec![Entry { payload: payload.into(), ..entry(1, 0) }]).expect("appends");
        // At once: as a rule before the writer has left a mark.
        let disk = disk.kill_process();
        drop(log);
        let bit = bit % (8 * (HEADER_OCTETS + length));
        disk.damage(|files| files[0][segment::SEGMENT_HEADER_OCTETS + bit / 8] ^= 1 << (bit % 8));
        prop_assert!(matches!(open(&disk), Err(Error::Corrupt(_))));
    }

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
