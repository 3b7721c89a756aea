//! The naive engine: a map of versions in memory. The oracle that the other engines are compared with,
//! and a store for the unit tests of the floors above. Nothing outlives the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::atomic::Atomic;
use super::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, Mutation, Version, Versionstamp, Watch};
use super::range::KeyRange;
use super::watches::Watches;
use crate::{Error, Result, limits};

/// The engine. Shared by `Arc`; see [`crate::kv::Database::new`].
pub struct Memory {
    store: Arc<Mutex<Store>>,
    watches: Arc<Watches>,
    life: Duration,
}

#[derive(Default)]
struct Store {
    version: u64,
    // Reads and commits below this are too old.
    oldest: u64,
    keys: BTreeMap<Bytes, History>,
    recent: VecDeque<Written>,
    closed: bool,
}

/// A key's values, ascending by version; `None` where it was cleared.
type History = Vec<(u64, Option<Bytes>)>;

/// What one version wrote, and when.
struct Written {
    version: u64,
    at: Instant,
    ranges: Vec<KeyRange>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Self::with_life(limits::TRANSACTION_LIFE)
    }

    /// An empty store that keeps versions for `life`: for tests of what happens after it.
    pub fn with_life(life: Duration) -> Arc<Self> {
        Arc::new(Self { store: Arc::default(), watches: Arc::default(), life })
    }
}

impl Store {
    fn check(&self, at: Version) -> Result<()> {
        match () {
            () if self.closed => Err(Error::Closed),
            () if at.0 < self.oldest => Err(Error::TooOld),
            () => Ok(()),
        }
    }

    fn value(&self, at: Version, key: &[u8]) -> Option<Bytes> {
        self.keys.get(key).and_then(|history| value_at(history, at))
    }

    fn forget(&mut self, life: Duration) {
        let mut changed = BTreeSet::new();
        while let Some(written) = self.recent.pop_front_if(|written| written.at.elapsed() > life) {
            self.oldest = written.version;
            written.ranges.iter().for_each(|range| changed.extend(keys_within(&self.keys, range)));
        }
        changed.iter().for_each(|key| self.trim(key));
    }

    /// Drops the values of a key that no version in the window sees.
    fn trim(&mut self, key: &Bytes) {
        let Some(history) = self.keys.get_mut(key) else { return };
        let seen = history.iter().rposition(|(version, _)| *version <= self.oldest).unwrap_or(0);
        history.drain(..seen);
        if matches!(history.as_slice(), [(_, None)]) {
            self.keys.remove(key);
        }
    }

    fn apply(&mut self, version: u64, mutation: Mutation) -> Vec<Bytes> {
        let stamp = Versionstamp::new(Version(version), 0);
        let (key, value) = match mutation {
            Mutation::Set(key, value) => (key, Some(value)),
            Mutation::Clear(key) => (key, None),
            Mutation::Add(key, delta) => self.folded(key, Atomic::Add(delta)),
            Mutation::Max(key, value) => self.folded(key, Atomic::Max(value)),
            Mutation::Min(key, value) => self.folded(key, Atomic::Min(value)),
            Mutation::SetVersionstampedKey { key, offset, value } => {
                (stamp.written_to(&key, offset), Some(value))
            }
            Mutation::SetVersionstampedValue { key, value, offset } => {
                (key, Some(stamp.written_to(&value, offset)))
            }
            Mutation::ClearRange(range) => {
                let keys = keys_within(&self.keys, &range);
                keys.iter().for_each(|key| self.write(version, key.clone(), None));
                return keys;
            }
        };
        self.write(version, key.clone(), value);
        vec![key]
    }

    fn folded(&self, key: Bytes, operation: Atomic) -> (Bytes, Option<Bytes>) {
        let value = operation.apply(self.value(Version(u64::MAX), &key).as_deref());
        (key, Some(value))
    }

    fn write(&mut self, version: u64, key: Bytes, value: Option<Bytes>) {
        let history = self.keys.entry(key).or_default();
        match history.last_mut() {
            Some(last) if last.0 == version => last.1 = value,
            _ => history.push((version, value)),
        }
    }
}

fn value_at(history: &History, at: Version) -> Option<Bytes> {
    let (_, value) = history.iter().rfind(|(version, _)| *version <= at.0)?;
    value.clone()
}

fn keys_within(keys: &BTreeMap<Bytes, History>, range: &KeyRange) -> Vec<Bytes> {
    if range.is_empty() {
        return Vec::new();
    }
    keys.range::<Bytes, _>(&range.begin..&range.end).map(|(key, _)| key.clone()).collect()
}

#[async_trait]
impl Engine for Memory {
    async fn read_version(&self) -> Result<Version> {
        let store = self.store.lock();
        if store.closed { Err(Error::Closed) } else { Ok(Version(store.version)) }
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        let store = self.store.lock();
        store.check(at)?;
        Ok(store.value(at, key))
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        let store = self.store.lock();
        store.check(at)?;
        let mut chunk = Chunk::default();
        let mut octets = 0;
        let mut keys = keys_within(&store.keys, &range);
        if limit.reverse {
            keys.reverse();
        }
        for key in keys {
            let Some(value) = store.value(at, &key) else { continue };
            if chunk.pairs.len() >= limit.pairs || octets >= limit.octets {
                chunk.more = true;
                break;
            }
            octets += key.len() + value.len();
            chunk.pairs.push((key, value));
        }
        Ok(chunk)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let mut store = self.store.lock();
        store.forget(self.life);
        store.check(commit.read_version.unwrap_or(Version(store.version)))?;
        if let Some(read) = commit.read_version {
            let later = store.recent.iter().filter(|written| written.version > read.0);
            let written: Vec<&KeyRange> = later.flat_map(|written| &written.ranges).collect();
            let overlap = |range: &KeyRange| written.iter().any(|written| written.overlaps(range));
            if commit.read_conflicts.iter().any(overlap) {
                return Err(Error::Conflict);
            }
        }
        store.version += 1;
        let version = store.version;
        let mut ranges = commit.write_conflicts;
        for mutation in commit.mutations {
            ranges.extend(mutation.written());
            for key in store.apply(version, mutation) {
                ranges.push(KeyRange::key(&key));
            }
        }
        ranges.iter().for_each(|range| self.watches.range_changed(range));
        store.recent.push_back(Written { version, at: Instant::now(), ranges });
        let version = Version(version);
        Ok(Committed { version, versionstamp: Versionstamp::new(version, 0) })
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        let (store, registered) = (self.store.clone(), self.watches.register(key.clone()));
        Box::pin(async move {
            let registered = registered?;
            let mut changed = std::pin::pin!(registered.changed());
            changed.as_mut().enable();
            let unchanged = {
                let store = store.lock();
                store.check(at).is_ok() && store.value(at, &key) == store.value(Version(u64::MAX), &key)
            };
            if unchanged {
                changed.await;
            }
            Ok(())
        })
    }

    fn transaction_life(&self) -> Duration {
        self.life
    }

    async fn close(&self) {
        self.store.lock().closed = true;
        self.watches.all_changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn conforms() {
        let make = |life: Duration| -> futures::future::BoxFuture<'static, Arc<dyn Engine>> {
            Box::pin(async move { Memory::with_life(life) as Arc<dyn Engine> })
        };
        crate::kv::conformance::run_all(&make).await;
    }
}
