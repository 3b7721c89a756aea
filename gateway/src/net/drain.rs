//! Ending in order: listeners close, sessions finish what is in hand, and what has not ended by the
//! end of the grace period is dropped.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handed to everything that must end. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    started: CancellationToken,
    forced: CancellationToken,
    tasks: TaskTracker,
    ends: Mutex<Option<Instant>>,
}

impl Drain {
    /// Nothing is ending yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether new work is to be refused.
    pub fn is_started(&self) -> bool {
        self.inner.started.is_cancelled()
    }

    /// Ends once the drain starts: finish what is in hand and take nothing new.
    pub async fn started(&self) {
        self.inner.started.cancelled().await;
    }

    /// Ends at a random moment in the first half of the grace period: for sessions that could all
    /// leave at once, so that their clients do not all reconnect in the same instant.
    pub async fn turn(&self) {
        self.started().await;
        let ends = (*self.inner.ends.lock()).unwrap_or_else(Instant::now);
        let left = ends.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.mul_f64(rand::random::<f64>() / 2.0)).await;
    }

    /// Ends when the grace period is over.
    pub async fn forced(&self) {
        self.inner.forced.cancelled().await;
    }

    /// Runs the task until it ends or the grace period is over, whichever is first; [`Drain::run`]
    /// waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let forced = self.inner.forced.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = forced.cancelled() => {}
            }
        });
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.inner.tasks.len()
    }

    /// Starts the drain and waits until every task has ended. What has not after `grace` is dropped.
    /// Returns whether all ended by themselves.
    pub async fn run(&self, grace: Duration) -> bool {
        *self.inner.ends.lock() = Some(Instant::now() + grace);
        self.inner.started.cancel();
        self.inner.tasks.close();
        let in_time = tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_ok();
        self.inner.forced.cancel();
        self.inner.tasks.wait().await;
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn polite_tasks_end_and_stubborn_ones_are_dropped() {
        let drain = Drain::new();
        let polite = drain.clone();
        drain.spawn(async move { polite.started().await });
        assert!(drain.run(Duration::from_secs(60)).await);

        let drain = Drain::new();
        drain.spawn(std::future::pending());
        assert!(!drain.run(Duration::from_millis(10)).await);
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test]
    async fn turns_lie_within_the_grace_period() {
        let drain = Drain::new();
        for _ in 0..20 {
            let mine = drain.clone();
            drain.spawn(async move { mine.turn().await });
        }
        // The other half is for machines that are slow to wake anybody.
        assert!(drain.run(Duration::from_secs(4)).await);
    }
}
