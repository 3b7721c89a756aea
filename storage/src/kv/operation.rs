//! Results of operations, kept under their ids for as long as anybody may ask again; and an index of them by when they may
//! go, so that trimming reads only what goes.
//!
//! | key | value |
//! | --- | --- |
//! | `I id` | the result |
//! | `i shard slot id` | nothing. The slot counts ten minutes of the store's clock; by shard, so that commits of the same minutes do not all write in one place |

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{KeyReader, KeyWriter, subspace};
use super::range::{KeyRange, RangeOptions};
use super::record::Record;
use super::transaction::Transaction;
use crate::types::{OperationId, Timestamp};
use crate::{Error, Result, limits};

const SHARDS: u8 = 16;
const SLOT_MILLIS: i64 = 10 * 60 * 1000;

#[derive(Serialize, Deserialize)]
struct Kept {
    result: Vec<u8>,
}

impl Record for Kept {
    const VERSION: u8 = 1;
}

/// The result that an earlier transaction recorded under the id: for transactions that carry out several operations at
/// once. [`super::Database::run_once`] is for those that carry out one.
pub async fn result<T: DeserializeOwned>(tx: &mut Transaction, operation: OperationId) -> Result<Option<T>> {
    let Some(value) = tx.get(&key(operation)).await? else { return Ok(None) };
    let result = postcard::from_bytes(&Kept::decode(&value)?.result);
    result.map(Some).map_err(|error| Error::Corrupt(format!("result of an operation: {error}").into()))
}

/// Records an operation's result under its id, to be kept until then by the store's clock. The transaction has looked for
/// an earlier one.
pub fn record<T: Serialize>(
    tx: &mut Transaction,
    operation: OperationId,
    until: Timestamp,
    value: &T,
) -> Result<()> {
    let result = postcard::to_stdvec(value)
        .map_err(|error| Error::Invalid(format!("result of an operation: {error}").into()))?;
    tx.set(key(operation), Kept { result }.encode());
    let until = slot(until);
    tx.set(shard(operation.0[0] % SHARDS).u32(until).fixed(&operation.0).finish(), Bytes::new());
    Ok(())
}

/// Where the index tells of results that may go.
pub(super) fn due(now: Timestamp) -> impl Iterator<Item = KeyRange> {
    (0..SHARDS)
        .map(move |number| KeyRange::new(shard(number).finish(), shard(number).u32(slot(now)).finish()))
}

/// Lets go one chunk of the index's range; gives the last key of it, `None` at the end, and how many went.
pub(super) async fn trim_some(tx: &mut Transaction, due: &KeyRange) -> Result<(Option<Bytes>, usize)> {
    let limit = Some(limits::RANGE_CHUNK_PAIRS);
    let options = RangeOptions { limit, snapshot: true, ..RangeOptions::default() };
    let pairs = tx.range(due.clone(), options).collect().await?;
    for (entry, _) in &pairs {
        let mut parts = KeyReader::new(entry, subspace::OPERATION_DUE)?;
        let (_, _, id) = (parts.u8()?, parts.u32()?, parts.fixed()?);
        tx.clear(key(OperationId(id)));
        tx.clear(entry.clone());
    }
    Ok((pairs.last().map(|(key, _)| key.clone()), pairs.len()))
}

fn key(operation: OperationId) -> Bytes {
    KeyWriter::new(subspace::OPERATION).fixed(&operation.0).finish()
}

fn shard(number: u8) -> KeyWriter {
    KeyWriter::new(subspace::OPERATION_DUE).u8(number)
}

fn slot(time: Timestamp) -> u32 {
    u32::try_from(time.as_millis() / SLOT_MILLIS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kv::{Database, Memory};

    async fn now(database: &Database) -> Timestamp {
        database.now().await.expect("reads")
    }

    #[tokio::test]
    async fn an_operation_takes_effect_once_until_it_is_trimmed() {
        let database = Database::new(Memory::new());
        let operation = OperationId::derived(&[b"delivery"]);
        let append = async || {
            let append = async |tx: &mut Transaction| {
                tx.add("count", 1);
                let count = tx.get(b"count").await?.expect("just added");
                Ok(count[0])
            };
            database.run_once(operation, append).await.expect("commits")
        };
        assert_eq!((append().await, append().await), (1, 1));
        assert_eq!(database.trim_operations(now(&database).await).await.expect("trims"), 0);
        let later = now(&database).await.plus(limits::OPERATION_KEPT * 2);
        assert_eq!(database.trim_operations(later).await.expect("trims"), 1);
        assert_eq!(append().await, 2);
    }

    #[tokio::test]
    async fn a_clock_that_is_hours_ahead_trims_no_result_that_is_needed() {
        let database = Database::new(Memory::new());
        for kept in [limits::COMMIT_KEPT, limits::OPERATION_KEPT] {
            let done = database.run_once_kept(OperationId::random(), kept, async |_| Ok(()));
            done.await.expect("commits");
        }
        let begun = now(&database).await;
        let ahead = |hours: u64| begun.plus(Duration::from_secs(hours * 60 * 60));
        assert_eq!(database.trim_operations(ahead(23)).await.expect("trims"), 0);
        assert_eq!(database.trim_operations(ahead(25)).await.expect("trims"), 2);
    }

    /// Each goes when its own time is over and not before, none is left behind, and nothing is read of those that stay.
    #[tokio::test]
    async fn trimming_takes_what_is_over_and_leaves_nothing_of_it() {
        let database = Database::new(Memory::new());
        let (begun, hour) = (now(&database).await, Duration::from_secs(3600));
        for hours in 1..=3 {
            for _ in 0..limits::RANGE_CHUNK_PAIRS {
                let kept = database.run_once_kept(OperationId::random(), hour * hours, async |_| Ok(()));
                kept.await.expect("commits");
            }
        }
        let mut removed = Vec::new();
        for minutes in [0, 59, 75, 119, 135, 200] {
            let now = begun.plus(Duration::from_secs(60 * minutes));
            removed.push(database.trim_operations(now).await.expect("trims"));
        }
        let each = limits::RANGE_CHUNK_PAIRS;
        assert_eq!(removed, [0, 0, each, 0, each, each]);
        let left = async |tx: &mut Transaction| {
            tx.range(KeyRange::new("A", "j"), RangeOptions::default()).collect().await
        };
        assert!(database.run(left).await.expect("reads").is_empty());
    }
}
