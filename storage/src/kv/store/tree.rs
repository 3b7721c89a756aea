//! The tree: entries are applied to it; [`super::reading`] reads from it at versions.
//!
//! A transaction's version is its items' sequence number, with room for sixteen between two versions:
//! flush and compaction draw their own numbers from that room, so that a reader at a version sees either
//! the files before or behind them and never a mixture. The tree's memory is handed on only between
//! entries, so that its files always hold an exact prefix of the log; what they hold is under
//! [`values::APPLIED`].

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyTree, Cache, Guard, SequenceNumberCounter};
use parking_lot::{Mutex, RwLock};

use super::entry::{Batch, Write};
use super::values::{self, Place};
use crate::log::{Entry, Log, OnFatal, Position};
use crate::{Error, Result, folder, limits};

/// Sequence numbers between two versions, as a power of two.
const ROOM_BITS: u32 = 4;
/// Flushed runs of the tree's top level past which commits wait for compaction.
const TOP_LEVEL_RUNS: usize = 20;
/// How often a tree is opened whose files go meanwhile.
const OPENINGS: usize = 4;
/// Sealed memtables past which commits wait for the flush.
const SEALED_MEMTABLES: usize = 3;

/// The tree and its log.
pub(crate) struct Store {
    pub(crate) tree: AnyTree,
    pub(crate) log: Arc<Log>,
    /// What follows where it is not known any more what is on disk.
    pub(crate) on_fatal: OnFatal,
    memtable_octets: u64,
    // What flush and compaction draw from; kept in the room behind the last version applied.
    counter: SequenceNumberCounter,
    applied: Mutex<Applied>,
    // As far as the tree's files go: index and term.
    persisted: Mutex<(u64, u64)>,
    visible: AtomicU64,
    // Entries up to here are needed by nobody but the tree.
    purgeable: AtomicU64,
    // Who reads a whole state; log files stay meanwhile.
    pub(super) copies: AtomicUsize,
    // The oldest version that can be read. Held while a reader takes hold of the tree's files.
    pub(super) floor: RwLock<u64>,
}

/// How far the tree is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Applied {
    /// The last log entry.
    pub(crate) index: u64,
    /// Its term.
    pub(crate) term: u64,
    /// The version of its last transaction.
    pub(crate) version: u64,
    /// The last entry that the tree's finished memory, handed to the flusher, holds.
    pub(crate) sealed: u64,
    /// Its term.
    pub(crate) sealed_term: u64,
    /// Octets of the entries behind that one.
    pub(crate) unsealed_octets: u64,
}

/// An entry as it is applied.
pub(crate) struct Applying<'e> {
    pub(crate) index: u64,
    pub(crate) term: u64,
    /// The transactions, as [`super::entry::Builder`] wrote them.
    pub(crate) batch: &'e Bytes,
    /// Where they stand in the log.
    pub(crate) position: Position,
    /// A pair of the engine's own that is written with it.
    pub(crate) beside: Option<(&'static [u8], Bytes)>,
}

/// The number of a version's own items.
pub(crate) fn item_number(version: u64) -> u64 {
    version << ROOM_BITS
}

/// Items and files below this number are seen at the version.
pub(super) fn snapshot_number(version: u64) -> u64 {
    (version + 1) << ROOM_BITS
}

impl Store {
    /// Opens the tree; [`Store::replay`] is next. Opening removes what the tree's list of files does not name: that list is
    /// on the disk before. Readers of this process that end late remove such files too: who finds one gone opens anew.
    pub(crate) fn open_tree(
        path: &Path,
        cache_octets: u64,
    ) -> Result<(AnyTree, SequenceNumberCounter, Applied)> {
        folder::make(path)?;
        folder::sync(path)?;
        let mut tries = 1..OPENINGS;
        let (tree, counter) = loop {
            let counter = SequenceNumberCounter::default();
            let config = lsm_tree::Config::new(path, counter.clone(), SequenceNumberCounter::default());
            let cache = Arc::new(Cache::with_capacity_bytes(cache_octets));
            match config.use_cache(cache).open() {
                Ok(tree) => break (tree, counter),
                Err(lsm_tree::Error::Io(error))
                    if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
                Err(error) => return Err(trouble(error)),
            }
        };
        let applied = match tree.get(values::APPLIED, u64::MAX >> 1).map_err(trouble)? {
            None => Applied::default(),
            Some(octets) => decode_applied(&octets)?,
        };
        Ok((tree, counter, applied))
    }

