//! Claims: a worker takes what is due, and holds it against all others until it ends the claim or its node stops
//! being seen. Whatever a holder writes checks that it still holds.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::entry::{self, Entry, Head, Incarnation, SHARDS};
use super::lease::{heartbeat_key, register};
use super::store::Queue;
use super::wait::Horizon;
use crate::bodies::Owner;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::QUEUE_CLAIMED_TOGETHER;
use crate::types::{QueueId, Timestamp};
use crate::{Error, Result};

/// An entry that this node's worker has. Dropped without an end, it is taken over once the node has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The entry as it was when claimed.
    pub entry: Entry,
    incarnation: Incarnation,
    epoch: u64,
}

/// The epoch of an entry that is claimed from the start.
const FIRST_EPOCH: u64 = 1;

impl Queue {
    /// Claims at most `limit` entries that are due at `now`; a few more where an earlier call did not hear what it had
    /// claimed.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Claim>> {
        let mut claims = Vec::new();
        match self.claim_due(now, limit, &mut claims).await {
            Err(error) if claims.is_empty() => return Err(error),
            // What is claimed already is the caller's: nobody else would ever come to it.
            Err(error) => tracing::warn!(%error, "only some of what is due was claimed"),
            Ok(()) => {}
        }
        Ok(claims)
    }

    async fn claim_due(&self, now: Timestamp, limit: usize, claims: &mut Vec<Claim>) -> Result<()> {
        let first = self.inner.next_shard.fetch_add(1, Ordering::Relaxed);
        let mut horizon = self.inner.horizon.lock().await;
        claims.extend(self.claim(&mut horizon, now).await?);
        horizon.look(&mut self.inner.db.begin()).await?;
        for shard in (0..SHARDS).map(|step| first.wrapping_add(step) % SHARDS) {
            while claims.len() < limit && horizon.is_due(shard, now) {
                let wanted = (limit - claims.len()).min(QUEUE_CLAIMED_TOGETHER);
                horizon.in_doubt = self.due_of_shard(shard, now, wanted).await?;
                let seen = horizon.in_doubt.len();
                claims.extend(self.claim(&mut horizon, now).await?);
                horizon.look_at(&mut self.inner.db.begin(), shard).await?;
                if seen < wanted {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn due_of_shard(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<QueueId>> {
        let range = entry::shard(shard, Some(now));
        let options = RangeOptions { limit: Some(limit), snapshot: true, ..RangeOptions::default() };
        let due = self.inner.db.begin().range(range, options).collect().await?;
        due.iter().map(|(key, _)| Ok(entry::due_of(key)?.1)).collect()
    }

    /// Claims what is in doubt, which then no longer is; where it could not be told, or nobody waited for it, it still is.
    async fn claim(&self, horizon: &mut Horizon, now: Timestamp) -> Result<Vec<Claim>> {
        let ids = &horizon.in_doubt;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let claims = self.inner.db.run_repeatable(async |tx| self.claim_all(tx, ids, now).await).await;
        if !claims.as_ref().is_err_and(Error::is_temporary) {
            horizon.in_doubt.clear();
        }
        claims
    }

    async fn claim_all(&self, tx: &mut Transaction, ids: &[QueueId], now: Timestamp) -> Result<Vec<Claim>> {
        let incarnation = self.inner.incarnation;
        if tx.get(&heartbeat_key(incarnation)).await?.is_none() {
            // This node was given up while it stood still: it is back, and must be seen to be.
            register(tx, incarnation);
        }
        let mut claims = Vec::new();
        for id in ids.iter().copied() {
            let before = match entry::head(tx, id).await {
                Err(Error::NotFound(_)) => continue,
                head => head?,
            };
            let head = match before.claim {
                // By an earlier run, of which nobody was told how it ended: no worker can have the entry.
                Some(holder) if holder == incarnation => before,
                None if !before.held && before.due <= now => {
                    let head = Head { claim: Some(incarnation), epoch: before.epoch + 1, ..before.clone() };
                    head.replace(tx, id, Some(&before));
                    head
                }
                _ => continue,
            };
            let payload = entry::payload(tx, id).await?;
            claims.push(Claim { entry: head.with(id, payload), incarnation, epoch: head.epoch });
        }
        Ok(claims)
    }

    /// As [`Queue::put`], claimed by this node from the start: for who goes on with the entry at once. The same call
    /// in a rerun of the transaction writes the same. Once it has committed, [`Queue::first_claim`] is the claim.
    pub async fn put_claimed(&self, tx: &mut Transaction, entry: &Entry) -> Result<()> {
        let incarnation = self.inner.incarnation;
        if tx.get(&heartbeat_key(incarnation)).await?.is_none() {
            register(tx, incarnation);
        }
        let head = Head { claim: Some(incarnation), epoch: FIRST_EPOCH, ..Head::of(entry) };
        head.replace(tx, entry.id, None);
        self.inner.bodies.add_reference(tx, entry.body, Owner::Queue(entry.id));
        entry::set_payload(tx, entry.id, &entry.payload, true)
    }

    /// The claim that [`Queue::put_claimed`] made.
    pub fn first_claim(&self, entry: Entry) -> Claim {
        Claim { entry, incarnation: self.inner.incarnation, epoch: FIRST_EPOCH }
    }

    /// Whether the claim still holds: `NotFound` if the entry was cancelled, or another node has taken it over. To
    /// be asked before the step that cannot be undone (the final dot).
    pub async fn check(&self, claim: &Claim) -> Result<()> {
        held(&mut self.inner.db.begin(), claim).await.map(|_| ())
    }

    /// Writes a new payload and keeps the claim. `NotFound` as with [`Queue::check`].
    pub async fn update(&self, claim: &Claim, payload: &Bytes) -> Result<()> {
        self.inner.db.run(async |tx| self.update_in(tx, claim, payload).await).await
    }

    /// As [`Queue::update`], in the caller's transaction: a delivery and what the entry says of it are one.
    pub async fn update_in(&self, tx: &mut Transaction, claim: &Claim, payload: &Bytes) -> Result<()> {
        held(tx, claim).await?;
        entry::set_payload(tx, claim.entry.id, payload, false)
    }

    /// Ends the claim: the entry is due again at `due`, with this payload. `NotFound` as with [`Queue::check`].
    pub async fn reschedule(&self, claim: &Claim, due: Timestamp, payload: &Bytes) -> Result<()> {
        self.inner.db.run(async |tx| self.reschedule_in(tx, claim, due, payload).await).await
    }

    /// As [`Queue::reschedule`], in the caller's transaction.
    pub async fn reschedule_in(
        &self,
        tx: &mut Transaction,
        claim: &Claim,
        due: Timestamp,
        payload: &Bytes,
    ) -> Result<()> {
        let before = held(tx, claim).await?;
        let head = Head { claim: None, due, ..before.clone() };
        head.replace(tx, claim.entry.id, Some(&before));
        if *payload != claim.entry.payload {
            entry::set_payload(tx, claim.entry.id, payload, false)?;
        }
        Ok(())
    }

    /// Ends the claim and takes the entry out: all that was to be done is done. `NotFound` as with [`Queue::check`].
    pub async fn remove(&self, claim: &Claim) -> Result<()> {
        self.inner.db.run(async |tx| self.remove_in(tx, claim).await).await
    }

    /// As [`Queue::remove`], in the caller's transaction.
    pub async fn remove_in(&self, tx: &mut Transaction, claim: &Claim) -> Result<()> {
        let head = held(tx, claim).await?;
        self.clear(tx, claim.entry.id, &head);
        Ok(())
    }
}

/// The entry's head, if the claim still holds.
async fn held(tx: &mut Transaction, claim: &Claim) -> Result<Head> {
    let head = entry::head(tx, claim.entry.id).await?;
    if head.claim == Some(claim.incarnation) && head.epoch == claim.epoch {
        return Ok(head);
    }
    Err(Error::NotFound(format!("claim on queue entry {}", claim.entry.id).into()))
}
