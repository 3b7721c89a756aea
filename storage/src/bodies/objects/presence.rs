//! Whether the object store answers. While it does not, readers are told at once instead of each waiting in vain, and
//! one of them tries now and then.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So long after a request failed for good nobody tries whom it would keep waiting.
const AWAY_FOR: Duration = Duration::from_secs(5);

/// What was seen of it last.
#[derive(Default)]
pub(super) struct Presence {
    away_until: Mutex<Option<Instant>>,
}

impl Presence {
    /// It answered.
    pub(super) fn here(&self) {
        *self.away_until.lock() = None;
    }

    /// A request failed for good.
    pub(super) fn gone(&self, now: Instant) {
        *self.away_until.lock() = Some(now + AWAY_FOR);
    }

    /// Whether a request failed for good and none has succeeded since.
    pub(super) fn is_away(&self) -> bool {
        self.away_until.lock().is_some()
    }

    /// Whether someone who does not want to wait may try. Whoever is let through while it is away is the only one
    /// for a while.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let mut until = self.away_until.lock();
        match *until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *until = Some(now + AWAY_FOR);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_tries_while_it_is_away() {
        let presence = Presence::default();
        let now = Instant::now();
        assert!(presence.may_try(now) && presence.may_try(now) && !presence.is_away());
        presence.gone(now);
        assert!(presence.is_away() && !presence.may_try(now));
        let later = now + AWAY_FOR;
        assert!(presence.may_try(later), "its time has come");
        assert!(!presence.may_try(later), "and only one is let through");
        presence.here();
        assert!(presence.may_try(later) && !presence.is_away());
    }
}
