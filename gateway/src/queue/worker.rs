//! Takes what is due from the queue, as many entries at once as configured, until told to stop; then finishes
//! what is in hand.

use std::sync::Arc;
use std::time::Duration;

use sterna_storage::bodies::Bodies;
use sterna_storage::directory::Directory;
use sterna_storage::kv::Database;
use sterna_storage::queue::Queue;
use sterna_storage::types::Timestamp;
use tokio::sync::Semaphore;

use super::schedule::Schedule;
use crate::deliver::Deliverer;
use crate::limits;
use crate::net::{ByteBudget, Drain};
use crate::outbound::Outbound;

/// What an operator can set about queue runs.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Entries in hand at once; each costs some kilobytes while it waits for its turn.
    pub entries: usize,
    /// Pause after a first failure, in seconds; it doubles up to `retry_longest_s`.
    pub retry_first_s: u64,
    /// Longest pause between attempts, in seconds.
    pub retry_longest_s: u64,
    /// How long a message is tried, in seconds.
    pub give_up_after_s: u64,
    /// After how long an account is told that its message is late, in seconds.
    pub report_delay_after_s: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        let Schedule { first, longest, give_up_after, report_delay_after } = Schedule::default();
        Self {
            entries: 1000,
            retry_first_s: first.as_secs(),
            retry_longest_s: longest.as_secs(),
            give_up_after_s: give_up_after.as_secs(),
            report_delay_after_s: report_delay_after.as_secs(),
        }
    }
}

impl WorkerConfig {
    /// The times of the schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            first: Duration::from_secs(self.retry_first_s.max(1)),
            longest: Duration::from_secs(self.retry_longest_s.max(1)),
            give_up_after: Duration::from_secs(self.give_up_after_s),
            report_delay_after: Duration::from_secs(self.report_delay_after_s),
        }
    }
}

/// What the worker works with.
#[derive(Clone)]
pub struct WorkerParts {
    /// The metadata store.
    pub database: Database,
    /// The bodies.
    pub bodies: Bodies,
    /// The entries.
    pub queue: Queue,
    /// Who is local: for reports.
    pub directory: Directory,
    /// Files local copies.
    pub deliverer: Deliverer,
    /// Delivers elsewhere.
    pub outbound: Outbound,
    /// Memory for the messages that are read whole.
    pub budget: ByteBudget,
}

/// Runs the queue of this node. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) parts: WorkerParts,
    pub(super) schedule: Schedule,
    entries: usize,
}

impl Worker {
    /// Over the stores of this node.
    pub fn new(parts: WorkerParts, config: &WorkerConfig) -> Self {
        let entries = config.entries.max(1);
        Self { inner: Arc::new(Inner { parts, schedule: config.schedule(), entries }) }
    }

    /// Works until the drain starts. Each entry in hand is a task of the drain, so that it may end in order; so is
    /// the one that closes connections which nothing was sent over for a while.
    pub async fn run(&self, drain: Drain) {
        drain.spawn(self.inner.parts.outbound.clone().sweep(drain.clone()));
        let permits = Arc::new(Semaphore::new(self.inner.entries));
        while !drain.is_started() {
            tokio::select! {
                () = drain.started() => {}
                () = self.take_due(&permits, &drain) => {}
            }
        }
    }

    /// Claims as much as there is room for, and waits where there is nothing.
    async fn take_due(&self, permits: &Arc<Semaphore>, drain: &Drain) {
        // Room for one at least; the semaphore is never closed.
        let Ok(room) = permits.clone().acquire_owned().await else { return };
        let limit = (permits.available_permits() + 1).min(limits::QUEUE_CLAIMS);
        drop(room);
        let queue = &self.inner.parts.queue;
        let now = queue.now();
        match queue.due(now, limit).await {
            Ok(claims) if claims.is_empty() => self.wait(now).await,
            Ok(claims) => {
                for claim in claims {
                    let (worker, permits) = (self.clone(), permits.clone());
                    drain.spawn(async move {
                        let _permit = permits.acquire_owned().await;
                        worker.round(claim).await;
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "queue cannot be read");
                tokio::time::sleep(limits::QUEUE_PAUSE).await;
            }
        }
    }

    async fn wait(&self, now: Timestamp) {
        if let Err(error) = self.inner.parts.queue.wait_for_due(now).await {
            tracing::warn!(%error, "queue cannot be watched");
            tokio::time::sleep(limits::QUEUE_PAUSE).await;
        }
    }
}
