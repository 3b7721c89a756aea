//! Answers: errors in one shape, and long work told line by line.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sterna_gateway::login::password::PasswordError;
use sterna_storage::Error;
use tokio::sync::mpsc;

use super::view::{ErrorView, Progress};
use crate::limits;

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    view: ErrorView,
}

/// The result of every handler.
pub(super) type Reply<T> = Result<T, Failure>;

impl Failure {
    pub(super) fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, view: ErrorView { kind: kind.to_owned(), message: message.into() } }
    }

    pub(super) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// Our own fault: the log has the detail.
    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "an admin request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; see its log")
    }

    /// For the last line of a long answer.
    pub(super) fn into_view(self) -> ErrorView {
        self.view
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            Error::Exists(_) => Self::new(StatusCode::CONFLICT, "exists", message),
            Error::Invalid(_) => Self::invalid(message),
            Error::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            error if error.is_temporary() => Self::unavailable(message),
            error => Self::internal(error),
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Unusable => Self::invalid(error.to_string()),
            PasswordError::Busy => Self::unavailable(error.to_string()),
            PasswordError::Cost => Self::internal(error),
        }
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let kind = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "invalid" };
        Self::new(rejection.status(), kind, rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Wrapped {
            error: ErrorView,
        }
        (self.status, Json(Wrapped { error: self.view })).into_response()
    }
}

/// A request's JSON body, refused in our own shape.
pub(super) struct Given<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// A request's query, refused in our own shape.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Query(value) = Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// A part of a request's path, refused in our own shape.
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(value) = Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// Where long work tells how far it is.
pub(super) struct Teller {
    lines: mpsc::Sender<Bytes>,
}

impl Teller {
    /// Tells how many things are done. A client that has gone away is not waited for: the work goes on.
    pub(super) async fn done(&self, things: u64) {
        self.line(&Progress::<()>::Done(things)).await;
    }

    async fn line<T: Serialize>(&self, line: &Progress<T>) {
        if let Ok(mut octets) = serde_json::to_vec(line) {
            octets.push(b'\n');
            // Nobody listens any more: nothing to be done.
            let _ = self.lines.send(octets.into()).await;
        }
    }
}

/// Answers with NDJSON: lines of progress, then the result or the error.
pub(super) fn told<T, F>(work: impl FnOnce(std::sync::Arc<Teller>) -> F) -> Response
where
    T: Serialize + Send + Sync + 'static,
    F: Future<Output = Reply<T>> + Send + 'static,
{
    let (lines, receiver) = mpsc::channel(limits::ADMIN_PROGRESS_LINES);
    let teller = std::sync::Arc::new(Teller { lines });
    let work = work(teller.clone());
    tokio::spawn(async move {
        let last = match work.await {
            Ok(result) => Progress::Result(result),
            Err(failure) => Progress::Error(failure.into_view()),
        };
        teller.line(&last).await;
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (Ok::<_, Infallible>(line), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}
