//! What follows a run of a closure that did not end well: another run after a wait, or what the caller is told. Bounded
//! by number while nothing can have been changed, by time once a run may have been committed.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result, limits};

/// The runs of one closure.
#[derive(Default)]
pub(super) struct Reruns {
    runs: u32,
    // Whether a run may follow one that was perhaps committed.
    repeatable: bool,
    // Since when there is one that was perhaps committed.
    in_doubt: Option<Instant>,
}

impl Reruns {
    /// Of a closure that changes nothing more where an earlier run of it was committed.
    pub(super) fn of_repeatable() -> Self {
        Self { repeatable: true, ..Self::default() }
    }

    /// Returns when it is time for the next run; fails, with what the caller is to be told, where there is none.
    pub(super) async fn after(&mut self, error: Error) -> Result<()> {
        self.runs += 1;
        if self.repeatable && matches!(error, Error::CommitUnknown) {
            self.in_doubt.get_or_insert_with(Instant::now);
        }
        let is_outrun = matches!(error, Error::Conflict | Error::TooOld);
        match self.in_doubt {
            None if !is_outrun => return Err(error),
            None if self.runs >= limits::TRANSACTION_ATTEMPTS => {
                return Err(Error::Overloaded(format!("{} reruns of one transaction", self.runs).into()));
            }
            // The run went far enough to see that no earlier one was committed.
            Some(_) if !error.is_temporary() => return Err(error),
            // Nobody may be told that nothing was changed.
            Some(since) if matches!(error, Error::Closed) || since.elapsed() >= limits::DOUBT_PATIENCE => {
                return Err(Error::CommitUnknown);
            }
            _ => {}
        }
        // The first rerun follows at once: most conflicts are over when they are told.
        if self.runs > 1 {
            let most = if is_outrun { limits::RERUN_WAIT_MAX } else { limits::DOUBT_WAIT_MAX };
            let longest = most.min(Duration::from_millis(1 << self.runs.min(16)));
            tokio::time::sleep(longest.mul_f64(rand::random())).await;
        }
        Ok(())
    }
}
