//! The log on a disk that loses power, is full, fails to sync, or is damaged: all that was acknowledged comes back,
//! and nothing else; what is damaged is a prefix or `Corrupt`, never a torn entry.
//!
//! Input: a story of appends, cuts and crashes, then damage; or the octets of one file.

#![no_main]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sterna_storage::log::record::{self, HEADER_OCTETS, Header};
use sterna_storage::log::segment::{self, SEGMENT_HEADER_OCTETS};
use sterna_storage::log::simulated::Disk;
use sterna_storage::log::{Config, Entry, Log};
use sterna_storage::{Error, Result};

fuzz_target!(|input: Input| match input {
    Input::Story { segment_octets, acts, damage } => story(segment_octets, acts, &damage),
    Input::File { first_index, is_last, pieces } => file(u64::from(first_index) + 1, is_last, pieces),
});

#[derive(Debug, Arbitrary)]
enum Input {
    Story { segment_octets: u16, acts: Vec<Act>, damage: Vec<Damage> },
    File { first_index: u8, is_last: bool, pieces: Vec<Piece> },
}

#[derive(Debug, Arbitrary)]
enum Act {
    /// Entries of these lengths, together.
    Append(Vec<u16>),
    /// A new term begins.
    Elect,
    /// So many entries of the end go.
    Truncate(u8),
    /// So many entries of the begin go.
    Purge(u8),
    Reopen,
    /// The process or the machine ends while entries are on their way.
    Crash {
        on_their_way: Vec<u16>,
        power: Option<u64>,
    },
    /// From now on the disk has room for so many octets; or for any number.
    Room(Option<u16>),
    /// An append whose write takes only so many octets, and fails.
    CutWrite {
        entries: Vec<u16>,
        at: u16,
    },
    /// An append whose sync fails, and a restart.
    FailedSync(Vec<u16>),
}

/// What befalls the files behind the log's back.
#[derive(Debug, Arbitrary)]
enum Damage {
    Flip { file: u8, at: u16, bit: u8 },
    Write { file: u8, at: u16, octets: Vec<u8> },
    Zeros { file: u8, at: u16, octets: u8 },
    Cut { file: u8, at: u16 },
    Remove { file: u8 },
}

/// The log, and what it must hold.
struct Story {
    disk: Disk,
    segment_octets: u64,
    log: Option<Log>,
    /// All entries, purged ones too; those of one append together.
    entries: Vec<Entry>,
    term: u64,
    purged: u64,
    /// Entries that were on their way when the log ended: they may be there or not, the first ones first.
    perhaps: Vec<Entry>,
}

fn story(segment_octets: u16, acts: Vec<Act>, damage: &[Damage]) {
    let segment_octets = 256 + u64::from(segment_octets % 8_192);
    let mut story = Story {
        disk: Disk::default(),
        segment_octets,
        log: None,
        entries: Vec::new(),
        term: 1,
        purged: 0,
        perhaps: Vec::new(),
    };
    story.open();
    acts.into_iter().take(24).for_each(|act| story.act(act));
    story.reopen(None);
    story.log = None;
    if !damage.is_empty() {
        story.damaged(&damage[..damage.len().min(4)]);
    }
}

impl Story {
    fn config(&self) -> Config {
        Config {
            folder: PathBuf::from("/log"),
            segment_octets: self.segment_octets,
            first_needed: self.purged + 1,
            files: Arc::new(self.disk.clone()),
            on_fatal: Arc::new(|_| {}),
        }
    }

    fn open(&mut self) {
        self.log = Some(Log::open(self.config()).expect("nothing is damaged"));
    }

    fn log(&self) -> &Log {
        self.log.as_ref().expect("open")
    }

    fn new_entries(&self, lengths: &[u16]) -> Vec<Entry> {
        let next = self.entries.len() as u64 + 1;
        let lengths = lengths.iter().take(5).map(|length| usize::from(length % 3_000));
        (next..).zip(lengths).map(|(index, length)| entry(index, self.term, length)).collect()
    }

