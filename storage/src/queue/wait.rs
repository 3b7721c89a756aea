//! Sleeping until something is due.

use std::time::Duration;

use futures::future::select_all;

use super::entry::{self, SHARDS, SIGNALS};
use super::store::Queue;
use crate::Result;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::QUEUE_WAIT_MAX;
use crate::types::Timestamp;

impl Queue {
    /// Returns once an entry may be due that was not due at `now`: at its time, when one is put in or comes back, or
    /// after [`QUEUE_WAIT_MAX`] at the latest, since watches are hints.
    pub async fn wait_for_due(&self, now: Timestamp) -> Result<()> {
        let mut tx = self.inner.db.begin();
        // The watches come first: what is put in after the look at the index below wakes them.
        let mut watches = Vec::with_capacity(usize::from(SIGNALS));
        for number in 0..SIGNALS {
            watches.push(tx.watch(&entry::signal_key(number)).await?);
        }
        let earliest = earliest(&mut tx).await?;
        let wait = earliest.map_or(QUEUE_WAIT_MAX, |due| due.since(now)).min(QUEUE_WAIT_MAX);
        if wait > Duration::ZERO {
            // Either way the caller looks again.
            let _ = tokio::time::timeout(wait, select_all(watches)).await;
        }
        Ok(())
    }
}

/// When the first entry that nobody has and nobody holds is due.
async fn earliest(tx: &mut Transaction) -> Result<Option<Timestamp>> {
    let options = RangeOptions { limit: Some(1), snapshot: true, ..RangeOptions::default() };
    let mut earliest: Option<Timestamp> = None;
    for shard in 0..SHARDS {
        if let Some((key, _)) = tx.range(entry::shard(shard, None), options).next().await? {
            let (due, _) = entry::due_of(&key)?;
            earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
        }
    }
    Ok(earliest)
}
