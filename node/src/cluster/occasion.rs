//! What may be said often, and is said now and then.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Says when something may be said again, and how often it was not.
#[derive(Debug)]
pub(super) struct Occasion {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Occasion {
    /// Once in that time at most.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default() }
    }

    /// Whether to say it now: how often it was not said since the last time.
    pub(super) fn comes(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < self.every) {
            state.unsaid += 1;
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_counted() {
        let (occasion, now) = (Occasion::new(Duration::from_secs(60)), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(occasion.comes(now), Some(0));
        assert_eq!((occasion.comes(after(1)), occasion.comes(after(59))), (None, None));
        assert_eq!(occasion.comes(after(60)), Some(2));
        assert_eq!((occasion.comes(after(119)), occasion.comes(after(120))), (None, Some(1)));
    }
}