    fn append(&self, entries: Vec<Entry>) -> Result<()> {
        let (done, outcome) = mpsc::channel();
        self.log().append(entries, move |result| drop(done.send(result.map(|_| ()))))?;
        outcome.recv().expect("the writer tells")
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append(lengths) => {
                let entries = self.new_entries(&lengths);
                match self.append(entries.clone()) {
                    Ok(()) => self.entries.extend(entries),
                    Err(Error::Full(_)) => {}
                    Err(error) => panic!("an append failed: {error}"),
                }
            }
            Act::CutWrite { entries, at } => {
                let entries = self.new_entries(&entries);
                self.disk.cut_next_write(Some(usize::from(at)));
                match self.append(entries.clone()) {
                    // It is shorter, or it befell a mark.
                    Ok(()) => self.entries.extend(entries),
                    Err(Error::Full(_) | Error::Unavailable(_)) => {}
                    Err(error) => panic!("an append failed: {error}"),
                }
                self.disk.cut_next_write(None);
            }
            Act::Elect => self.term += 1,
            Act::Truncate(count) => self.truncate(count),
            Act::Purge(count) => {
                self.purged = (self.purged + u64::from(count)).min(self.entries.len() as u64);
                let files: BTreeSet<u64> =
                    self.log().segments().iter().map(|segment| segment.first_index).collect();
                self.log().purge(self.purged, &files).expect("the disk removes files");
                assert!(self.log().first_index() <= self.purged + 1, "what is needed was purged");
            }
            Act::Reopen => self.reopen(None),
            Act::Crash { on_their_way, power } => {
                self.perhaps = self.new_entries(&on_their_way);
                let on_their_way = self.perhaps.chunks(2).map(<[Entry]>::to_vec);
                for entries in on_their_way.filter(|entries| !entries.is_empty()) {
                    self.log().append(entries, |_| {}).expect("the queue is short");
                }
                let disk = power.map_or_else(|| self.disk.kill_process(), |seed| self.disk.lose_power(seed));
                self.reopen(Some(disk));
            }
            Act::Room(room) => self.disk.set_room(room.map(u64::from)),
            Act::FailedSync(lengths) => {
                self.perhaps = self.new_entries(&lengths);
                if !self.perhaps.is_empty() {
                    self.disk.set_fails_to_sync();
                    let failed = self.append(self.perhaps.clone());
                    assert!(matches!(failed, Err(Error::Closed | Error::Full(_) | Error::Unavailable(_))));
                    let later = self.append(self.perhaps.clone());
                    assert!(later.is_err(), "no second attempt is taken for a success");
                }
                let disk = self.disk.kill_process();
                self.reopen(Some(disk));
            }
        }
    }

    fn truncate(&mut self, count: u8) {
        let kept = self.entries.len().saturating_sub(usize::from(count)).max(self.purged as usize);
        let (done, outcome) = mpsc::channel();
        self.log().truncate_after(kept as u64, move |result| drop(done.send(result))).expect("open");
        outcome.recv().expect("the writer tells").expect("entries that are there can be cut off");
        self.entries.truncate(kept);
        self.check();
    }

    /// Ends the log and opens it again, on the disk that is left.
    fn reopen(&mut self, disk: Option<Disk>) {
        self.log = None;
        self.disk = disk.unwrap_or_else(|| self.disk.clone());
        self.open();
        let more = self.log().last_index().saturating_sub(self.entries.len() as u64) as usize;
        assert!(more <= self.perhaps.len(), "entries that nobody appended");
        let perhaps = std::mem::take(&mut self.perhaps);
        self.entries.extend(perhaps.into_iter().take(more));
        self.check();
    }

    /// The log holds just what it must.
    fn check(&self) {
        let log = self.log();
        assert_eq!(log.last_index(), self.entries.len() as u64);
        let first = log.first_index();
        assert!(first <= self.purged + 1);
        self.check_entries(log, first, self.entries.len() as u64);
        if let Some(last) = self.entries.last().filter(|last| last.index >= first) {
            assert_eq!(log.last_term(), last.term);
        }
    }

    fn check_entries(&self, log: &Log, first: u64, last: u64) {
        if first > last {
            return;
        }
        let read = log.read(first..=last, usize::MAX).expect("what is there can be read");
        assert_eq!(read, self.entries[first as usize - 1..last as usize]);
    }

    /// Damages the files of a log that was closed.
    fn damaged(&mut self, damage: &[Damage]) {
        // Where each entry's record ends, and in which file.
        let log = Log::open(self.config()).expect("nothing is damaged yet");
        let files: Vec<u64> = log.segments().iter().map(|segment| segment.first_index).collect();
        let first = log.first_index();
        let ends: Vec<(usize, u64)> = (first..=self.entries.len() as u64)
            .map(|index| {
                let place = log.position(index).expect("it is there");
                let file = files.binary_search(&place.segment).expect("its file is there");
                (file, place.offset + self.entries[index as usize - 1].payload.len() as u64)
            })
            .collect();
        drop(log);
        let (mut first_hit, mut may_be_torn) = ((usize::MAX, u64::MAX), false);
        self.disk.damage(|files| {
            may_be_torn = ends.last().is_some_and(|(file, end)| {
                let length = self.entries.last().map_or(0, |last| last.payload.len());
                begins_with_unwritten_sector(&files[*file], *end as usize - length - HEADER_OCTETS)
            });
            damage.iter().for_each(|one| {
                if let Some(hit) = inflict(one, files) {
                    first_hit = first_hit.min(hit);
                }
            });
        });
        let log = match Log::open(self.config()) {
            Err(error) => return assert!(matches!(error, Error::Corrupt(_)), "{error}"),
            Ok(log) => log,
        };
        let last = log.last_index();
        assert!(last <= self.entries.len() as u64, "entries that nobody appended");
        self.check_entries(&log, log.first_index(), last);
        let whole = ends.iter().take_while(|end| **end <= first_hit).count() as u64;
        assert!(last + 1 >= first + whole, "entries before the damage are gone: {last}, {first} + {whole}");
        if let [Damage::Flip { .. }] = damage
            && !may_be_torn
        {
            assert_eq!(last, self.entries.len() as u64, "a synced entry is gone silently");
        }
    }
}

