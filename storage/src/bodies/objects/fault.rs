//! Errors of object stores, sorted by what the caller can do: make the request again, wait, or tell an operator.

use std::error::Error as StdError;

use object_store::Error as E;

use crate::Error;

/// The object is shorter than the range that was asked for (416).
#[derive(Debug, thiserror::Error)]
#[error("the object ends before the range that was asked for")]
pub(super) struct RangeRefused;

/// No answer came within the time that a request may take.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(super) struct NoAnswer(pub(super) std::time::Duration);

impl From<NoAnswer> for E {
    fn from(late: NoAnswer) -> Self {
        Self::Generic { store: "object store", source: late.into() }
    }
}

/// Whether the same request may succeed a moment later.
pub(super) fn is_fault(error: &E) -> bool {
    !matches!(
        error,
        E::NotFound { .. }
            | E::AlreadyExists { .. }
            | E::Precondition { .. }
            | E::NotModified { .. }
            | E::InvalidPath { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::UnknownConfigurationKey { .. }
    ) && !is_disk_full(error)
        && !is_range_refused(error)
}

/// Whether the object is shorter than was asked for.
pub(super) fn is_range_refused(error: &E) -> bool {
    causes(error).any(|cause| cause.is::<RangeRefused>())
}

fn is_disk_full(error: &E) -> bool {
    causes(error).find_map(|cause| cause.downcast_ref()).is_some_and(crate::error::is_out_of_space)
}

fn causes(error: &E) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    type Cause<'a> = &'a (dyn StdError + 'static);
    fn next<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        let cause: Cause<'a> = *cause;
        cause.source()
    }
    std::iter::successors(error.source(), next)
}

/// As the floors above are told.
pub(super) fn sorted(error: E) -> Error {
    match error {
        E::NotFound { path, .. } => Error::NotFound(format!("object {path}").into()),
        error if is_disk_full(&error) => Error::Full(format!("object store: {error}").into()),
        error => Error::Unavailable(format!("object store: {}", in_one_line(&error)).into()),
    }
}

/// What it says; services answer with pages of XML.
pub(super) fn in_one_line(error: &E) -> String {
    const CHARACTERS: usize = 400;
    let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
    words.join(" ").chars().take(CHARACTERS).collect()
}
