//! What FoundationDB's errors mean to a caller.
//!
//! | FoundationDB | here |
//! | --- | --- |
//! | 1020 `not_committed` | `Conflict` |
//! | 1007 `transaction_too_old` | `TooOld` |
//! | 1021 `commit_unknown_result`, 1039 `cluster_version_changed`, and at a commit whatever is not known to have kept it from taking place (1031 `transaction_timed_out`, 1025, 1101, our own patience) | `CommitUnknown` |
//! | 2101 `transaction_too_large`, 2102 `key_too_large`, 2103 `value_too_large` | `TooLarge` |
//! | 1032 `too_many_watches`, 1042 and 1078 (proxies out of memory), 1051, 1213 and 1223 (throttled) | `Overloaded` |
//! | 1009 `future_version`, 1037 `process_behind`, 1038 `database_locked`, 1031 and the rest of a read, no answer | `Unavailable` |
//! | the rest from 2000 to 2999: calls that should not be made | `Invalid` |

use std::time::Duration;

use ::foundationdb::{FdbError, FdbResult};

use crate::{Error, Result, limits};

/// Waits for what a read gives.
pub(super) async fn read<T>(answer: impl Future<Output = FdbResult<T>>) -> Result<T> {
    let patience = limits::FOUNDATIONDB_READ_PATIENCE;
    match tokio::time::timeout(patience, answer).await {
        Ok(outcome) => outcome.map_err(refused),
        Err(_) => Err(silent(patience)),
    }
}

/// Waits for how a commit ends. An error that is not `CommitUnknown` says that nothing was changed.
pub(super) async fn commit<T>(answer: impl Future<Output = Result<T, FdbError>>) -> Result<T> {
    match tokio::time::timeout(limits::FOUNDATIONDB_COMMIT_PATIENCE, answer).await {
        Ok(outcome) => {
            outcome.map_err(|error| if is_refusal(error) { refused(error) } else { Error::CommitUnknown })
        }
        Err(_) => Err(Error::CommitUnknown),
    }
}

fn silent(patience: Duration) -> Error {
    Error::Unavailable(format!("FoundationDB gave no answer within {} s", patience.as_secs()).into())
}

/// Whether a commit that failed so has certainly not taken place.
fn is_refusal(error: FdbError) -> bool {
    error.is_retryable_not_committed() || is_mistake(error.code())
}

fn is_mistake(code: i32) -> bool {
    (2000..3000).contains(&code)
}

/// An error after which nothing was changed.
pub(super) fn refused(error: FdbError) -> Error {
    let text = || format!("FoundationDB: {} ({})", error.message(), error.code()).into();
    match error.code() {
        1007 => Error::TooOld,
        1020 => Error::Conflict,
        1032 | 1042 | 1051 | 1078 | 1213 | 1223 => Error::Overloaded(text()),
        2101..=2103 => Error::TooLarge(text()),
        code if is_mistake(code) => Error::Invalid(text()),
        _ => Error::Unavailable(text()),
    }
}
