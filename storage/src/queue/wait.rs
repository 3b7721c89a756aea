//! Knowing when something is due without looking through all shards each time, and sleeping until then.

use std::time::Duration;

use futures::future::select_all;

use super::entry::{self, SHARDS, SIGNALS};
use super::store::Queue;
use crate::Result;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::QUEUE_WAIT_MAX;
use crate::types::{QueueId, Timestamp};

/// When the first entry of each shard is due, as last seen. Invariant: never later than it is, as long as the
/// signals are those that were seen; earlier where an entry went without a signal.
#[derive(Default)]
pub(super) struct Horizon {
    signals: [Option<u64>; SIGNALS as usize],
    first_due: Vec<Option<Timestamp>>,
    /// Entries that this node was about to claim, and was not told whether it did.
    pub(super) in_doubt: Vec<QueueId>,
}

impl Horizon {
    /// Looks again at those shards whose signal has changed.
    pub(super) async fn look(&mut self, tx: &mut Transaction) -> Result<()> {
        self.first_due.resize(SHARDS.into(), None);
        let signals = entry::signals(tx).await?;
        for (number, now) in (0..SIGNALS).zip(signals) {
            let seen = &mut self.signals[usize::from(number)];
            if *seen == Some(now) {
                continue;
            }
            // Until all of its shards are looked at it counts as changed.
            *seen = None;
            for shard in (number..SHARDS).step_by(SIGNALS.into()) {
                self.first_due[usize::from(shard)] = first_due(tx, shard).await?;
            }
            self.signals[usize::from(number)] = Some(now);
        }
        Ok(())
    }

    /// Looks again at one shard from which entries were taken.
    pub(super) async fn look_at(&mut self, tx: &mut Transaction, shard: u8) -> Result<()> {
        self.first_due[usize::from(shard)] = first_due(tx, shard).await?;
        Ok(())
    }

    /// Whether an entry of the shard may be due.
    pub(super) fn is_due(&self, shard: u8, now: Timestamp) -> bool {
        self.first_due[usize::from(shard)].is_some_and(|due| due <= now)
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.first_due.iter().flatten().min().copied()
    }
}

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
        let earliest = {
            let mut horizon = self.inner.horizon.lock().await;
            horizon.look(&mut tx).await?;
            horizon.earliest()
        };
        let wait = earliest.map_or(QUEUE_WAIT_MAX, |due| due.since(now)).min(QUEUE_WAIT_MAX);
        if wait > Duration::ZERO {
            // Either way the caller looks again.
            let _ = tokio::time::timeout(wait, select_all(watches)).await;
        }
        Ok(())
    }
}

/// When the first entry of the shard that nobody has and nobody holds is due.
async fn first_due(tx: &mut Transaction, shard: u8) -> Result<Option<Timestamp>> {
    let options = RangeOptions { limit: Some(1), snapshot: true, ..RangeOptions::default() };
    match tx.range(entry::shard(shard, None), options).next().await? {
        Some((key, _)) => Ok(Some(entry::due_of(&key)?.0)),
        None => Ok(None),
    }
}
