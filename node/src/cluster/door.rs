//! The cluster port's side of those who want to become nodes: one request, bounded in octets and time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sterna_gateway::net::Stream;
use sterna_storage::Error;
use sterna_storage::types::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::server::TlsStream;

use super::hello::{self, causes};
use super::occasion::Occasion;
use super::registrar::{Asking, Registrar};
use crate::limits;

const NOT_NOW: &str =
    "nobody can be let in now: the log of the node that was asked says why; ask again later";

/// What strangers share.
pub(super) struct Door {
    registrar: Registrar,
    admissions: Semaphore,
    refusals: Occasion,
}

impl Door {
    pub(super) fn new(registrar: Registrar) -> Arc<Self> {
        let admissions = Semaphore::new(limits::ADMISSIONS);
        Arc::new(Self { registrar, admissions, refusals: Occasion::new(limits::REFUSALS_TOLD) })
    }

    /// Serves one of them: one request.
    pub(super) async fn serve(
        self: &Arc<Self>,
        stream: TlsStream<Stream>,
        peer: SocketAddr,
    ) -> Result<(), String> {
        let (door, answered) = (self.clone(), Arc::new(Notify::new()));
        let (told, is_asked) = (answered.clone(), AtomicBool::new(false));
        let service = service_fn(move |request| {
            let is_first = !is_asked.swap(true, Ordering::Relaxed);
            let (door, told) = (door.clone(), told.clone());
            async move {
                let answer = door.answer(request, peer, is_first).await;
                told.notify_one();
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(1).max_header_list_size(limits::CALL_HEADER_OCTETS);
        let serving = async {
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let is_over = async {
                answered.notified().await;
                tokio::time::sleep(limits::JOIN_LEAVE).await;
            };
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = is_over => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        let served = tokio::time::timeout(limits::JOIN_WAIT, serving).await;
        served.map_err(|_| "joining took too long")?.map_err(|error| causes(&error))
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        is_first: bool,
    ) -> Response<Full<Bytes>> {
        let (status, octets) = match self.admitted(request, is_first).await {
            Ok(octets) => (StatusCode::OK, octets),
            Err(error) => {
                if let Some(untold) = self.refusals.comes(Instant::now()) {
                    tracing::warn!(%peer, %error, untold, "a node was not let in");
                }
                match error {
                    Error::Invalid(reason) => (StatusCode::FORBIDDEN, reason.into_owned().into_bytes()),
                    // What is wrong here is no stranger's affair.
                    _ => (StatusCode::SERVICE_UNAVAILABLE, NOT_NOW.into()),
                }
            }
        };
        let mut response = Response::new(Full::new(octets.into()));
        *response.status_mut() = status;
        response
    }

    async fn admitted(&self, request: Request<Incoming>, is_first: bool) -> Result<Vec<u8>, Error> {
        let invalid = |reason: &str| Error::Invalid(reason.to_owned().into());
        if request.uri().path() != hello::JOIN || !is_first {
            return Err(invalid("there is nothing else to ask for here"));
        }
        let body = Limited::new(request.into_body(), limits::JOIN_OCTETS).collect().await;
        let body = body.map_err(|_| invalid("the request is not whole, or too long"))?.to_bytes();
        let asking: Asking =
            serde_json::from_slice(&body).map_err(|error| invalid(&hello::where_wrong(&error)))?;
        let overloaded = |_| Error::Overloaded("nodes that want to be let in".into());
        let _admission = self.admissions.try_acquire().map_err(overloaded)?;
        let granted = self.registrar.admit(&asking, Timestamp::now()).await?;
        serde_json::to_vec(&granted).map_err(|error| invalid(&error.to_string()))
    }
}
