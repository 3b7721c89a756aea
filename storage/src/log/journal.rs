//! The log as its users see it: append, read, truncate, purge. Entries are durable when an append is done.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::files::{FileSystem, RealFiles};
use super::queue::{Job, Queue};
use super::record::{Entry, HEADER_OCTETS, Header, Position};
use super::recovery;
use super::segment;
use super::writer::{OnFatal, Segment, Segments, Writer};
use crate::{Error, Result, limits};

/// How the log is kept.
pub struct Config {
    /// Its folder, made if need be.
    pub folder: PathBuf,
    /// Size that each file is preallocated at.
    pub segment_octets: u64,
    /// The first entry that must be there; files wholly before it are only kept for what points into them.
    pub first_needed: u64,
    /// The file system.
    pub files: Arc<dyn FileSystem>,
    /// What follows a failed sync: what is on disk is not known then, and the process must end.
    pub on_fatal: OnFatal,
}

impl Config {
    /// The real thing: a failed sync aborts the process.
    pub fn new(folder: PathBuf) -> Self {
        let on_fatal: OnFatal = Arc::new(|error| {
            tracing::error!(%error, "it is not known any more what is on disk: aborting");
            std::process::abort();
        });
        let (files, segment_octets) = (Arc::new(RealFiles), limits::LOG_SEGMENT_OCTETS);
        Self { folder, segment_octets, first_needed: 1, files, on_fatal }
    }
}

/// One file of the log, as told to those who decide what may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its name: the index of its first entry.
    pub first_index: u64,
    /// Octets in use.
    pub octets: u64,
    /// Whether it is kept only for what points into it.
    pub is_retained: bool,
}

/// The log. Ends its thread when dropped; what was not acknowledged may then be lost.
pub struct Log {
    folder: PathBuf,
    files: Arc<dyn FileSystem>,
    queue: Arc<Queue>,
    segments: Arc<RwLock<Segments>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    /// Opens and recovers: a torn tail is cut; `Corrupt` where something synced is lost.
    pub fn open(config: Config) -> Result<Self> {
        let Config { folder, segment_octets, first_needed, files, on_fatal } = config;
        files.create_folder(&folder)?;
        // What was removed before a crash stays removed, whatever is appended now.
        files.sync_folder(&folder)?;
        let mut segments = recovery::recover_all(&*files, &folder, first_needed)?;
        let current = recovery::reopen_last(&*files, &folder, segment_octets, &mut segments)?;
        let segments = Arc::new(RwLock::new(segments));
        let queue = Arc::new(Queue::default());
        let writer = Writer {
            folder: folder.clone(),
            segment_octets,
            files: files.clone(),
            queue: queue.clone(),
            segments: segments.clone(),
            on_fatal,
            current,
            written: Vec::new(),
            has_failed: false,
        };
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        Ok(Self { folder, files, queue, segments, thread: Mutex::new(Some(thread)) })
    }

    /// Hands entries that follow the last one to the writer; `done` is called from its thread once they
    /// are durable, with the place of each payload, and must not block. Outcomes are told in the order of
    /// the appends. `Overloaded` if the queue is full; `Unavailable` if the disk is, or if an entry before
    /// failed: nothing was changed.
    pub fn append(
        &self,
        entries: Vec<Entry>,
        done: impl FnOnce(Result<Vec<Position>>) + Send + 'static,
    ) -> Result<()> {
        self.queue.push(Job::Append(entries, Box::new(done)))
    }

    /// Cuts all entries behind `index` off, durably: they were never committed.
    pub fn truncate_after(&self, index: u64, done: impl FnOnce(Result<()>) + Send + 'static) -> Result<()> {
        self.queue.push(Job::Truncate(index, Box::new(done)))
    }

    /// Goes on behind an entry that the log does not reach, durably: what came before is known from elsewhere.
    pub fn skip_to(
        &self,
        index: u64,
        term: u64,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) -> Result<()> {
        self.queue.push(Job::SkipTo(index, term, Box::new(done)))
    }

    /// The first entry still there; one more than the last if there is none.
    pub fn first_index(&self) -> u64 {
        self.segments.read().first_index
    }

    /// The last entry; 0 if there never was one.
    pub fn last_index(&self) -> u64 {
        self.segments.read().last_index
    }

    /// The last entry's term.
    pub fn last_term(&self) -> u64 {
        self.segments.read().last_term
    }

