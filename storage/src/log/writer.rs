//! The thread that appends: takes all that waits, writes it, syncs once, and tells everyone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::files::{self, File, FileSystem};
use super::queue::{Done, Job, Queue};
use super::record::{self, Entry, HEADER_OCTETS, Position};
use super::segment::{self, SEGMENT_HEADER_OCTETS};
use crate::{Error, Result, limits};

/// Called when a sync failed: what is on disk is not known any more.
pub type OnFatal = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// The files of the log, shared with readers.
pub(super) struct Segments {
    /// Ascending by first index. The last one is written to.
    pub(super) list: Vec<Segment>,
    /// The first entry that is still there.
    pub(super) first_index: u64,
    pub(super) last_index: u64,
    pub(super) last_term: u64,
}

/// One file.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) first_index: u64,
    pub(super) file: Arc<dyn File>,
    /// Offset of each record; empty for a file that is only kept for what points into it.
    pub(super) offsets: Vec<u32>,
    /// Behind the last record.
    pub(super) end: u64,
    /// Kept only because something points into it.
    pub(super) is_retained: bool,
}

/// The thread's own state.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) segment_octets: u64,
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) queue: Arc<Queue>,
    pub(super) segments: Arc<RwLock<Segments>>,
    pub(super) on_fatal: OnFatal,
    /// The file written to; `None` before the first entry.
    pub(super) current: Option<Current>,
    /// Appends that wait for the sync.
    pub(super) written: Vec<Written>,
    pub(super) has_failed: bool,
}

/// How long the writer waits for more before it leaves a mark.
const IDLE: Duration = Duration::from_millis(20);

/// The file written to.
pub(super) struct Current {
    pub(super) first_index: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) end: u64,
    pub(super) synced: u64,
    pub(super) allocated: u64,
    /// Whether something was synced that no later record tells of.
    pub(super) is_unmarked: bool,
}

/// An append that is written and waits for the sync.
pub(super) struct Written {
    positions: Vec<Position>,
    done: Done<Vec<Position>>,
}

impl Writer {
    /// Runs until closed, or until a sync fails.
    pub(super) fn run(mut self) {
        let mut is_open = true;
        while is_open {
            let patience = self.is_unmarked().then_some(IDLE);
            let jobs = self.queue.take_all(patience);
            if jobs.is_empty() {
                self.mark();
                is_open &= !self.has_failed;
                continue;
            }
            for job in jobs {
                match job {
                    Job::Append(entries, done) => match self.append(&entries) {
                        Ok(positions) => self.written.push(Written { positions, done }),
                        Err(error) => {
                            // After those before it; how the sync went they have been told.
                            let _ = self.sync();
                            done(Err(error));
                        }
                    },
                    Job::Truncate(index, done) => done(self.truncate(index)),
                    Job::SkipTo(index, term, done) => done(self.skip_to(index, term)),
                    Job::Close => is_open = false,
                }
            }
            is_open &= self.sync().is_ok();
        }
        self.mark();
    }

    /// Makes durable what was written, and tells. A failure ends the log: nothing is known any more of
    /// what is on disk, and a second sync might succeed without having written anything.
    fn sync(&mut self) -> Result<()> {
        if self.has_failed {
            return Err(Error::Closed);
        }
        let unsynced = self.current.as_mut().filter(|current| current.synced < current.end);
        if let Some(current) = unsynced {
            if let Err(error) = current.file.sync_data() {
                return Err(self.fail(&error));
            }
            current.synced = current.end;
            current.is_unmarked = true;
        }
        self.written.drain(..).for_each(|append| (append.done)(Ok(append.positions)));
        Ok(())
    }

    /// What is on disk is not known any more: the end of the log.
    fn fail(&mut self, error: &io::Error) -> Error {
        self.has_failed = true;
        (self.on_fatal)(error);
        self.written.drain(..).for_each(|append| (append.done)(Err(Error::Closed)));
        self.queue.close();
        Error::Closed
    }

    fn is_unmarked(&self) -> bool {
        !self.has_failed && self.current.as_ref().is_some_and(|current| current.is_unmarked)
    }

