//! The tree: entries are applied to it, values are read from it at versions.
//!
//! A transaction's version is its items' sequence number, with room for sixteen between two versions:
//! flush and compaction draw their own numbers from that room, so that a reader at a version sees either
//! the files before or behind them and never a mixture. The tree's memory is handed on only between
//! entries, so that its files always hold an exact prefix of the log; what they hold is under
//! [`values::APPLIED`].

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyTree, Cache, Guard, SequenceNumberCounter};
use parking_lot::{Mutex, RwLock};

use super::entry::{Batch, Write};
use super::values::{self, Place, Stored};
use crate::kv::engine::{Chunk, ChunkLimit, Version};
use crate::kv::range::KeyRange;
use crate::log::{Log, OnFatal, Position};
use crate::{Error, Result, folder, limits};

/// Sequence numbers between two versions, as a power of two.
const ROOM_BITS: u32 = 4;

/// The tree and its log.
pub(super) struct Store {
    pub(super) tree: AnyTree,
    pub(super) log: Arc<Log>,
    /// What follows where it is not known any more what is on disk.
    pub(super) on_fatal: OnFatal,
    memtable_octets: u64,
    // What flush and compaction draw from; kept in the room behind the last version applied.
    counter: SequenceNumberCounter,
    applied: Mutex<Applied>,
    visible: AtomicU64,
    // The oldest version that can be read. Held while a reader takes hold of the tree's files.
    floor: RwLock<u64>,
}

/// How far the tree is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Applied {
    /// The last log entry.
    pub(super) index: u64,
    /// The version of its last transaction.
    pub(super) version: u64,
    /// The last entry that the tree's finished memory, handed to the flusher, holds.
    pub(super) sealed: u64,
    /// Octets of the entries behind that one.
    pub(super) unsealed_octets: u64,
}

/// The number of a version's own items.
fn item_number(version: u64) -> u64 {
    version << ROOM_BITS
}

/// Items and files below this number are seen at the version.
fn snapshot_number(version: u64) -> u64 {
    (version + 1) << ROOM_BITS
}

impl Store {
    /// Opens the tree; [`Store::replay`] is next. Opening removes what the tree's list of files does not name: that list is
    /// on the disk before.
    pub(super) fn open_tree(
        path: &Path,
        cache_octets: u64,
    ) -> Result<(AnyTree, SequenceNumberCounter, Applied)> {
        folder::make(path)?;
        folder::sync(path)?;
        let counter = SequenceNumberCounter::default();
        let config = lsm_tree::Config::new(path, counter.clone(), SequenceNumberCounter::default());
        let cache = Arc::new(Cache::with_capacity_bytes(cache_octets));
        let tree = config.use_cache(cache).open().map_err(trouble)?;
        let applied = match tree.get(values::APPLIED, u64::MAX >> 1).map_err(trouble)? {
            None => Applied::default(),
            Some(octets) => decode_applied(&octets)?,
        };
        Ok((tree, counter, applied))
    }

    /// Over an open tree and its log.
    pub(super) fn new(
        (tree, counter, applied): (AnyTree, SequenceNumberCounter, Applied),
        log: Arc<Log>,
        on_fatal: OnFatal,
        memtable_octets: u64,
    ) -> Self {
        let (visible, floor) = (AtomicU64::new(applied.version), RwLock::new(applied.version));
        let applied = Mutex::new(applied);
        let store = Self { tree, log, on_fatal, memtable_octets, counter, applied, visible, floor };
        store.align();
        store
    }

    /// Applies what the log holds beyond the tree. `after_each` is called between entries.
    pub(super) fn replay(&self, mut after_each: impl FnMut() -> Result<()>) -> Result<()> {
        while self.applied().index < self.log.last_index() {
            let next = self.applied().index + 1;
            for entry in self.log.read(next..=self.log.last_index(), limits::ENTRY_OCTETS)? {
                let position = self.log.position(entry.index)?;
                self.apply(entry.index, &entry.payload, position)?;
                after_each()?;
            }
        }
        *self.floor.write() = self.visible();
        Ok(())
    }

