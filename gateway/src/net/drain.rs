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
    /// Of grace: when it began, and when it ends.
    period: Mutex<Option<(Instant, Instant)>>,
}

/// A moment in the first half of the grace period, which stays the same however often a session waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Turn(f32);

impl Turn {
    /// Any.
    pub fn draw() -> Self {
        Self(rand::random::<f32>() / 2.0)
    }
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

    /// Ends when the holder of the turn leaves: for sessions that could all leave at once, so that their clients do not all
    /// reconnect in the same instant.
    pub async fn comes_to(&self, turn: Turn) {
        self.started().await;
        if let Some(moment) = self.moment(turn) {
            tokio::time::sleep_until(moment).await;
        }
    }

    fn moment(&self, turn: Turn) -> Option<Instant> {
        let (begins, ends) = (*self.inner.period.lock())?;
        Some(begins + (ends - begins).mul_f32(turn.0))
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
        let now = Instant::now();
        *self.inner.period.lock() = Some((now, now + grace));
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
    async fn turns_lie_in_the_first_half_of_the_grace_period_and_stay_where_they_are() {
        let (drain, turns) = (Drain::new(), [(); 20].map(|()| Turn::draw()));
        let moments = |drain: &Drain| turns.map(|turn| drain.moment(turn));
        assert_eq!(moments(&drain), [None; 20]);
        for turn in turns {
            let mine = drain.clone();
            drain.spawn(async move { mine.comes_to(turn).await });
        }
        // The other half is for machines that are slow to wake anybody.
        assert!(drain.run(Duration::from_secs(4)).await);
        let first = moments(&drain);
        let (begins, ends) = drain.inner.period.lock().expect("it has begun");
        let half = begins..=begins + (ends - begins) / 2;
        assert!(first.iter().all(|moment| moment.is_some_and(|moment| half.contains(&moment))));
        assert_eq!(moments(&drain), first, "whoever waits again waits for the same moment");
    }
}
