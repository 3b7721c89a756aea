//! When a recipient is tried again, told of, and given up: pure functions of times and counts. The times that decide are the
//! store's clock's (`sterna_storage::queue::Queue::now`).

use std::time::Duration;

use sterna_storage::types::Timestamp;

/// The times of the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Pause after the first failure; each further one doubles it.
    pub first: Duration,
    /// Longest pause between attempts.
    pub longest: Duration,
    /// How long a message is tried from its arrival on (RFC 5321 §4.5.4.1: at least four to five days).
    pub give_up_after: Duration,
    /// After how long the sender is told of a delay.
    pub report_delay_after: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2 * 60),
            longest: Duration::from_secs(4 * 60 * 60),
            give_up_after: Duration::from_secs(5 * 24 * 60 * 60),
            report_delay_after: Duration::from_secs(4 * 60 * 60),
        }
    }
}

impl Schedule {
    /// When to try again after `attempts` failures, the last one at `now`. `jitter` is a random number from 0 to
    /// 1 that spreads the pause over a fifth to either side, so that what failed together does not come together
    /// again.
    pub fn next_attempt(&self, now: Timestamp, attempts: u32, jitter: f64) -> Timestamp {
        let doublings = attempts.saturating_sub(1).min(20);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        now.plus(pause.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)))
    }

    /// When a message that arrived then is given up.
    pub fn expiry(&self, received: Timestamp) -> Timestamp {
        received.plus(self.give_up_after)
    }

    /// Whether a message that arrived then is given up now.
    pub fn is_expired(&self, received: Timestamp, now: Timestamp) -> bool {
        now >= self.expiry(received)
    }

    /// Whether the sender of a message of that age is to be told of its delay.
    pub fn is_late(&self, age: Duration) -> bool {
        age >= self.report_delay_after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_and_stay_within_bounds(attempts in 1u32..100, jitter in 0.0f64..1.0) {
            let schedule = Schedule::default();
            let now = Timestamp::from_secs(1_000_000);
            let pause = schedule.next_attempt(now, attempts, jitter).since(now);
            prop_assert!(pause >= schedule.first.mul_f64(0.79) && pause <= schedule.longest.mul_f64(1.21));
            let later = schedule.next_attempt(now, attempts + 1, jitter).since(now);
            prop_assert!(later >= pause);
        }
    }

    #[test]
    fn five_days_are_some_forty_attempts() {
        let schedule = Schedule::default();
        let received = Timestamp::from_secs(0);
        let (mut now, mut attempts) = (received, 0);
        while !schedule.is_expired(received, now) {
            attempts += 1;
            now = schedule.next_attempt(now, attempts, 0.5);
        }
        assert!((30..45).contains(&attempts), "{attempts}");
        assert!(schedule.is_late(schedule.report_delay_after));
        assert!(!schedule.is_late(Duration::from_secs(60)));
    }
}
