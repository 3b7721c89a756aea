//! Who is alive. Each incarnation of a node moves its heartbeat on. One that stands still for long enough, on the
//! monotonic clock of who looks, has its claims taken over: no wall clock decides, and a node that was merely
//! slow finds out when it next writes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::entry::{self, Head, Incarnation};
use super::store::Queue;
use crate::kv::key::subspace;
use crate::kv::{KeyRange, KeyReader, KeyWriter, RangeOptions, Transaction};
use crate::limits::QUEUE_CLAIMED_TOGETHER;
use crate::types::QueueId;
use crate::{Error, Result};

/// The heartbeats of other incarnations: what was last seen, and since when.
pub(super) type Sightings = HashMap<Incarnation, (Option<Bytes>, Instant)>;

/// `N node`.
pub(super) fn heartbeat_key(incarnation: Incarnation) -> Bytes {
    KeyWriter::new(subspace::NODE).fixed(&incarnation.0).finish()
}

/// Begins the incarnation's heartbeat, at random: one that was given up and is back never looks as it did before.
pub(super) fn register(tx: &mut Transaction, incarnation: Incarnation) {
    tx.set(heartbeat_key(incarnation), rand::random::<u64>().to_le_bytes().to_vec());
}

impl Queue {
    /// Keeps this node's heartbeat moving and takes over from nodes that stopped, until told to stop; then gives
    /// back what this node has claimed.
    pub fn spawn_heartbeat(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let queue = self.clone();
        tasks.spawn(async move {
            let mut every = tokio::time::interval(queue.inner.config.heartbeat_every);
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(every.tick()).await.is_some() {
                if let Err(error) = queue.tend(Instant::now).await {
                    tracing::warn!(%error, "heartbeat of the queue's claims");
                }
            }
            if let Err(error) = queue.resign().await {
                tracing::warn!(%error, "giving claims back; the next incarnation takes them over");
            }
        });
    }

    /// Moves the own heartbeat on, and takes over from whoever has stood still for long enough. Gives the number of
    /// entries that became free. `clock` is monotonic.
    pub async fn tend(&self, clock: impl Fn() -> Instant) -> Result<usize> {
        let own = heartbeat_key(self.inner.incarnation);
        let beat = self.inner.db.run(async |tx| {
            tx.add(own.clone(), 1);
            Ok(())
        });
        beat.await?;
        let mut freed = 0;
        for (incarnation, seen) in self.stopped(clock, self.inner.config.takeover_after).await? {
            freed += self.take_over(incarnation, seen).await?;
        }
        Ok(freed)
    }

    /// Frees at once what others have claimed: for a node that is alone.
    pub(super) async fn release_others(&self) -> Result<usize> {
        let mut freed = 0;
        for (incarnation, seen) in self.stopped(Instant::now, Duration::ZERO).await? {
            freed += self.take_over(incarnation, seen).await?;
        }
        Ok(freed)
    }

    /// Gives back all that this incarnation has claimed, and signs off. For the end of a drain, once its workers
    /// have stopped.
    pub async fn resign(&self) -> Result<()> {
        let own = self.inner.incarnation;
        let seen = self.inner.db.begin().get_snapshot(&heartbeat_key(own)).await?;
        self.take_over(own, seen).await.map(|_| ())
    }

    /// The incarnations whose heartbeat is as it was `after` ago, or longer.
    async fn stopped(
        &self,
        clock: impl Fn() -> Instant,
        after: Duration,
    ) -> Result<Vec<(Incarnation, Option<Bytes>)>> {
        // Reading takes time, and says how it was at any moment of it: since after it, until before it.
        let begun = clock();
        let heartbeats = heartbeats(&mut self.inner.db.begin()).await?;
        let now = clock();
        let mut sightings = self.inner.sightings.lock();
        sightings.retain(|incarnation, _| heartbeats.contains_key(incarnation));
        let mut stopped = Vec::new();
        for (incarnation, value) in heartbeats {
            if incarnation == self.inner.incarnation {
                continue;
            }
            let sighting = sightings.entry(incarnation).or_insert_with(|| (value.clone(), now));
            if sighting.0 != value {
                *sighting = (value, now);
            } else if begun.saturating_duration_since(sighting.1) >= after {
                stopped.push((incarnation, value));
            }
        }
        Ok(stopped)
    }

    /// Frees what the incarnation has claimed, as long as its heartbeat is what was seen; then forgets it.
    async fn take_over(&self, incarnation: Incarnation, seen: Option<Bytes>) -> Result<usize> {
        let mut freed = 0;
        loop {
            let run = self.inner.db.run(async |tx| free_some(tx, incarnation, seen.as_ref()).await);
            match run.await? {
                0 => break,
                some => freed += some,
            }
        }
        if freed > 0 {
            tracing::info!(freed, "queue entries of a stopped node are free again");
        }
        Ok(freed)
    }
}

/// All heartbeats, and `None` for incarnations that have claims and no heartbeat.
async fn heartbeats(tx: &mut Transaction) -> Result<HashMap<Incarnation, Option<Bytes>>> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let mut heartbeats = HashMap::new();
    for (key, value) in tx.range(KeyRange::prefix(&[subspace::NODE]), options).collect().await? {
        let incarnation = Incarnation(KeyReader::new(&key, subspace::NODE)?.fixed()?);
        heartbeats.insert(incarnation, Some(value));
    }
    let mut left = entry::all_claims();
    let first = RangeOptions { limit: Some(1), ..options };
    while let Some((key, _)) = tx.range(left.clone(), first).next().await? {
        let (incarnation, _) = entry::claim_of(&key)?;
        heartbeats.entry(incarnation).or_insert(None);
        left.begin = entry::claims(incarnation).end.max(KeyRange::key(&key).end);
    }
    Ok(heartbeats)
}

/// Frees a bounded number of the incarnation's claims; at the end clears its heartbeat. Does nothing if the
/// heartbeat has moved.
async fn free_some(tx: &mut Transaction, incarnation: Incarnation, seen: Option<&Bytes>) -> Result<usize> {
    let heartbeat = heartbeat_key(incarnation);
    if tx.get(&heartbeat).await?.as_ref() != seen {
        return Ok(0);
    }
    let options = RangeOptions { limit: Some(QUEUE_CLAIMED_TOGETHER), ..RangeOptions::default() };
    let claims = tx.range(entry::claims(incarnation), options).collect().await?;
    for (key, _) in &claims {
        let (_, id) = entry::claim_of(key)?;
        free(tx, incarnation, id, key).await?;
    }
    if claims.is_empty() {
        tx.clear(heartbeat);
    }
    Ok(claims.len())
}

async fn free(tx: &mut Transaction, incarnation: Incarnation, id: QueueId, key: &Bytes) -> Result<()> {
    match entry::head(tx, id).await {
        Ok(before) if before.claim == Some(incarnation) => {
            let head = Head { claim: None, ..before.clone() };
            head.replace(tx, id, Some(&before));
        }
        // A claim key that its entry knows nothing of would be found again and again.
        Ok(_) | Err(Error::NotFound(_)) => tx.clear(key.clone()),
        Err(error) => return Err(error),
    }
    Ok(())
}
