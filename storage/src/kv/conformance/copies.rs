//! What an engine promises of the copy that it gives, if it gives one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::kv::engine::{Chunk, ChunkLimit, OwnCopy};
use crate::kv::{Database, KeyRange, Transaction};

/// How often the database changes under the reader.
const CHANGES: u64 = 60;
/// How long the copy may take to come to the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Each change writes its number to all of them.
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Each is one that the database had, never one older than was told before, and in the end the last one.
pub(super) async fn are_states_that_were(database: Database) {
    let Some(copy) = database.copy() else { return };
    let begun = Arc::new(AtomicU64::new(0));
    let writing = tokio::spawn(write_all(database, begun.clone()));
    let (mut last, started) = (0, Instant::now());
    while last < CHANGES {
        assert!(started.elapsed() < PATIENCE, "the copy stays at {last}");
        let together = of_one_moment(&all(copy.as_ref(), KEYS.len(), false).await);
        let then = number(copy.get(b"c").await.expect("reads").as_ref());
        let newest = begun.load(Ordering::SeqCst);
        assert!(
            last <= together && together <= then && then <= newest,
            "{last}, {together}, {then}, {newest}"
        );
        last = then;
        tokio::task::yield_now().await;
    }
    writing.await.expect("joins");
    for (reverse, first) in [(false, "a"), (true, "c")] {
        let part = all(copy.as_ref(), 1, reverse).await;
        assert_eq!((part.pairs[0].0.as_ref(), part.pairs.len(), part.more), (first.as_bytes(), 1, true));
    }
    assert_eq!(copy.get(b"absent").await.expect("reads"), None);
}

async fn write_all(database: Database, begun: Arc<AtomicU64>) {
    for change in 1..=CHANGES {
        begun.store(change, Ordering::SeqCst);
        let write = async |tx: &mut Transaction| {
            KEYS.iter().for_each(|key| tx.set(*key, change.to_be_bytes().to_vec()));
            Ok(())
        };
        database.run(write).await.expect("commits");
    }
}

async fn all(copy: &dyn OwnCopy, pairs: usize, reverse: bool) -> Chunk {
    let limit = ChunkLimit { pairs, octets: usize::MAX, reverse };
    copy.range(KeyRange::new("a", "d"), limit).await.expect("reads")
}

/// The change whose state it is.
fn of_one_moment(chunk: &Chunk) -> u64 {
    assert!(chunk.pairs.is_empty() || chunk.pairs.len() == KEYS.len(), "in part: {chunk:?}");
    let numbers: Vec<u64> = chunk.pairs.iter().map(|(_, value)| number(Some(value))).collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "of several moments: {numbers:?}");
    numbers.first().copied().unwrap_or(0)
}

fn number(value: Option<&Bytes>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value[..].try_into().expect("eight octets")))
}
