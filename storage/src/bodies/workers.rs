//! The body store's background work, on the node that holds the lease for it: packing and collecting, until told to
//! stop.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collect::Collected;
use super::lease::{Lease, RENEWED_EVERY};
use super::store::Bodies;

impl Bodies {
    /// Packs as soon as a segment's worth is staged, and at the configured age; collects at the configured interval.
    /// What is under way when told to stop is finished.
    pub fn spawn_workers(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let (leads, follows) = tokio::sync::watch::channel(false);
        tasks.spawn(self.clone().lead_until(stop.clone(), leads));
        tasks.spawn(self.clone().pack_until(stop.clone(), follows.clone()));
        tasks.spawn(self.clone().collect_until(stop, follows));
    }

    /// Keeps the lease, or waits for it.
    async fn lead_until(self, stop: CancellationToken, leads: tokio::sync::watch::Sender<bool>) {
        let mut lease = Lease::new(self.inner.db.clone(), self.inner.config.exclusive);
        loop {
            match lease.hold(Instant::now()).await {
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
        let config = &self.inner.config;
        loop {
            let enough = tokio::time::timeout(config.segment_age, self.inner.pack_hint.wanted.notified());
            if stop.run_until_cancelled(enough).await.is_none() {
                return;
            }
            if !*leads.borrow() {
                continue;
            }
            match self.pack_once().await {
                Ok(packed) if packed.bodies > 0 => tracing::debug!(?packed, "packed"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "packing; bodies stay staged"),
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