    /// Over an open tree and its log.
    pub(crate) fn new(
        (tree, counter, applied): (AnyTree, SequenceNumberCounter, Applied),
        log: Arc<Log>,
        on_fatal: OnFatal,
        memtable_octets: u64,
    ) -> Self {
        let (visible, floor) = (AtomicU64::new(applied.version), RwLock::new(applied.version));
        let (purgeable, copies) = (AtomicU64::new(u64::MAX), AtomicUsize::new(0));
        let persisted = Mutex::new((applied.index, applied.term));
        let applied = Mutex::new(applied);
        let store = Self {
            tree,
            log,
            on_fatal,
            memtable_octets,
            counter,
            applied,
            persisted,
            visible,
            purgeable,
            copies,
            floor,
        };
        store.align();
        store
    }

    /// Applies what the log holds beyond the tree. `after_each` is called between entries.
    pub(crate) fn replay(&self, mut after_each: impl FnMut() -> Result<()>) -> Result<()> {
        while self.applied().index < self.log.last_index() {
            let next = self.applied().index + 1;
            for entry in self.log.read(next..=self.log.last_index(), limits::ENTRY_OCTETS)? {
                let position = self.log.position(entry.index)?;
                let Entry { index, term, payload: batch } = &entry;
                self.apply(Applying { index: *index, term: *term, batch, position, beside: None })?;
                after_each()?;
            }
        }
        *self.floor.write() = self.visible();
        Ok(())
    }

    /// Applies an entry; readers see it when this returns.
    pub(crate) fn apply(&self, entry: Applying<'_>) -> Result<Batch> {
        let batch = Batch::decode(entry.batch)?;
        let mut memtable = 0;
        for (version, writes) in (batch.first.0..).zip(&batch.transactions) {
            for write in writes {
                memtable = self.write(version, write, entry.position)?.max(memtable);
            }
        }
        let last = batch.last().0;
        if let Some((key, value)) = &entry.beside {
            self.tree.insert(*key, values::inline(value), item_number(last));
        }
        let mut applied = self.applied.lock();
        applied.index = entry.index;
        applied.term = entry.term;
        applied.version = last;
        applied.unsealed_octets += entry.batch.len() as u64;
        self.tree.insert(values::APPLIED, encode_applied(&applied), item_number(last));
        // Large values fill the log and not the memory; what a restart replays is bounded all the same.
        let is_full = memtable >= self.memtable_octets || applied.unsealed_octets >= limits::REPLAYED_OCTETS;
        if is_full {
            self.rotate(&mut applied);
        }
        self.counter.set(item_number(last) + 1);
        drop(applied);
        self.visible.store(last, Ordering::Release);
        Ok(batch)
    }

    fn rotate(&self, applied: &mut Applied) {
        if self.tree.rotate_memtable().is_some() {
            applied.sealed = applied.index;
            applied.sealed_term = applied.term;
            applied.unsealed_octets = 0;
        }
    }

    /// Hands the tree's memory to the flusher, whatever its size.
    #[cfg(test)]
    pub(crate) fn seal(&self) {
        self.rotate(&mut self.applied.lock());
    }

    /// How far the tree is.
    pub(crate) fn applied(&self) -> Applied {
        *self.applied.lock()
    }

    /// Index and term of the last entry that the tree's files hold.
    pub(crate) fn persisted(&self) -> (u64, u64) {
        *self.persisted.lock()
    }

    /// What was sealed then is in the tree's files.
    pub(crate) fn set_persisted(&self, applied: Applied) {
        *self.persisted.lock() = (applied.sealed, applied.sealed_term);
    }

    /// The newest version that can be read.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The oldest version that can be read.
    pub(crate) fn floor(&self) -> u64 {
        *self.floor.read()
    }

    /// Versions before this one cannot be read from now on.
    pub(crate) fn raise_floor(&self, version: u64) {
        let mut floor = self.floor.write();
        *floor = version.max(*floor);
    }

    /// Before flush or compaction: the number that it will draw lies behind the last version applied,
    /// and before the next one.
    pub(crate) fn align(&self) {
        let applied = self.applied.lock();
        self.counter.set(item_number(applied.version) + 1);
    }

    /// Below this number nobody reads any more.
    pub(crate) fn watermark(&self) -> u64 {
        snapshot_number(self.floor())
    }

