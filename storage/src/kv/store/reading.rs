//! Reading the tree at versions: single values, parts of ranges, and a whole state however long that takes.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lsm_tree::{AbstractTree, Guard};

use super::tree::{Store, snapshot_number, trouble};
use super::values::{self, Place, Stored};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Mutation, Version};
use crate::kv::key::subspace;
use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

impl Store {
    /// The value at the version.
    pub(crate) fn get(&self, Version(at): Version, key: &[u8]) -> Result<Option<Bytes>> {
        match self.stored(at, key)? {
            None => Ok(None),
            Some(Stored::Inline(value)) => Ok(Some(value)),
            Some(Stored::Place(place)) => self.value_read_at(at, place).map(Some),
        }
    }

    /// What the tree keeps under the key at the version.
    pub(crate) fn stored(&self, at: u64, key: &[u8]) -> Result<Option<Stored>> {
        let floor = self.floor.read();
        if at < *floor {
            return Err(Error::TooOld);
        }
        let value = self.tree.get(key, snapshot_number(at)).map_err(trouble)?;
        value.map(|value| values::decode(&value)).transpose()
    }

    /// The next pairs of the range at the version.
    pub(crate) fn range(&self, Version(at): Version, range: &KeyRange, limit: ChunkLimit) -> Result<Chunk> {
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
    pub(crate) fn count(&self, range: &KeyRange, most: usize) -> Result<usize> {
        Ok(self.pairs(self.visible(), range)?.take(most).count())
    }

    /// A range to be cleared is counted before it is taken in: see [`limits::CLEAR_RANGE_KEYS`].
    pub(crate) fn check_clears(&self, commit: &Commit) -> Result<()> {
        for mutation in &commit.mutations {
            let Mutation::ClearRange(range) = mutation else { continue };
            if self.count(range, limits::CLEAR_RANGE_KEYS + 1)? > limits::CLEAR_RANGE_KEYS {
                let text = format!("clear_range of more than {} keys", limits::CLEAR_RANGE_KEYS);
                return Err(Error::TooLarge(text.into()));
            }
        }
        Ok(())
    }

    /// All pairs of users as they are now, in order, however long the reading takes: the files that they stand in
    /// stay meanwhile.
    pub(crate) fn whole(self: &Arc<Self>) -> Result<Whole> {
        self.copies.fetch_add(1, Ordering::AcqRel);
        let held = Held(self.clone());
        let at = self.visible();
        let whole = KeyRange::new(Bytes::new(), Bytes::from_static(&[subspace::ENGINE]));
        Ok(Whole { pairs: self.pairs(at, &whole)?, version: Version(at), held })
    }

    /// What the engine keeps for itself under the key.
    pub(crate) fn own(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.stored_unchecked(self.visible(), key)
    }

    /// The tree's own form of what the range holds.
    pub(crate) fn pairs(
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
    pub(crate) fn value_read_at(&self, at: u64, place: Place) -> Result<Bytes> {
        self.value_at(place).map_err(|error| if at < self.floor() { Error::TooOld } else { error })
    }

    /// A large value, checked.
    pub(crate) fn value_at(&self, place: Place) -> Result<Bytes> {
        let value = self.log.read_at(place.position, place.length as usize)?;
        if crc32c::crc32c(&value) != place.crc {
            return Err(Error::Corrupt(format!("value at {:?}", place.position).into()));
        }
        Ok(value)
    }

    pub(super) fn stored_unchecked(&self, version: u64, key: &[u8]) -> Result<Option<Bytes>> {
        let stored = self.tree.get(key, snapshot_number(version)).map_err(trouble)?;
        match stored.map(|value| values::decode(&value)).transpose()? {
            None => Ok(None),
            Some(Stored::Inline(value)) => Ok(Some(value)),
            Some(Stored::Place(place)) => self.value_at(place).map(Some),
        }
    }

    pub(super) fn pairs_unchecked(
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

/// A state that is read from its first pair to its last.
pub(crate) struct Whole {
    pairs: Box<dyn DoubleEndedIterator<Item = lsm_tree::IterGuardImpl> + Send>,
    /// The state's version.
    pub(crate) version: Version,
    held: Held,
}

struct Held(Arc<Store>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Iterator for Whole {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next()?;
        let read = || {
            let (key, stored) = pair.into_inner().map_err(trouble)?;
            let value = match values::decode(&stored)? {
                Stored::Inline(value) => value,
                Stored::Place(place) => self.held.0.value_at(place)?,
            };
            Ok((Bytes::copy_from_slice(&key), value))
        };
        Some(read())
    }
}