/// Of a payload none of whose octets is zero, so that no sector of it looks as if it was not written.
fn entry(index: u64, term: u64, length: usize) -> Entry {
    let payload: Vec<u8> =
        (0..length as u64).map(|at| (at.wrapping_mul(7) ^ index ^ term) as u8 | 1).collect();
    Entry { index, term, payload: payload.into() }
}

/// Whether a record begins with zeros up to the end of a sector: then damage behind it can be a torn write.
fn begins_with_unwritten_sector(file: &[u8], begin: usize) -> bool {
    let sector = begin.next_multiple_of(512).min(file.len());
    sector > begin && file[begin..sector].iter().all(|octet| *octet == 0)
}

/// Where the damage begins; `None` if it changes nothing.
fn inflict(damage: &Damage, files: &mut [Vec<u8>]) -> Option<(usize, u64)> {
    let (Damage::Flip { file, .. }
    | Damage::Write { file, .. }
    | Damage::Zeros { file, .. }
    | Damage::Cut { file, .. }
    | Damage::Remove { file }) = damage;
    let number = usize::from(*file).checked_rem(files.len())?;
    let octets = &mut files[number];
    let before = octets.clone();
    match damage {
        Damage::Flip { at, bit, .. } => {
            let at = usize::from(*at).checked_rem(octets.len())?;
            octets[at] ^= 1 << (bit % 8);
        }
        Damage::Write { at, octets: written, .. } => {
            let at = usize::from(*at).checked_rem(octets.len())?;
            octets.iter_mut().skip(at).zip(written).for_each(|(octet, new)| *octet = *new);
        }
        Damage::Zeros { at, octets: count, .. } => {
            let at = usize::from(*at).checked_rem(octets.len())?;
            octets.iter_mut().skip(at).take(usize::from(*count)).for_each(|octet| *octet = 0);
        }
        Damage::Cut { at, .. } => octets.truncate(usize::from(*at)),
        // The name stays: a file that is gone altogether is `purge`'s matter, and its neighbours tell.
        Damage::Remove { .. } => octets.clear(),
    }
    let same = before.iter().zip(octets.iter()).take_while(|(one, other)| one == other).count();
    (same < before.len()).then_some((number, same as u64))
}

/// What a file is made of.
#[derive(Debug, Arbitrary)]
enum Piece {
    /// The record that belongs here.
    Next {
        term: u8,
        length: u8,
        synced: u16,
    },
    /// One whose checksum is right, and which may not belong here.
    Stray {
        index: u8,
        term: u8,
        length: u8,
        synced: u16,
    },
    Mark {
        synced: u16,
    },
    Octets(Vec<u8>),
    Zeros(u8),
}

fn file(first_index: u64, is_last: bool, pieces: Vec<Piece>) {
    let mut octets = segment::header(first_index).to_vec();
    // What stands before anything is wrong.
    let (mut next, mut term, mut sound) = (first_index, 0, true);
    let write = |octets: &mut Vec<u8>, index: u64, term: u64, length: u8, synced: u16| {
        let payload = Bytes::from(vec![length; usize::from(length)]);
        record::write(octets, &Entry { index, term, payload }, u64::from(synced));
    };
    for piece in pieces {
        match piece {
            Piece::Next { term: step, length, synced } => {
                let own_term = term + u64::from(step);
                write(&mut octets, next, own_term, length, synced);
                if sound {
                    (next, term) = (next + 1, own_term);
                }
            }
            Piece::Stray { index, term, length, synced } => {
                write(&mut octets, u64::from(index), u64::from(term), length, synced);
                sound = false;
            }
            Piece::Mark { synced } => record::write_mark(&mut octets, u64::from(synced)),
            Piece::Octets(any) => {
                octets.extend_from_slice(&any);
                sound = false;
            }
            Piece::Zeros(count) => {
                octets.resize(octets.len() + usize::from(count), 0);
                sound = false;
            }
        }
    }
    let recovered = match segment::recover(&octets, first_index, is_last) {
        Err(error) => return assert!(matches!(error, Error::Corrupt(_)), "{error}"),
        Ok(recovered) => recovered,
    };
    assert!(recovered.offsets.len() as u64 >= next - first_index, "sound records are gone");
    let mut end = SEGMENT_HEADER_OCTETS;
    let mut last_term = 0;
    for (index, offset) in (first_index..).zip(&recovered.offsets) {
        let offset = *offset as usize;
        assert!(offset >= end);
        let header = Header::read(&octets[offset..]).expect("a header");
        assert!(header.checks(&octets[offset..]) && header.index == index && header.term >= last_term);
        last_term = header.term;
        end = offset + HEADER_OCTETS + header.length;
    }
    assert!(end as u64 <= recovered.end && recovered.end <= octets.len() as u64);
    assert_eq!(recovered.last_term, last_term);
    assert_eq!(recovered.torn, octets[recovered.end as usize..].iter().any(|octet| *octet != 0));
    assert!(is_last || !recovered.torn);
}