    /// Entries of the range, from its begin, until `octets` of payload are reached (at least one entry).
    /// `NotFound` for entries purged or not yet written.
    pub fn read(&self, range: RangeInclusive<u64>, octets: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut total = 0;
        for index in range {
            if total >= octets && !entries.is_empty() {
                break;
            }
            let entry = read_entry(&self.segments.read(), index)?;
            total += entry.payload.len();
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Where the entry's payload stands.
    pub fn position(&self, index: u64) -> Result<Position> {
        let segments = self.segments.read();
        let (segment, begin, _) = place_of(&segments, index)?;
        Ok(Position { segment: segment.first_index, offset: begin + HEADER_OCTETS as u64 })
    }

    /// Octets at a place inside an entry's payload. The caller checks them.
    pub fn read_at(&self, position: Position, length: usize) -> Result<Bytes> {
        let file = {
            let segments = self.segments.read();
            let found = segments.list.binary_search_by_key(&position.segment, |segment| segment.first_index);
            let at =
                found.map_err(|_| Error::Corrupt(format!("log file {} is gone", position.segment).into()))?;
            segments.list[at].file.clone()
        };
        let mut octets = vec![0; length];
        if file.read_at(&mut octets, position.offset)? < length {
            return Err(Error::Corrupt(format!("log file {} is short", position.segment).into()));
        }
        Ok(octets.into())
    }

    /// All files, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Segment| SegmentInfo {
            first_index: segment.first_index,
            octets: segment.end,
            is_retained: segment.is_retained,
        };
        self.segments.read().list.iter().map(info).collect()
    }

    /// Purges entries up to `index` as far as whole files go. Of their files those of `may_go` (by first index)
    /// are removed; the others stay for what points into them, until a later call names them. A file that the
    /// caller has not looked at, because it was not finished then, is never among them.
    pub fn purge(&self, index: u64, may_go: &BTreeSet<u64>) -> Result<()> {
        let removed = {
            let mut segments = self.segments.write();
            let followers: Vec<u64> = segments.list.iter().skip(1).map(|next| next.first_index).collect();
            let mut removed = Vec::new();
            for (segment, next) in segments.list.iter_mut().zip(&followers) {
                segment.is_retained |= *next <= index + 1;
                if segment.is_retained {
                    segment.offsets = Vec::new();
                }
                if segment.is_retained && may_go.contains(&segment.first_index) {
                    removed.push(segment.first_index);
                }
            }
            segments.list.retain(|segment| !removed.contains(&segment.first_index));
            let first = segments.list.iter().find(|segment| !segment.is_retained);
            segments.first_index = first.map_or(segments.last_index + 1, |segment| segment.first_index);
            removed
        };
        for first_index in &removed {
            self.files.remove(&segment::path(&self.folder, *first_index))?;
        }
        if !removed.is_empty() {
            self.files.sync_folder(&self.folder)?;
        }
        Ok(())
    }

    /// Finishes what waits and ends the thread. Blocks.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        // It fails only if the thread is over already.
        let _ = self.queue.push(Job::Close);
        if thread.join().is_err() {
            tracing::error!("the log's thread panicked");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// The term of an entry that is there; 0 for the place before the first.
pub(super) fn term_of(segments: &Segments, index: u64) -> Result<u64> {
    if index < segments.first_index { Ok(0) } else { Ok(read_entry(segments, index)?.term) }
}

/// The entry's file, and where its record begins and ends in it.
fn place_of(segments: &Segments, index: u64) -> Result<(&Segment, u64, u64)> {
    let missing = || Error::NotFound(format!("log entry {index}").into());
    let after = segments.list.partition_point(|segment| segment.first_index <= index);
    let segment = after.checked_sub(1).and_then(|at| segments.list.get(at)).ok_or_else(missing)?;
    let place = (index - segment.first_index) as usize;
    let begin = u64::from(*segment.offsets.get(place).ok_or_else(missing)?);
    let end = segment.offsets.get(place + 1).map_or(segment.end, |next| u64::from(*next));
    Ok((segment, begin, end))
}

fn read_entry(segments: &Segments, index: u64) -> Result<Entry> {
    let (segment, begin, end) = place_of(segments, index)?;
    let mut octets = vec![0; (end - begin) as usize];
    let read = segment.file.read_at(&mut octets, begin)?;
    match Header::read(&octets).filter(|header| read == octets.len() && header.checks(&octets)) {
        Some(Header { term, length, index: found, .. }) if found == index => {
            // A mark may stand behind the record.
            octets.truncate(HEADER_OCTETS + length);
            Ok(Entry { index, term, payload: Bytes::from(octets).slice(HEADER_OCTETS..) })
        }
        _ => Err(Error::Corrupt(format!("log entry {index}").into())),
    }
}
