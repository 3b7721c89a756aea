//! What an engine must do. Everything else (read-your-writes, budgets, reruns, operation ids) is
//! written once above it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::range::KeyRange;
use crate::{Result, limits};

/// A point in the history of commits. Ascends with each commit of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// What a commit writes for a versionstamp: the version, then two octets that order what one version
/// committed together. Ten octets, big-endian, as FoundationDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Versionstamp(pub [u8; 10]);

impl Versionstamp {
    /// Of the transaction that stands at `order` among those that `version` committed together.
    pub fn new(version: Version, order: u16) -> Self {
        let mut stamp = [0; 10];
        stamp[..8].copy_from_slice(&version.0.to_be_bytes());
        stamp[8..].copy_from_slice(&order.to_be_bytes());
        Self(stamp)
    }

    /// The version that it begins with.
    pub fn version(self) -> Version {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Version(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The octets with this in place of the ten at `offset`, which must be there.
    pub(crate) fn written_to(self, octets: &[u8], offset: usize) -> Bytes {
        let mut octets = octets.to_vec();
        octets[offset..offset + self.0.len()].copy_from_slice(&self.0);
        octets.into()
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Key becomes value.
    Set(Bytes, Bytes),
    /// Key goes.
    Clear(Bytes),
    /// All keys of the range go.
    ClearRange(KeyRange),
    /// Little-endian 64-bit wrapping addition; an absent key counts as 0.
    Add(Bytes, i64),
    /// Unsigned little-endian 64-bit maximum; an absent key takes the operand.
    Max(Bytes, u64),
    /// Unsigned little-endian 64-bit minimum; an absent key takes the operand.
    Min(Bytes, u64),
    /// A set whose key holds ten octets at `offset` that the commit's versionstamp replaces.
    SetVersionstampedKey {
        /// The key, with a placeholder.
        key: Bytes,
        /// Where in the key the ten octets stand.
        offset: usize,
        /// The value.
        value: Bytes,
    },
    /// A set whose value's ten octets at `offset` the commit's versionstamp replaces.
    SetVersionstampedValue {
        /// The key.
        key: Bytes,
        /// The value, with a placeholder.
        value: Bytes,
        /// Where in the value the ten octets stand.
        offset: usize,
    },
}

impl Mutation {
    /// The range of keys that it writes. A versionstamped key is known only at its commit, and nobody
    /// can have read it before: it has none.
    pub fn written(&self) -> Option<KeyRange> {
        match self {
            Self::Set(key, _) | Self::Clear(key) => Some(KeyRange::key(key)),
            Self::Add(key, _) | Self::Max(key, _) | Self::Min(key, _) => Some(KeyRange::key(key)),
            Self::SetVersionstampedValue { key, .. } => Some(KeyRange::key(key)),
            Self::ClearRange(range) => Some(range.clone()),
            Self::SetVersionstampedKey { .. } => None,
        }
    }
}

/// A transaction handed in for its commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// What its reads saw. `None` if it read nothing.
    pub read_version: Option<Version>,
    /// It fails with `Conflict` if any of these was written after `read_version`.
    pub read_conflicts: Vec<KeyRange>,
    /// Extra ranges that later commits see as written.
    pub write_conflicts: Vec<KeyRange>,
    /// The writes, in order.
    pub mutations: Vec<Mutation>,
}

/// Where a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its version: reads at this or a later one see it.
    pub version: Version,
    /// Its versionstamp.
    pub versionstamp: Versionstamp,
}

/// Part of a range read.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// Keys and values in the order asked for.
    pub pairs: Vec<(Bytes, Bytes)>,
    /// Whether the range may hold more beyond the last pair.
    pub more: bool,
}

/// How much of a range to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimit {
    /// Most pairs.
    pub pairs: usize,
    /// Octets of keys and values after which the chunk ends (at least one pair is given).
    pub octets: usize,
    /// From the end of the range backwards.
    pub reverse: bool,
}

impl ChunkLimit {
    /// The same, or what one step reads at most if another node asks for more.
    pub(crate) fn bounded(self) -> Self {
        let pairs = self.pairs.clamp(1, limits::RANGE_CHUNK_PAIRS);
        Self { pairs, octets: self.octets.min(limits::RANGE_CHUNK_OCTETS), ..self }
    }
}

/// Ends once the key may have changed since the watch was made: a hint, never the truth.
/// Dropping it gives the watch up.
pub type Watch = futures::future::BoxFuture<'static, Result<()>>;

/// What a node keeps of a store itself: a state that the store had at some moment, however long ago, and never an older one
/// than was told here before. What others told meanwhile may be newer, so nothing that is read here is ever committed: no
/// transaction can be made of it.
#[async_trait]
pub trait OwnCopy: Send + Sync {
    /// The value. `Unavailable` or `Closed` where what is kept here may not be told any more.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The next pairs of the range, all of one moment. Errors as of [`OwnCopy::get`].
    async fn range(&self, range: KeyRange, limit: ChunkLimit) -> Result<Chunk>;
}

/// A transactional store. `conformance` (in this folder) is the suite that every engine passes.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// A version at least as new as every commit acknowledged before this call, by anyone.
    async fn read_version(&self) -> Result<Version>;

    /// The value at that version. `TooOld` if the engine no longer keeps it.
    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>>;

    /// The next pairs of the range at that version.
    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk>;

    /// Commits durably, or fails with `Conflict`, `TooOld`, `Overloaded`, `Full`, `Unavailable` (nothing was
    /// changed), or `CommitUnknown`. Returns once reads at the returned version will see it.
    async fn commit(&self, commit: Commit) -> Result<Committed>;

    /// A watch on one key, as of `at`.
    fn watch(&self, key: Bytes, at: Version) -> Watch;

    /// How long a read version can be read at and committed from.
    fn transaction_life(&self) -> Duration {
        limits::TRANSACTION_LIFE
    }

    /// What this node keeps itself, as old as it may be: for those who say that they will have it so. `None` where it keeps
    /// nothing that may be told.
    fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
        None
    }

    /// Ends background work; commits in flight are finished first.
    async fn close(&self);
}