    /// Leaves a mark behind the last entry that tells that it had been synced: with it, damage to that
    /// entry is known from a torn tail. Needs no sync of its own.
    fn mark(&mut self) {
        let Some(current) = self.current.as_mut().filter(|current| current.is_unmarked) else { return };
        current.is_unmarked = false;
        let fits = current.end + HEADER_OCTETS as u64 <= current.allocated;
        if self.has_failed || !fits {
            return;
        }
        let mut octets = Vec::with_capacity(HEADER_OCTETS);
        record::write_mark(&mut octets, current.synced);
        if let Err(error) = current.file.write_at(&octets, current.end) {
            tracing::warn!(%error, "no mark behind the log's last entry");
            return drop(self.wipe());
        }
        current.end += octets.len() as u64;
        if let Some(shared) = self.segments.write().list.last_mut() {
            shared.end = current.end;
        }
    }

    /// Writes the entries into one file, all or none.
    fn append(&mut self, entries: &[Entry]) -> Result<Vec<Position>> {
        let (last_index, last_term) = {
            let segments = self.segments.read();
            (segments.last_index, segments.last_term)
        };
        check_order(entries, last_index, last_term)?;
        if self.has_failed {
            return Err(Error::Closed);
        }
        let octets: u64 = entries.iter().map(|entry| (HEADER_OCTETS + entry.payload.len()) as u64).sum();
        let Some(last) = entries.last() else { return Ok(Vec::new()) };
        let current = self.room_for(octets, last_index + 1)?;
        let mut buffer = Vec::with_capacity(octets as usize);
        let mut offsets = Vec::with_capacity(entries.len());
        for entry in entries {
            offsets.push(current.end + buffer.len() as u64);
            record::write(&mut buffer, entry, current.synced);
        }
        if let Err(error) = current.file.write_at(&buffer, current.end) {
            self.wipe()?;
            return Err(unavailable(&error));
        }
        current.end += octets;
        let (segment, end) = (current.first_index, current.end);
        let mut segments = self.segments.write();
        segments.last_index = last.index;
        segments.last_term = last.term;
        let shared = segments.list.last_mut().expect("the current file is in the list");
        shared.end = end;
        shared.offsets.extend(offsets.iter().map(|offset| *offset as u32));
        Ok(offsets.iter().map(|offset| Position { segment, offset: offset + HEADER_OCTETS as u64 }).collect())
    }

    /// A write failed: nothing of it may be taken for an entry later, or for damage to one.
    fn wipe(&mut self) -> Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        files::clear_behind(&*current.file, current.end, current.allocated).map_err(|error| self.fail(&error))
    }

    /// The current file, or the next one if the octets do not fit.
    fn room_for(&mut self, octets: u64, next_index: u64) -> Result<&mut Current> {
        let fits = self.current.as_ref().is_some_and(|current| {
            // A file without entries takes one of any size.
            current.end + octets <= current.allocated || current.first_index == next_index
        });
        if !fits {
            // A finished file is whole on disk before the next one exists, and takes nothing more: where making the next
            // one fails, a power loss may bring it back.
            self.sync()?;
            self.current.iter_mut().for_each(|current| current.allocated = current.end);
            let size = self.segment_octets.max(octets + SEGMENT_HEADER_OCTETS as u64);
            let created = create(&*self.files, &self.folder, next_index, size)?;
            let mut segments = self.segments.write();
            segments.list.push(Segment {
                first_index: next_index,
                file: created.file.clone(),
                offsets: Vec::new(),
                end: created.end,
                is_retained: false,
            });
            self.current = Some(created);
        }
        Ok(self.current.as_mut().expect("just made"))
    }

    /// Cuts everything behind `index` off, durably. What is on disk after a failure is not known.
    fn truncate(&mut self, index: u64) -> Result<()> {
        self.sync()?;
        let segments = self.segments.read();
        if index + 1 < segments.first_index || index > segments.last_index {
            return Err(Error::Invalid(format!("truncation behind entry {index}").into()));
        }
        drop(segments);
        self.current = None;
        self.current = self.cut_off(index).map_err(|error| self.fail(&error))?;
        Ok(())
    }

    fn cut_off(&self, index: u64) -> io::Result<Option<Current>> {
        // A file whose making failed must not come back behind the cut.
        self.files.sync_folder(&self.folder)?;
        let mut segments = self.segments.write();
        // The first file stays, if without entries: it tells where the log goes on.
        while let Some(last) = segments.list.last()
            && last.first_index > index.max(segments.first_index)
            && !last.is_retained
        {
            self.files.remove(&segment::path(&self.folder, last.first_index))?;
            self.files.sync_folder(&self.folder)?;
            segments.list.pop();
        }
        segments.last_index = index;
        segments.last_term = 0;
        let Some(last) = segments.list.last_mut().filter(|last| !last.is_retained) else { return Ok(None) };
        let kept = (index + 1 - last.first_index) as usize;
        if let Some(cut) = last.offsets.get(kept) {
            last.end = u64::from(*cut);
            last.offsets.truncate(kept);
        }
        let allocated = self.segment_octets.max(last.end);
        files::clear_behind(&*last.file, last.end, allocated)?;
        let (first_index, file, end) = (last.first_index, last.file.clone(), last.end);
        segments.last_term = super::journal::term_of(&segments, index).map_err(io::Error::other)?;
        Ok(Some(Current { first_index, file, end, synced: end, allocated, is_unmarked: true }))
    }
}

