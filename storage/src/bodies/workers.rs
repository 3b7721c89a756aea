//! The body store's background work: packing and collecting, until told to stop.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::Bodies;

impl Bodies {
    /// Packs as soon as a segment's worth is staged, and at the configured age; collects at the configured interval.
    /// What is under way when told to stop is finished.
    pub fn spawn_workers(&self, tasks: &TaskTracker, stop: CancellationToken) {
        tasks.spawn(self.clone().pack_until(stop.clone()));
        tasks.spawn(self.clone().collect_until(stop));
    }

    async fn pack_until(self, stop: CancellationToken) {
        let config = &self.inner.config;
        loop {
            let enough = tokio::time::timeout(config.segment_age, self.inner.pack_hint.wanted.notified());
            if stop.run_until_cancelled(enough).await.is_none() {
                return;
            }
            match self.pack_once().await {
                Ok(packed) if packed.bodies > 0 => {
                    tracing::debug!(
                        bodies = packed.bodies,
                        octets = packed.octets,
                        segments = packed.segments,
                        "packed"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "packing; bodies stay staged"),
            }
        }
    }

    async fn collect_until(self, stop: CancellationToken) {
        let interval = self.inner.config.collect_interval;
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            match self.collect_once().await {
                Ok(collected) if collected != super::Collected::default() => {
                    tracing::debug!(?collected, "collected");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "collecting; what is left is collected later"),
            }
        }
    }
}
