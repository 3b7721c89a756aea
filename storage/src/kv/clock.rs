//! The store's own clock. What is stored grows old by it, and by no node's wall clock (`docs/decisions/0014`): it never goes
//! back, and never runs faster than the monotonic clocks of those who keep it. It is founded from a wall clock, once; while
//! nobody keeps it, it stands. It knows nothing of what grows old.
//!
//! | key | value |
//! | --- | --- |
//! | `t` | what it shows |
//!
//! Each process shows what it last read, and what its monotonic clock has counted since. Who keeps the clock writes that,
//! where it is more than what the store holds: so several who keep it do not add up, and what one of them did not count is
//! never written.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::key::{KeyWriter, subspace};
use super::record::Record;
use super::{Database, Engine, Transaction};
use crate::limits::{CLOCK_KEPT_EVERY, CLOCK_STEP, CLOCK_UNKEPT};
use crate::types::Timestamp;
use crate::{Error, Result};

/// The clock of a database, as this process knows it; cheap to clone.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    // Without a clock: what is run on it needs none.
    database: Database,
    known: Mutex<Known>,
    // One at a time asks the store.
    turn: tokio::sync::Mutex<()>,
}

/// What the clock showed, and when that was on this process's monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: Timestamp,
    since: Instant,
}

impl Known {
    fn shows(self, monotonic: Instant) -> Timestamp {
        self.at.plus(monotonic.saturating_duration_since(self.since).min(CLOCK_UNKEPT))
    }

    fn is_old(self, monotonic: Instant) -> bool {
        monotonic.saturating_duration_since(self.since) >= CLOCK_UNKEPT
    }
}

#[derive(Serialize, Deserialize)]
struct Reading {
    at: Timestamp,
}

impl Record for Reading {
    const VERSION: u8 = 1;
}

impl Clock {
    async fn open(engine: Arc<dyn Engine>) -> Result<Self> {
        Self::open_at(engine, Timestamp::now, Instant::now).await
    }

    /// Founds it from the wall clock where there is none.
    async fn open_at(
        engine: Arc<dyn Engine>,
        wall: impl Fn() -> Timestamp + Sync,
        monotonic: impl Fn() -> Instant,
    ) -> Result<Self> {
        let database = Database::new(engine);
        let found = database.run_repeatable(async |tx| {
            if let Some(at) = read(tx).await? {
                return Ok(at);
            }
            let at = wall();
            write(tx, at);
            Ok(at)
        });
        // It showed that at some moment before this one.
        let known = Mutex::new(Known { at: found.await?, since: monotonic() });
        let turn = tokio::sync::Mutex::default();
        Ok(Self { inner: Arc::new(Inner { database, known, turn }) })
    }

    /// What it shows. In memory, and so behind by some seconds at most where it is kept; where it was not kept for
    /// [`CLOCK_UNKEPT`], it stands.
    pub fn now(&self) -> Timestamp {
        self.inner.known.lock().shows(Instant::now())
    }

    /// As [`Self::now`], after asking the store where it would stand otherwise.
    async fn current(&self, monotonic: impl Fn() -> Instant + Sync) -> Result<Timestamp> {
        let is_old = || self.inner.known.lock().is_old(monotonic());
        if is_old() {
            match self.inner.turn.try_lock() {
                Ok(_turn) => self.meet(&monotonic).await?,
                // Who has it asks for all: where the store is away, they do not wait one after the other.
                Err(_) => drop(self.inner.turn.lock().await),
            }
            if is_old() {
                return Err(Error::Unavailable("the store's clock".into()));
            }
        }
        Ok(self.inner.known.lock().shows(monotonic()))
    }

    async fn keep(&self) -> Result<()> {
        let _turn = self.inner.turn.lock().await;
        self.meet(Instant::now).await
    }

    /// Learns what the store holds, and moves that on if it is behind. The caller has the turn.
    async fn meet(&self, monotonic: impl Fn() -> Instant + Sync) -> Result<()> {
        let known = *self.inner.known.lock();
        let shown = self.inner.database.run_repeatable(async |tx| {
            let own = known.shows(monotonic());
            match read(tx).await? {
                Some(stored) if own < stored.plus(CLOCK_STEP) => Ok(stored.max(own)),
                _ => {
                    write(tx, own);
                    Ok(own)
                }
            }
        });
        let at = shown.await?;
        let since = monotonic();
        *self.inner.known.lock() = Known { at: at.max(known.shows(since)), since };
        Ok(())
    }
}

/// The clock of a database, which is read when it is asked for first.
#[derive(Clone)]
pub(super) struct Unread {
    engine: Arc<dyn Engine>,
    clock: Arc<OnceCell<Clock>>,
}

impl Unread {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, clock: Arc::default() }
    }

    async fn clock(&self) -> Result<&Clock> {
        self.clock.get_or_try_init(|| Clock::open(self.engine.clone())).await
    }

    pub(super) async fn now(&self) -> Result<Timestamp> {
        self.clock().await?.current(Instant::now).await
    }
}

impl Database {
    /// The store's clock, by which what is stored grows old: from memory, where it is kept.
    pub async fn now(&self) -> Result<Timestamp> {
        self.unread_clock().now().await
    }

    /// The store's clock, for those who must know it at any moment. Somebody has to keep it: [`Self::spawn_clock`].
    pub async fn clock(&self) -> Result<Clock> {
        self.unread_clock().clock().await.cloned()
    }

    /// Keeps the clock until `stop`.
    pub fn spawn_clock(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let database = self.clone();
        tasks.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(CLOCK_KEPT_EVERY)).await.is_some() {
                let kept = async { database.clock().await?.keep().await };
                if let Some(Err(error)) = stop.run_until_cancelled(kept).await {
                    tracing::debug!(%error, "the store's clock is kept later");
                }
            }
        });
    }
}

fn key() -> Bytes {
    KeyWriter::new(subspace::CLOCK).finish()
}

/// What the store's clock was last written to show; `None` where it was not founded yet.
pub(crate) async fn read(tx: &mut Transaction) -> Result<Option<Timestamp>> {
    let value = tx.get(&key()).await?;
    Ok(value.map(|value| Reading::decode(&value)).transpose()?.map(|reading| reading.at))
}

/// Sets it: for who founds it, keeps it, or takes it from another store.
pub(crate) fn write(tx: &mut Transaction, at: Timestamp) {
    tx.set(key(), Reading { at }.encode());
}

#[cfg(test)]
mod tests;
