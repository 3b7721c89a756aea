//! One optimistic transaction: reads at one version, sees its own writes, commits or conflicts.
//! Budgets are checked here, the same for every engine; conflicts are the engine's matter.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::atomic::Atomic;
use super::budget::{self, OVERHEAD_OCTETS};
use super::clock::Unread;
use super::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, Mutation, Version, Watch};
use super::overlay::{Entry, Overlay};
use super::range::{KeyRange, RangeOptions};
use super::reader::RangeReader;
use crate::types::Timestamp;
use crate::{Error, Result};

/// A transaction. Writes are kept here until [`Transaction::commit`]; dropping it undoes everything.
pub struct Transaction {
    engine: Arc<dyn Engine>,
    clock: Unread,
    pub(super) overlay: Overlay,
    commit: Commit,
    started: Option<Instant>,
    octets: usize,
    // The first write that no budget allows; told at the commit.
    refused: Option<Error>,
}

impl Transaction {
    pub(super) fn new(engine: Arc<dyn Engine>, clock: Unread) -> Self {
        let (overlay, commit) = (Overlay::default(), Commit::default());
        Self { engine, clock, overlay, commit, started: None, octets: 0, refused: None }
    }

    /// What the store's clock shows, by which what is stored grows old. It is none of the transaction's reads.
    pub async fn now(&self) -> Result<Timestamp> {
        self.clock.now().await
    }

    /// The version that everything here is read at, fixed by the first read.
    pub async fn read_version(&mut self) -> Result<Version> {
        if let Some(version) = self.commit.read_version {
            self.check_age()?;
            return Ok(version);
        }
        self.started = Some(Instant::now());
        let version = self.engine.read_version().await?;
        self.commit.read_version = Some(version);
        Ok(version)
    }

    /// The key's value. The commit fails with `Conflict` if another one writes the key meanwhile.
    pub async fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>> {
        self.read(key, false).await
    }

    /// The key's value, without a conflict: others may write it meanwhile.
    pub async fn get_snapshot(&mut self, key: &[u8]) -> Result<Option<Bytes>> {
        self.read(key, true).await
    }

