//! One budget of octets for everything that sessions hold in memory. Fair: who asked first is served
//! first, so that a large message is not starved by small ones; who waits too long is told so and
//! gives its peer a temporary failure. Large reservations share three quarters of it, so that however
//! many of them are held or waited for, small ones find room. It does not allocate; it counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::SMALL_RESERVATION_OCTETS;

/// What one permit of the semaphore stands for, in octets.
const UNIT_OCTETS: usize = 1024;
/// What any reservation may hold without counting as large.
const SMALL_UNITS: usize = SMALL_RESERVATION_OCTETS / UNIT_OCTETS;

/// The budget of a node. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total_units: usize,
    /// What reservations hold above [`SMALL_UNITS`].
    large: Arc<Semaphore>,
    large_units: usize,
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
    large: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// A budget of that many octets, rounded down to KiB, at least one.
    pub fn new(octets: usize) -> Self {
        let total_units = (octets / UNIT_OCTETS).clamp(1, u32::MAX as usize);
        let large_units = total_units / 4 * 3;
        let [units, large] = [total_units, large_units].map(|units| Arc::new(Semaphore::new(units)));
        Self { units, total_units, large, large_units }
    }

    /// Nothing yet, to be grown.
    pub fn empty(&self) -> Reservation {
        Reservation { budget: self.clone(), held: None, large: None }
    }

    /// Sets `octets` aside, waiting for at most `patience`.
    pub async fn reserve(&self, octets: usize, patience: Duration) -> Result<Reservation, Exhausted> {
        let mut reservation = self.empty();
        reservation.grow_to(octets, patience).await?;
        Ok(reservation)
    }

    /// The most that one reservation can ever hold, in octets.
    pub fn largest_octets(&self) -> usize {
        self.total_units.min(self.large_units + SMALL_UNITS) * UNIT_OCTETS
    }

    /// Sets `octets` aside at once, if half of the budget stays free with that: for what only makes things faster.
    pub fn spare(&self, octets: usize) -> Option<Reservation> {
        let units = octets.div_ceil(UNIT_OCTETS);
        let large = take_now(&self.large, units.saturating_sub(SMALL_UNITS))?;
        let held = take_now(&self.units, units)?;
        let has_half = self.units.available_permits() >= self.total_units / 2;
        has_half.then(|| Reservation { budget: self.clone(), held: Some(held), large: Some(large) })
    }

    /// Octets that nobody holds now.
    pub fn available_octets(&self) -> usize {
        self.units.available_permits() * UNIT_OCTETS
    }
}

/// Takes so many units if nobody waits for them.
fn take_now(from: &Arc<Semaphore>, units: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(from).try_acquire_many_owned(u32::try_from(units).ok()?).ok()
}

/// Takes so many more units.
async fn take(
    from: &Arc<Semaphore>,
    units: usize,
    held: &mut Option<OwnedSemaphorePermit>,
) -> Result<(), Exhausted> {
    if units == 0 {
        return Ok(());
    }
    let units = u32::try_from(units).map_err(|_| Exhausted)?;
    let more = Arc::clone(from).acquire_many_owned(units).await.map_err(|_| Exhausted)?;
    match held {
        Some(held) => held.merge(more),
        none => *none = Some(more),
    }
    Ok(())
}

/// Gives back what lies above `units`.
fn give_back(units: usize, held: &mut Option<OwnedSemaphorePermit>) {
    if let Some(held) = held {
        drop(held.split(held.num_permits().saturating_sub(units)));
    }
}

fn units_of(held: &Option<OwnedSemaphorePermit>) -> usize {
    held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
}

impl Reservation {
    /// Octets held.
    pub fn octets(&self) -> usize {
        units_of(&self.held) * UNIT_OCTETS
    }

    /// Makes it at least `octets`. On failure it keeps what it had.
    pub async fn grow_to(&mut self, octets: usize, patience: Duration) -> Result<(), Exhausted> {
        let units = octets.div_ceil(UNIT_OCTETS);
        if units <= units_of(&self.held) {
            return Ok(());
        }
        if octets > self.budget.largest_octets() {
            return Err(Exhausted); // however long it waits
        }
        let before = units_of(&self.held);
        let grown = tokio::time::timeout(patience, self.take(units)).await;
        let grown = grown.unwrap_or(Err(Exhausted));
        if grown.is_err() {
            give_back(before.saturating_sub(SMALL_UNITS), &mut self.large);
        }
        grown
    }

    /// The large ones first wait among themselves, where they hold up no small one.
    async fn take(&mut self, units: usize) -> Result<(), Exhausted> {
        let large = units.saturating_sub(SMALL_UNITS).saturating_sub(units_of(&self.large));
        take(&self.budget.large, large, &mut self.large).await?;
        take(&self.budget.units, units - units_of(&self.held), &mut self.held).await
    }

    /// Gives back what lies above `octets`.
    pub fn shrink_to(&mut self, octets: usize) {
        let units = octets.div_ceil(UNIT_OCTETS);
        give_back(units, &mut self.held);
        give_back(units.saturating_sub(SMALL_UNITS), &mut self.large);
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        (self.held, self.large) = (None, None);
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
    async fn large_ones_leave_room_for_small_ones() {
        const MIB: usize = 1 << 20;
        let budget = ByteBudget::new(16 * MIB);
        assert_eq!(budget.largest_octets(), 13 * MIB);
        let mut first = budget.reserve(13 * MIB, PATIENCE).await.expect("fits");
        let waiting = {
            let budget = budget.clone();
            tokio::spawn(
                async move { budget.reserve(2 * MIB, Duration::from_secs(30)).await.map(|r| r.octets()) },
            )
        };
        assert!(budget.reserve(2 * MIB, PATIENCE).await.is_err(), "nothing is left for a large one");
        let small = budget.reserve(MIB, PATIENCE).await.expect("and a small one does not wait behind it");
        first.shrink_to(12 * MIB);
        assert_eq!(first.grow_to(14 * MIB, PATIENCE).await, Err(Exhausted), "more than any may have");
        drop(small);
        assert_eq!(waiting.await.expect("no panic"), Ok(2 * MIB));
        drop(first);
        assert_eq!((budget.available_octets(), budget.large.available_permits()), (16 * MIB, 12 * 1024));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_what_it_had() {
        const MIB: usize = 1 << 20;
        let budget = ByteBudget::new(4 * MIB);
        let small: Vec<_> = futures::future::join_all((0..3).map(|_| budget.reserve(MIB, PATIENCE))).await;
        assert!(small.iter().all(Result::is_ok));
        let mut growing = budget.reserve(MIB, PATIENCE).await.expect("fits");
        assert!(growing.grow_to(3 * MIB, PATIENCE).await.is_err());
        assert_eq!((growing.octets(), budget.large.available_permits()), (MIB, 3 * 1024));
    }

    #[tokio::test]
    async fn only_half_is_to_spare() {
        let budget = ByteBudget::new(10 * 1024);
        let first = budget.spare(3 * 1024).expect("leaves seven of ten");
        assert_eq!((first.octets(), budget.available_octets()), (3 * 1024, 7 * 1024));
        assert!(budget.spare(3 * 1024).is_none(), "would leave four");
        assert_eq!(budget.available_octets(), 7 * 1024);
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
