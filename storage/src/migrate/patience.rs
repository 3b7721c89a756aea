//! Requests of a move made again while a side is away, for a bounded time. What was written by then stays, and the next run
//! goes on there.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result, limits};

/// Longest pause before a request is made again; it doubles up to it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The installation that is left.
    Source,
    /// The installation that is filled.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Source => "the old installation",
            Self::Target => "the new installation",
        })
    }
}

impl Side {
    /// Asks it, again after what passes by itself.
    pub(crate) async fn asked<T>(self, request: impl AsyncFn() -> Result<T>) -> Result<T> {
        let (begun, mut pause) = (Instant::now(), Duration::from_millis(50));
        loop {
            match request().await {
                Err(error) if passes(&error) && begun.elapsed() + pause < limits::MOVE_PATIENCE => {
                    tracing::debug!(%error, side = %self, "made again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => return outcome.map_err(|error| self.told(error)),
            }
        }
    }

    /// The error, with whose it is.
    pub(crate) fn told(self, error: Error) -> Error {
        match error {
            Error::Full(text) => Error::Full(format!("{self}: {text}").into()),
            Error::Corrupt(text) => Error::Corrupt(format!("{self}: {text}").into()),
            Error::Invalid(_) | Error::Exists(_) | Error::NotFound(_) => error,
            Error::Unavailable(text) => Error::Unavailable(format!("{self}: {text}").into()),
            error => Error::Unavailable(format!("{self}: {error}").into()),
        }
    }
}

/// A full disk waits for a person, and an engine that was closed is not opened again.
fn passes(error: &Error) -> bool {
    error.is_temporary() && !matches!(error, Error::Full(_) | Error::Closed)
}