    /// Reads a range in steps. See [`RangeReader`].
    pub fn range(&mut self, range: KeyRange, options: RangeOptions) -> RangeReader<'_> {
        RangeReader::new(self, range, options)
    }

    /// Writes the key.
    pub fn set(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.overlay.set(key.clone(), value.clone());
        self.write(Mutation::Set(key, value));
    }

    /// Removes the key.
    pub fn clear(&mut self, key: impl Into<Bytes>) {
        let key = key.into();
        self.overlay.clear(key.clone());
        self.write(Mutation::Clear(key));
    }

    /// Removes all keys of the range.
    pub fn clear_range(&mut self, range: KeyRange) {
        if range.is_empty() {
            // It writes nothing; a range that no budget allows is told all the same.
            return self.admit(&Mutation::ClearRange(range));
        }
        self.overlay.clear_range(&range);
        self.write(Mutation::ClearRange(range));
    }

    /// Adds to the 64-bit little-endian number that the key holds; an absent key counts as 0. Does not
    /// conflict with other additions.
    pub fn add(&mut self, key: impl Into<Bytes>, delta: i64) {
        let key = key.into();
        self.fold(key.clone(), Atomic::Add(delta), Mutation::Add(key, delta));
    }

    /// Raises the unsigned 64-bit little-endian number that the key holds to at least `value`.
    pub fn max(&mut self, key: impl Into<Bytes>, value: u64) {
        let key = key.into();
        self.fold(key.clone(), Atomic::Max(value), Mutation::Max(key, value));
    }

    /// Lowers the unsigned 64-bit little-endian number that the key holds to at most `value`; an absent
    /// key takes it.
    pub fn min(&mut self, key: impl Into<Bytes>, value: u64) {
        let key = key.into();
        self.fold(key.clone(), Atomic::Min(value), Mutation::Min(key, value));
    }

    /// Writes a key of which the commit replaces the ten octets at `offset` by its versionstamp. This
    /// transaction does not see it.
    pub fn set_versionstamped_key(&mut self, key: impl Into<Bytes>, offset: usize, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.write(Mutation::SetVersionstampedKey { key, offset, value });
    }

    /// Writes a value of which the commit replaces the ten octets at `offset` by its versionstamp. This
    /// transaction cannot read the key any more.
    pub fn set_versionstamped_value(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        offset: usize,
    ) {
        let (key, value) = (key.into(), value.into());
        self.overlay.stamp(key.clone());
        self.write(Mutation::SetVersionstampedValue { key, value, offset });
    }

    /// The commit fails with `Conflict` if another one writes in the range meanwhile.
    pub fn add_read_conflict(&mut self, range: KeyRange) {
        if !range.is_empty() {
            self.octets += range.octets() + OVERHEAD_OCTETS;
            self.commit.read_conflicts.push(range);
        }
    }

    /// Others who read in the range see a conflict, as if it had been written.
    pub fn add_write_conflict(&mut self, range: KeyRange) {
        if !range.is_empty() {
            self.octets += range.octets() + OVERHEAD_OCTETS;
            self.commit.write_conflicts.push(range);
        }
    }

    /// A hint that ends once the key may have changed since this transaction's read version, also by
    /// this transaction itself.
    pub async fn watch(&mut self, key: &[u8]) -> Result<Watch> {
        budget::check_key(key)?;
        let at = self.read_version().await?;
        Ok(self.engine.watch(Bytes::copy_from_slice(key), at))
    }

    /// Octets of what is to be committed, conflict ranges included: for callers that work in batches.
    /// The bound is [`crate::limits::TRANSACTION_OCTETS`].
    pub fn written_octets(&self) -> usize {
        self.octets
    }

    /// Commits. `TooLarge`, `Invalid`, `TooOld`, `Conflict`, `Overloaded`, `Full`, `Unavailable`: nothing was
    /// changed. A transaction that wrote nothing always succeeds: it has seen one version.
    pub async fn commit(mut self) -> Result<Committed> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        if self.commit.mutations.is_empty() && self.commit.write_conflicts.is_empty() {
            let version = self.commit.read_version.unwrap_or_default();
            return Ok(Committed { version, versionstamp: Default::default() });
        }
        self.check_age()?;
        budget::check_total(self.octets)?;
        self.engine.commit(self.commit).await
    }

    pub(super) async fn read_chunk(&mut self, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        budget::check_read(&range)?;
        let at = self.read_version().await?;
        self.engine.range(at, range, limit).await
    }

    async fn read(&mut self, key: &[u8], snapshot: bool) -> Result<Option<Bytes>> {
        budget::check_key(key)?;
        match self.overlay.entry(key) {
            None if self.overlay.is_cleared(key) => return Ok(None),
            None | Some(Entry::Fold(_)) => {}
            Some(own) => return own.over(None),
        }
        if !snapshot {
            self.add_read_conflict(KeyRange::key(key));
        }
        let at = self.read_version().await?;
        let beneath = self.engine.get(at, key).await?;
        match self.overlay.entry(key) {
            Some(own) => own.over(beneath),
            None => Ok(beneath),
        }
    }

    fn fold(&mut self, key: Bytes, operation: Atomic, mutation: Mutation) {
        self.overlay.fold(key, operation);
        self.write(mutation);
    }

    fn write(&mut self, mutation: Mutation) {
        self.admit(&mutation);
        self.commit.mutations.push(mutation);
    }

    fn admit(&mut self, mutation: &Mutation) {
        self.octets += mutation.octets();
        if let Err(error) = mutation.check() {
            self.refused.get_or_insert(error);
        }
    }

    fn check_age(&self) -> Result<()> {
        let old = self.started.is_some_and(|started| started.elapsed() > self.engine.transaction_life());
        if old { Err(Error::TooOld) } else { Ok(()) }
    }
}