    /// Applies an entry whose payload stands at `position`; readers see it when this returns.
    pub(super) fn apply(&self, index: u64, payload: &Bytes, position: Position) -> Result<Batch> {
        let batch = Batch::decode(payload)?;
        let mut memtable = 0;
        for (version, writes) in (batch.first.0..).zip(&batch.transactions) {
            for write in writes {
                memtable = self.write(version, write, position)?.max(memtable);
            }
        }
        let last = batch.last().0;
        let mut marker = [0; 16];
        marker[..8].copy_from_slice(&index.to_le_bytes());
        marker[8..].copy_from_slice(&last.to_le_bytes());
        self.tree.insert(values::APPLIED, marker, item_number(last));
        {
            let mut applied = self.applied.lock();
            applied.index = index;
            applied.version = last;
            applied.unsealed_octets += payload.len() as u64;
            // Large values fill the log and not the memory; what a restart replays is bounded all the same.
            let is_full =
                memtable >= self.memtable_octets || applied.unsealed_octets >= limits::REPLAYED_OCTETS;
            if is_full && self.tree.rotate_memtable().is_some() {
                applied.sealed = index;
                applied.unsealed_octets = 0;
            }
            self.counter.set(item_number(last) + 1);
        }
        self.visible.store(last, Ordering::Release);
        Ok(batch)
    }

    /// Hands the tree's memory to the flusher, whatever its size.
    #[cfg(test)]
    pub(super) fn seal(&self) {
        let mut applied = self.applied.lock();
        if self.tree.rotate_memtable().is_some() {
            applied.sealed = applied.index;
        }
    }

    /// How far the tree is.
    pub(super) fn applied(&self) -> Applied {
        *self.applied.lock()
    }

    /// The newest version that can be read.
    pub(super) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The oldest version that can be read.
    pub(super) fn floor(&self) -> u64 {
        *self.floor.read()
    }

    /// Versions before this one cannot be read from now on.
    pub(super) fn raise_floor(&self, version: u64) {
        let mut floor = self.floor.write();
        *floor = version.max(*floor);
    }

    /// Before flush or compaction: the number that it will draw lies behind the last version applied,
    /// and before the next one.
    pub(super) fn align(&self) {
        let applied = self.applied.lock();
        self.counter.set(item_number(applied.version) + 1);
    }

    /// Below this number nobody reads any more.
    pub(super) fn watermark(&self) -> u64 {
        snapshot_number(self.floor())
    }

    /// The value at the version.
    pub(super) fn get(&self, Version(at): Version, key: &[u8]) -> Result<Option<Bytes>> {
        match self.stored(at, key)? {
            None => Ok(None),
            Some(Stored::Inline(value)) => Ok(Some(value)),
            Some(Stored::Place(place)) => self.value_read_at(at, place).map(Some),
        }
    }

    /// What the tree keeps under the key at the version.
    pub(super) fn stored(&self, at: u64, key: &[u8]) -> Result<Option<Stored>> {
        let floor = self.floor.read();
        if at < *floor {
            return Err(Error::TooOld);
        }
        let value = self.tree.get(key, snapshot_number(at)).map_err(trouble)?;
        value.map(|value| values::decode(&value)).transpose()
    }

    /// The next pairs of the range at the version.
    pub(super) fn range(&self, Version(at): Version, range: &KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        let mut octets = 0;
        let mut pairs = self.pairs(at, range)?;
        loop {
            let next = if limit.reverse { pairs.next_back() } else { pairs.next() };
            let Some(pair) = next else { return Ok(chunk) };
            if chunk.pairs.len() >= limit.pairs || (octets >= limit.octets && octets > 0) {
                chunk.more = true;
                return Ok(chunk);
            }
            let (key, stored) = pair.into_inner().map_err(trouble)?;
            let value = match values::decode(&stored)? {
                Stored::Inline(value) => value,
                Stored::Place(place) => self.value_read_at(at, place)?,
            };
            octets += key.len() + value.len();
            chunk.pairs.push((Bytes::copy_from_slice(&key), value));
        }
    }