    /// Whether flush and compaction are so far behind that nothing more should be applied.
    pub(crate) fn is_stalled(&self) -> bool {
        self.tree.sealed_memtable_count() > SEALED_MEMTABLES || self.tree.l0_run_count() > TOP_LEVEL_RUNS
    }

    /// Entries behind `index` are kept whatever the tree holds: others may still ask for them.
    pub(crate) fn keep_log_after(&self, index: u64) {
        self.purgeable.store(index, Ordering::Release);
    }

    /// Entries up to here may go once the tree's files hold them.
    pub(crate) fn purgeable(&self) -> u64 {
        if self.copies.load(Ordering::Acquire) > 0 { 0 } else { self.purgeable.load(Ordering::Acquire) }
    }

    /// A flush or compaction failed, and is made again. Not if it failed at its very last step: the folder names a list of
    /// files then that the tree does not know of, and over which it would write its next one. The process ends, as after
    /// any sync that failed.
    pub(crate) fn undone(&self, error: lsm_tree::Error) -> Error {
        let named = fs::read(self.tree.tree_config().path.join("current"));
        let named = named.ok().and_then(|octets| octets.first_chunk().map(|id| u64::from_le_bytes(*id)));
        let error = trouble(error);
        if named.is_none_or(|id| id > self.tree.current_version().id()) {
            (self.on_fatal)(&io::Error::other(error.clone()));
        }
        error
    }

    /// Forgets that a key once had its value there. Not logged: a crash may undo it, and it is done again.
    pub(crate) fn forget_place(&self, position: Position) {
        self.tree.remove(values::place_key(position), item_number(self.visible()) + 1);
    }

    /// Applies one write; gives the size of the tree's memory.
    fn write(&self, version: u64, write: &Write, entry: Position) -> Result<u64> {
        let number = item_number(version);
        if let Some((key, operation)) = write.as_atomic() {
            // Earlier writes of the entry, and of this transaction, are in the tree already.
            let beneath = self.stored_unchecked(version, key)?;
            let value = values::inline(&operation.apply(beneath.as_deref()));
            return Ok(self.tree.insert(&key[..], value, number).1);
        }
        match write {
            Write::Set(key, value, at) if value.len() >= limits::VALUE_IN_LOG_OCTETS => {
                let position = Position { offset: entry.offset + *at as u64, ..entry };
                let place = Place { position, length: value.len() as u32, crc: crc32c::crc32c(value) };
                self.tree.insert(values::place_key(position), &key[..], number);
                Ok(self.tree.insert(&key[..], place.encode(), number).1)
            }
            Write::Set(key, value, _) | Write::SetInline(key, value) => {
                Ok(self.tree.insert(&key[..], values::inline(value), number).1)
            }
            Write::Clear(key) => Ok(self.tree.remove(&key[..], number).1),
            Write::ClearRange(range) => {
                let mut memtable = 0;
                for pair in self.pairs_unchecked(version, range) {
                    let key = pair.key().map_err(trouble)?;
                    memtable = self.tree.remove(key, number).1;
                }
                Ok(memtable)
            }
            Write::Add(..) | Write::Max(..) | Write::Min(..) => unreachable!("taken as atomic above"),
        }
    }
}

/// Index and version, as `local` has always written them, then the term.
pub(crate) fn encode_applied(applied: &Applied) -> [u8; 24] {
    let mut marker = [0; 24];
    marker[..8].copy_from_slice(&applied.index.to_le_bytes());
    marker[8..16].copy_from_slice(&applied.version.to_le_bytes());
    marker[16..].copy_from_slice(&applied.term.to_le_bytes());
    marker
}

fn decode_applied(octets: &[u8]) -> Result<Applied> {
    let number =
        |at: usize| octets.get(at..).and_then(|rest| rest.first_chunk()).map(|n| u64::from_le_bytes(*n));
    let (Some(index), Some(version)) = (number(0), number(8)) else {
        return Err(Error::Corrupt("applied index".into()));
    };
    // Markers without a term are `local`'s, whose log has one.
    let term = number(16).unwrap_or(1);
    Ok(Applied { index, term, version, sealed: index, sealed_term: term, unsealed_octets: 0 })
}

/// The tree's errors, by what the reader can do.
pub(crate) fn trouble(error: lsm_tree::Error) -> Error {
    match error {
        lsm_tree::Error::Io(error) => Error::of_device("tree", &error),
        error => Error::Corrupt(format!("tree: {error:?}").into()),
    }
}
