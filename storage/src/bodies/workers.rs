//! The body store's background work, on the node that holds the lease for it: packing and collecting, until told to
//! stop. Each node looks at the bucket until it is found fit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collect::Collected;
use super::lease::{Lease, RENEWED_EVERY};
use super::store::Bodies;
use crate::Error;

/// How often the bucket is looked at that could not be at the start.
const CHECKED_EVERY: Duration = Duration::from_secs(10);
/// How often who packs looks at what other nodes have staged, of which it is not told.
const LOOKED_EVERY: Duration = Duration::from_secs(5);
/// First pause after packing failed; doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause: so long after the object store is back packing goes on at the latest, if nobody asks anything else
/// of it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A packing that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// How long to wait, jitter apart, unless the object store is back before.
    pub(super) pause: Duration,
    /// Requests that had failed for good when it began: what failed since may be why it did.
    pub(super) known_failures: u64,
}

impl Bodies {
    /// Packs as soon as a segment's worth is staged, and at the configured age; collects at the configured interval.
    /// What is under way when told to stop is finished.
    pub fn spawn_workers(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let (leads, follows) = tokio::sync::watch::channel(false);
        tasks.spawn(self.clone().check_until(stop.clone()));
        tasks.spawn(self.clone().lead_until(stop.clone(), leads));
        tasks.spawn(self.clone().pack_until(stop.clone(), follows.clone()));
        tasks.spawn(self.clone().collect_until(stop, follows));
    }

    /// Looks at the bucket again and again, if it could not be looked at yet.
    async fn check_until(self, stop: CancellationToken) {
        while !self.inner.is_checked.load(Ordering::Relaxed) {
            if stop.run_until_cancelled(tokio::time::sleep(CHECKED_EVERY)).await.is_none() {
                return;
            }
            match stop.run_until_cancelled(self.check_bucket()).await {
                Some(Ok(Some(report))) => tracing::info!(?report, "the bucket was looked at"),
                Some(Err(Error::Invalid(reason))) => tracing::error!(%reason, "the bucket is not used"),
                Some(Err(error)) => tracing::warn!(%error, "the bucket could not be looked at yet"),
                Some(Ok(None)) | None => {}
            }
        }
    }

    /// Keeps the lease, or waits for it.
    async fn lead_until(self, stop: CancellationToken, leads: tokio::sync::watch::Sender<bool>) {
        let mut lease = Lease::new(self.inner.db.clone(), self.inner.config.exclusive);
        loop {
            match lease.hold(Instant::now).await {
                Ok(held) => drop(leads.send_replace(held)),
                Err(error) => tracing::warn!(%error, "lease of the body store's workers"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(RENEWED_EVERY)).await.is_none() {
                break;
            }
        }
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "giving the lease up; another node takes it after a while");
        }
    }

    async fn pack_until(self, stop: CancellationToken, leads: tokio::sync::watch::Receiver<bool>) {
        let mut failed: Option<Failed> = None;
        while stop.run_until_cancelled(self.pause_packing(failed, &leads)).await.is_some() {
            if !*leads.borrow() {
                // Another node packs meanwhile.
                failed = None;
                continue;
            }
            let known_failures = self.inner.objects.failures();
            match self.pack_once().await {
                Ok(packed) => {
                    failed = None;
                    if packed.bodies > 0 {
                        tracing::debug!(?packed, "packed");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "packing; bodies stay staged");
                    let pause = failed.map_or(FIRST_PAUSE, |last| LONGEST_PAUSE.min(last.pause * 2));
                    failed = Some(Failed { pause, known_failures });
                }
            }
        }
    }

    /// Until there is enough to pack, or it is old enough; after a failure for a while, or until the object store that did
    /// not answer has answered anybody.
    pub(super) async fn pause_packing(
        &self,
        failed: Option<Failed>,
        leads: &tokio::sync::watch::Receiver<bool>,
    ) {
        // Whichever it was.
        let _ = match failed {
            Some(Failed { pause, known_failures }) => {
                let pause = pause.mul_f64(rand::random_range(0.5..1.0));
                tokio::time::timeout(pause, self.inner.objects.is_back_after(known_failures)).await
            }
            None => tokio::time::timeout(self.inner.config.segment_age, self.enough(leads)).await,
        };
    }

    /// Until a segment's worth is staged, by this node or others.
    async fn enough(&self, leads: &tokio::sync::watch::Receiver<bool>) {
        let wanted = &self.inner.pack_hint.wanted;
        if self.inner.config.exclusive {
            return wanted.notified().await;
        }
        while tokio::time::timeout(LOOKED_EVERY, wanted.notified()).await.is_err() {
            let is_enough = match *leads.borrow() {
                true => self.is_enough_staged(),
                false => continue,
            };
            match is_enough.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "what is staged cannot be counted now"),
            }
        }
    }

    async fn collect_until(self, stop: CancellationToken, leads: tokio::sync::watch::Receiver<bool>) {
        let interval = self.inner.config.collect_interval;
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            if !*leads.borrow() {
                continue;
            }
            match self.collect_once().await {
                Ok(collected) if collected != Collected::default() => {
                    tracing::debug!(?collected, "collected")
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "collecting; what is left is collected later"),
            }
        }
    }
}
