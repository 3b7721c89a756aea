//! Where a lookup reads: in the database, or in what this node keeps of it itself.

use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::kv::engine::ChunkLimit;
use crate::kv::{Database, KeyRange, OwnCopy, RangeOptions};
use crate::limits::RANGE_CHUNK_OCTETS;

/// What answers one lookup.
pub(super) enum Source {
    /// As it is now.
    Database(Database),
    /// As it was at some moment.
    Copy(Arc<dyn OwnCopy>),
}

impl Source {
    pub(super) async fn value(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self {
            Self::Database(database) => database.begin().get_snapshot(key).await,
            Self::Copy(copy) => copy.get(key).await,
        }
    }

    /// The first key of the range.
    pub(super) async fn first_key(&self, range: KeyRange) -> Result<Option<Bytes>> {
        let first = match self {
            Self::Database(database) => {
                let mut tx = database.begin();
                let options = RangeOptions { limit: Some(1), snapshot: true, ..RangeOptions::default() };
                tx.range(range, options).next().await?
            }
            Self::Copy(copy) => {
                let limit = ChunkLimit { pairs: 1, octets: RANGE_CHUNK_OCTETS, reverse: false };
                copy.range(range, limit).await?.pairs.into_iter().next()
            }
        };
        Ok(first.map(|(key, _)| key))
    }
}
