//! One budget of octets for everything that sessions hold in memory. Fair: who asked first is served
//! first, so that a large message is not starved by small ones; who waits too long is told so and
//! gives its peer a temporary failure. It does not allocate; it counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit of the semaphore stands for, in octets.
const UNIT_OCTETS: usize = 1024;

/// The budget of a node. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total_units: u32,
}

/// The budget had no room within the caller's patience, or never can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the octet budget of all sessions is exhausted")]
pub struct Exhausted;

/// Octets set aside; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    held: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// A budget of that many octets, rounded down to KiB, at least one.
    pub fn new(octets: usize) -> Self {
        let total_units = u32::try_from((octets / UNIT_OCTETS).max(1)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(total_units as usize)), total_units }
    }

    /// Nothing yet, to be grown.
    pub fn empty(&self) -> Reservation {
        Reservation { budget: self.clone(), held: None }
    }

    /// Sets `octets` aside, waiting for at most `patience`.
    pub async fn reserve(&self, octets: usize, patience: Duration) -> Result<Reservation, Exhausted> {
        let mut reservation = self.empty();
        reservation.grow_to(octets, patience).await?;
        Ok(reservation)
    }

    /// Octets that nobody holds now.
    pub fn available_octets(&self) -> usize {
        self.units.available_permits() * UNIT_OCTETS
    }

    async fn acquire(&self, units: u32, patience: Duration) -> Result<OwnedSemaphorePermit, Exhausted> {
        let waiting = Arc::clone(&self.units).acquire_many_owned(units);
        match tokio::time::timeout(patience, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Exhausted),
        }
    }
}

impl Reservation {
    /// Octets held.
    pub fn octets(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.num_permits() * UNIT_OCTETS)
    }

    /// Makes it at least `octets`. On failure it keeps what it had.
    pub async fn grow_to(&mut self, octets: usize, patience: Duration) -> Result<(), Exhausted> {
        let missing = octets.saturating_sub(self.octets()).div_ceil(UNIT_OCTETS);
        if missing == 0 {
            return Ok(());
        }
        if octets.div_ceil(UNIT_OCTETS) > self.budget.total_units as usize {
            return Err(Exhausted); // however long it waits
        }
        let more = self.budget.acquire(u32::try_from(missing).map_err(|_| Exhausted)?, patience).await?;
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Gives back what lies above `octets`.
    pub fn shrink_to(&mut self, octets: usize) {
        let surplus = self.octets().saturating_sub(octets) / UNIT_OCTETS;
        if let Some(held) = &mut self.held {
            drop(held.split(surplus));
        }
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn what_is_held_is_counted_and_given_back() {
        let budget = ByteBudget::new(10 * 1024);
        let mut first = budget.reserve(5_000, PATIENCE).await.expect("fits");
        assert_eq!(budget.available_octets(), 5 * 1024);
        assert_eq!(first.grow_to(11 * 1024, Duration::MAX).await, Err(Exhausted), "at once");
        first.grow_to(10 * 1024, PATIENCE).await.expect("exactly fits");
        assert!(budget.reserve(1, PATIENCE).await.is_err());
        first.shrink_to(1024);
        assert_eq!(budget.available_octets(), 9 * 1024);
        drop(first);
        assert_eq!(budget.available_octets(), 10 * 1024);
    }

    #[tokio::test]
    async fn a_waiter_is_served_when_another_leaves() {
        let budget = ByteBudget::new(4096);
        let held = budget.reserve(4096, PATIENCE).await.expect("fits");
        let waiting = {
            let budget = budget.clone();
            tokio::spawn(
                async move { budget.reserve(2048, Duration::from_secs(30)).await.map(|r| r.octets()) },
            )
        };
        drop(held);
        assert_eq!(waiting.await.expect("no panic"), Ok(2048));
    }
}