impl Writer {
    /// Goes on behind `index`; all that is there stays only for what points into it. The next file is made at once: it
    /// tells where the log goes on.
    fn skip_to(&mut self, index: u64, term: u64) -> Result<()> {
        self.sync()?;
        if index <= self.segments.read().last_index {
            return Err(Error::Invalid(format!("skipping to entry {index}, which is there").into()));
        }
        let created = self.create_apart(index + 1)?;
        let mut segments = self.segments.write();
        for segment in &mut segments.list {
            segment.is_retained = true;
            segment.offsets = Vec::new();
        }
        segments.list.push(Segment {
            first_index: index + 1,
            file: created.file.clone(),
            offsets: Vec::new(),
            end: created.end,
            is_retained: false,
        });
        (segments.first_index, segments.last_index, segments.last_term) = (index + 1, index, term);
        self.current = Some(created);
        Ok(())
    }

    /// Makes a file that does not follow the last entry. Where that fails its name must not come back: what is appended
    /// meanwhile would not reach it.
    fn create_apart(&mut self, first_index: u64) -> Result<Current> {
        create(&*self.files, &self.folder, first_index, self.segment_octets).or_else(|error| {
            let removed = match self.files.remove(&segment::path(&self.folder, first_index)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => self.files.sync_folder(&self.folder),
            };
            removed.map_err(|error| self.fail(&error))?;
            Err(error)
        })
    }
}

/// Makes the file that begins with `first_index`, whole on disk before anything is written to it.
fn create(
    files: &dyn FileSystem,
    folder: &std::path::Path,
    first_index: u64,
    allocated: u64,
) -> Result<Current> {
    let path = segment::path(folder, first_index);
    if let Err(error) = files.remove(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(unavailable(&error));
    }
    let make = || -> io::Result<Arc<dyn File>> {
        let file = files.open(&path, true)?;
        file.allocate(allocated)?;
        file.write_at(&segment::header(first_index), 0)?;
        file.sync_data()?;
        files.sync_folder(folder)?;
        Ok(file)
    };
    let end = SEGMENT_HEADER_OCTETS as u64;
    match make() {
        Ok(file) => Ok(Current { first_index, file, end, synced: end, allocated, is_unmarked: false }),
        Err(error) => {
            // Best effort: the next attempt removes what is left, and recovery takes it for unfinished.
            if let Err(error) = files.remove(&path) {
                tracing::debug!(%error, ?path, "unfinished log file stays");
            }
            Err(unavailable(&error))
        }
    }
}

fn check_order(entries: &[Entry], last_index: u64, last_term: u64) -> Result<()> {
    let mut before = (last_index, last_term);
    for entry in entries {
        if entry.index != before.0 + 1 || entry.term < before.1 {
            return Err(Error::Unavailable(format!("entry {} follows {}", entry.index, before.0).into()));
        }
        if entry.payload.len() > limits::LOG_ENTRY_OCTETS {
            return Err(Error::TooLarge(format!("log entry of {} octets", entry.payload.len()).into()));
        }
        before = (entry.index, entry.term);
    }
    Ok(())
}

fn unavailable(error: &io::Error) -> Error {
    Error::of_device("log", error)
}