    /// How many keys the range holds, counted up to `most`.
    pub(super) fn count(&self, range: &KeyRange, most: usize) -> Result<usize> {
        Ok(self.pairs(self.visible(), range)?.take(most).count())
    }

    /// The tree's own form of what the range holds.
    pub(super) fn pairs(
        &self,
        at: u64,
        range: &KeyRange,
    ) -> Result<Box<dyn DoubleEndedIterator<Item = lsm_tree::IterGuardImpl> + Send>> {
        if range.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let floor = self.floor.read();
        if at < *floor {
            return Err(Error::TooOld);
        }
        let bounds = (Bound::Included(&range.begin[..]), Bound::Excluded(&range.end[..]));
        Ok(self.tree.range::<&[u8], _>(bounds, snapshot_number(at), None))
    }

    /// A large value that was found at a version. Its log file may go as soon as nobody may read at that version.
    pub(super) fn value_read_at(&self, at: u64, place: Place) -> Result<Bytes> {
        self.value_at(place).map_err(|error| if at < self.floor() { Error::TooOld } else { error })
    }

    /// A large value, checked.
    pub(super) fn value_at(&self, place: Place) -> Result<Bytes> {
        let value = self.log.read_at(place.position, place.length as usize)?;
        if crc32c::crc32c(&value) != place.crc {
            return Err(Error::Corrupt(format!("value at {:?}", place.position).into()));
        }
        Ok(value)
    }

    /// A flush or compaction failed, and is made again. Not if it failed at its very last step: the folder names a list of
    /// files then that the tree does not know of, and over which it would write its next one. The process ends, as after
    /// any sync that failed.
    pub(super) fn undone(&self, error: lsm_tree::Error) -> Error {
        let named = fs::read(self.tree.tree_config().path.join("current"));
        let named = named.ok().and_then(|octets| octets.first_chunk().map(|id| u64::from_le_bytes(*id)));
        let error = trouble(error);
        if named.is_none_or(|id| id > self.tree.current_version().id()) {
            (self.on_fatal)(&io::Error::other(error.clone()));
        }
        error
    }

    /// Forgets that a key once had its value there. Not logged: a crash may undo it, and it is done again.
    pub(super) fn forget_place(&self, position: Position) {
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

    fn stored_unchecked(&self, version: u64, key: &[u8]) -> Result<Option<Bytes>> {
        let stored = self.tree.get(key, snapshot_number(version)).map_err(trouble)?;
        match stored.map(|value| values::decode(&value)).transpose()? {
            None => Ok(None),
            Some(Stored::Inline(value)) => Ok(Some(value)),
            Some(Stored::Place(place)) => self.value_at(place).map(Some),
        }
    }

    fn pairs_unchecked(
        &self,
        version: u64,
        range: &KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = lsm_tree::IterGuardImpl> + Send> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let bounds = (Bound::Included(&range.begin[..]), Bound::Excluded(&range.end[..]));
        self.tree.range::<&[u8], _>(bounds, snapshot_number(version), None)
    }
}

fn decode_applied(octets: &[u8]) -> Result<Applied> {
    let numbers =
        octets.split_first_chunk::<8>().and_then(|(index, rest)| Some((index, rest.first_chunk::<8>()?)));
    let (index, version) = numbers.ok_or_else(|| Error::Corrupt("applied index".into()))?;
    let (index, version) = (u64::from_le_bytes(*index), u64::from_le_bytes(*version));
    Ok(Applied { index, version, sealed: index, unsealed_octets: 0 })
}

/// The tree's errors, by what the reader can do.
pub(super) fn trouble(error: lsm_tree::Error) -> Error {
    match error {
        lsm_tree::Error::Io(error) => Error::of_device("tree", &error),
        error => Error::Corrupt(format!("tree: {error:?}").into()),
    }
}
