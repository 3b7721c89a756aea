//! The queue's handle: putting entries in, looking at them, and what an administrator does to them.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use parking_lot::Mutex;

use super::entry::{self, Entry, Head, Incarnation, Listed};
use super::lease::{Sightings, register};
use super::wait::Horizon;
use crate::Result;
use crate::bodies::{Bodies, Owner};
use crate::kv::record::Record;
use crate::kv::{Clock, Database, RangeOptions, Transaction};
use crate::limits::{QUEUE_LISTED_OCTETS, QUEUE_LISTED_TOGETHER};
use crate::types::{OperationId, QueueId, Timestamp};

/// How claims are held.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Whether this node is the only one, as with the `local` engine: then what an earlier run of it had claimed
    /// is free at once.
    pub exclusive: bool,
    /// How long another node's heartbeat must stand still, as seen from here, before its claims are taken over.
    pub takeover_after: Duration,
    /// How often this node's heartbeat is written and the others' are looked at.
    pub heartbeat_every: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            exclusive: false,
            takeover_after: Duration::from_secs(30),
            heartbeat_every: Duration::from_secs(5),
        }
    }
}

/// The queue; cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) db: Database,
    clock: Clock,
    pub(super) bodies: Bodies,
    pub(super) config: QueueConfig,
    pub(super) incarnation: Incarnation,
    pub(super) sightings: Mutex<Sightings>,
    /// Where claims are looked for first next time, so that no shard starves the others.
    pub(super) next_shard: AtomicU8,
    /// Held while claiming: two claimers of one node would only conflict.
    pub(super) horizon: tokio::sync::Mutex<Horizon>,
}

/// What is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All entries.
    pub entries: u64,
    /// Those that workers have now.
    pub claimed: u64,
    /// Those that are held.
    pub held: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Timestamp>,
}

impl Queue {
    /// Opens the queue as a new incarnation of this node, and registers it.
    pub async fn open(db: Database, bodies: Bodies, config: QueueConfig) -> Result<Self> {
        let incarnation = Incarnation(rand::random());
        let next_shard = AtomicU8::new(rand::random());
        let (sightings, horizon) = (Mutex::default(), tokio::sync::Mutex::default());
        let clock = db.clock().await?;
        let inner = Inner { db, clock, bodies, config, incarnation, sightings, next_shard, horizon };
        let queue = Self { inner: Arc::new(inner) };
        let register = queue.inner.db.run(async |tx| {
            register(tx, incarnation);
            Ok(())
        });
        register.await?;
        if queue.inner.config.exclusive {
            queue.release_others().await?;
        }
        Ok(queue)
    }

    /// What the store's clock shows, by which entries are due and grow old ([`Clock::now`]).
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Puts an entry in, with a reference to its body, which the transaction commits too or holds another reference
    /// to. Once it commits, delivery is Sterna's responsibility. `TooLarge` if its payload is.
    pub fn put(&self, tx: &mut Transaction, entry: &Entry) -> Result<()> {
        Head::of(entry).replace(tx, entry.id, None);
        self.inner.bodies.add_reference(tx, entry.body, Owner::Queue(entry.id));
        entry::set_payload(tx, entry.id, &entry.payload, true)
    }

    /// One entry. `NotFound` if there is none.
    pub async fn entry(&self, id: QueueId) -> Result<Listed> {
        let mut tx = self.inner.db.begin();
        let head = entry::head(&mut tx, id).await?;
        let payload = entry::payload(&mut tx, id).await?;
        Ok(Listed { claimed: head.claim.is_some(), entry: head.with(id, payload) })
    }

    /// At most `limit` entries behind `after`, oldest first; fewer where their payloads are long, none only at the end.
    pub async fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Listed>> {
        let limit = limit.min(QUEUE_LISTED_TOGETHER);
        let mut tx = self.inner.db.begin();
        let heads = heads(&mut tx, after, limit).await?;
        let mut listed = Vec::with_capacity(heads.len());
        let mut octets = 0;
        for (id, head) in heads {
            if octets >= QUEUE_LISTED_OCTETS {
                break;
            }
            let payload = entry::payload(&mut tx, id).await?;
            octets += payload.len();
            listed.push(Listed { claimed: head.claim.is_some(), entry: head.with(id, payload) });
        }
        Ok(listed)
    }

    /// Counts all entries. Reads every head: for people and for metrics, not for every message.
    pub async fn counts(&self) -> Result<Counts> {
        let (mut counts, mut after) = (Counts::default(), None);
        loop {
            let heads = heads(&mut self.inner.db.begin(), after, QUEUE_LISTED_TOGETHER).await?;
            let Some((last, _)) = heads.last() else { return Ok(counts) };
            after = Some(*last);
            for (_, head) in &heads {
                counts.entries += 1;
                counts.claimed += u64::from(head.claim.is_some());
                counts.held += u64::from(head.held);
                counts.oldest = Some(counts.oldest.map_or(head.created, |oldest| oldest.min(head.created)));
            }
        }
    }

    /// Keeps the entry from being tried. A worker that has it now ends its attempt first. `NotFound` if there is no
    /// such entry.
    pub async fn hold(&self, id: QueueId) -> Result<()> {
        self.change(id, |head| head.held = true).await
    }

    /// Lets a held entry go on as scheduled. `NotFound` if there is no such entry.
    pub async fn release(&self, id: QueueId) -> Result<()> {
        self.change(id, |head| head.held = false).await
    }

    /// Makes the entry due at `now`, unless a worker has it. `NotFound` if there is no such entry.
    pub async fn try_now(&self, id: QueueId, now: Timestamp) -> Result<()> {
        let due_now = |head: &mut Head| {
            if head.claim.is_none() {
                head.due = head.due.min(now);
            }
        };
        self.change(id, due_now).await
    }

    /// Takes the entry out, undelivered and unreported. A worker that has it finds its claim gone. `NotFound` if
    /// there is no such entry.
    pub async fn cancel(&self, id: QueueId) -> Result<()> {
        let cancelled = self.inner.db.run_once(OperationId::random(), async |tx| {
            let head = entry::head(tx, id).await?;
            self.clear(tx, id, &head);
            Ok(())
        });
        cancelled.await
    }

    /// Takes the entry and its reference away.
    pub(super) fn clear(&self, tx: &mut Transaction, id: QueueId, head: &Head) {
        entry::clear(tx, id, head);
        self.inner.bodies.drop_reference(tx, head.body, Owner::Queue(id));
    }

    async fn change(&self, id: QueueId, change: impl Fn(&mut Head) + Send + Sync) -> Result<()> {
        let changed = self.inner.db.run_once(OperationId::random(), async |tx| {
            let before = entry::head(tx, id).await?;
            let mut head = before.clone();
            change(&mut head);
            if head != before {
                head.replace(tx, id, Some(&before));
            }
            Ok(())
        });
        changed.await
    }
}

/// At most `limit` heads behind `after`. Payloads lie between them and are passed over.
async fn heads(tx: &mut Transaction, after: Option<QueueId>, limit: usize) -> Result<Vec<(QueueId, Head)>> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let mut heads = Vec::new();
    let mut reader = tx.range(entry::entries(after), options);
    while heads.len() < limit
        && let Some((key, value)) = reader.next().await?
    {
        let (id, is_head) = entry::entry_of(&key)?;
        if is_head {
            heads.push((id, Head::decode(&value)?));
        }
    }
    Ok(heads)
}
