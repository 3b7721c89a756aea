//! One error type for the floor, sorted by what the reader can do about it. The floors above map
//! each kind, in one place per protocol, to that protocol's replies.

use std::borrow::Cow;

/// The result of every fallible call of this floor.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing named does not exist. The caller's request was wrong or late.
    #[error("{0} not found")]
    NotFound(Cow<'static, str>),
    /// The thing named exists already.
    #[error("{0} exists already")]
    Exists(Cow<'static, str>),
    /// The request can never succeed as it stands: a name, number or combination is not valid.
    #[error("invalid: {0}")]
    Invalid(Cow<'static, str>),
    /// A transaction read what another one changed. [`crate::kv::Database::run`] reruns by itself.
    #[error("transaction conflict")]
    Conflict,
    /// The transaction's read version is older than the engine keeps. Rerun.
    #[error("transaction too old")]
    TooOld,
    /// It is not known whether the commit took place. Rerun under the same operation id.
    #[error("commit result unknown")]
    CommitUnknown,
    /// A budget of [`crate::limits`] was passed; the text names it and both numbers.
    #[error("too large: {0}")]
    TooLarge(Cow<'static, str>),
    /// The account's or domain's quota does not allow it.
    #[error("over quota: {0}")]
    OverQuota(Cow<'static, str>),
    /// A bounded queue or memory budget is full. Try again later; nothing was changed.
    #[error("overloaded: {0}")]
    Overloaded(Cow<'static, str>),
    /// A device has no room left (disk full, file system quota). Try again later; nothing was changed.
    #[error("no room left: {0}")]
    Full(Cow<'static, str>),
    /// A device or service is away (disk error, bucket away). Try again later; nothing was changed.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
    /// The engine is shutting down, or stopped after a failed sync.
    #[error("shutting down")]
    Closed,
    /// What was read back is not what was written. Never the peer's fault; needs an operator.
    #[error("corrupt: {0}")]
    Corrupt(Cow<'static, str>),
}

impl Error {
    /// Whether the same call may succeed if simply made again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict | Self::TooOld | Self::CommitUnknown)
    }

    /// Whether it is this server's or its devices' trouble, and not the caller's.
    pub fn is_temporary(&self) -> bool {
        self.is_retryable()
            || matches!(self, Self::Overloaded(_) | Self::Full(_) | Self::Unavailable(_) | Self::Closed)
    }

    /// The kind that a failed write of `what` is: `Full` or `Unavailable`.
    pub(crate) fn of_device(what: &str, error: &std::io::Error) -> Self {
        let text = format!("{what}: {error}").into();
        if is_out_of_space(error) { Self::Full(text) } else { Self::Unavailable(text) }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound(error.to_string().into()),
            std::io::ErrorKind::InvalidData => Self::Corrupt(error.to_string().into()),
            _ if is_out_of_space(&error) => Self::Full(error.to_string().into()),
            _ => Self::Unavailable(error.to_string().into()),
        }
    }
}

/// ENOSPC and EDQUOT.
pub(crate) fn is_out_of_space(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
