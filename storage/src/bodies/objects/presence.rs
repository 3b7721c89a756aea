//! Whether the object store answers. While it does not, readers are told at once instead of each waiting in vain, and
//! one of them tries now and then; who waits for it is told as soon as anybody was answered.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// So long after a request failed for good nobody tries whom it would keep waiting.
const AWAY_FOR: Duration = Duration::from_secs(5);

/// What was seen of it.
#[derive(Default)]
pub(super) struct Presence(watch::Sender<Seen>);

#[derive(Default)]
struct Seen {
    // `None` where nothing failed for good since the last answer.
    away_until: Option<Instant>,
    // Requests that failed for good, all told.
    failures: u64,
}

impl Presence {
    /// It answered.
    pub(super) fn here(&self) {
        self.0.send_if_modified(|seen| seen.away_until.take().is_some());
    }

    /// A request failed for good.
    pub(super) fn gone(&self, now: Instant) {
        self.0.send_modify(|seen| {
            seen.away_until = Some(now + AWAY_FOR);
            seen.failures += 1;
        });
    }

    /// Whether a request failed for good and none has succeeded since.
    pub(super) fn is_away(&self) -> bool {
        self.0.borrow().away_until.is_some()
    }

    /// How many requests failed for good so far.
    pub(super) fn failures(&self) -> u64 {
        self.0.borrow().failures
    }

    /// Returns once it has answered since a request failed for good, other than the first `known` of those.
    pub(super) async fn is_back_after(&self, known: u64) {
        let is_back = |seen: &Seen| seen.failures > known && seen.away_until.is_none();
        self.0.subscribe().wait_for(is_back).await.map(drop).expect("the sender is ours");
    }

    /// Whether someone who does not want to wait may try. Whoever is let through while it is away is the only one
    /// for a while.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let mut may = true;
        self.0.send_if_modified(|seen| {
            if let Some(until) = &mut seen.away_until {
                may = *until <= now;
                *until = if may { now + AWAY_FOR } else { *until };
            }
            // Nothing that anybody waits for.
            false
        });
        may
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

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

    #[tokio::test]
    async fn who_waits_is_told_of_the_first_answer_after_a_failure() {
        let presence = Presence::default();
        let mut waits = Box::pin(presence.is_back_after(presence.failures()));
        presence.here();
        assert!(poll!(&mut waits).is_pending(), "nothing has failed");
        presence.gone(Instant::now());
        assert!(poll!(&mut waits).is_pending(), "it is away");
        presence.here();
        assert!(poll!(&mut waits).is_ready());
        assert!(poll!(Box::pin(presence.is_back_after(0))).is_ready(), "however late it is asked");
        assert!(poll!(Box::pin(presence.is_back_after(presence.failures()))).is_pending());
    }
}
