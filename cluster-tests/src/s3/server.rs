//! The socket, and where faults happen: between the request that came and the answer that goes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use s3s::auth::SimpleAuth;
use s3s::dto::StreamingBlob;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpResponse};
use sterna_storage::bodies::RequestKind;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::plan::{Fault, Plan};
use super::store::Store;

/// Who may ask.
pub const ACCESS_KEY: &str = "sterna-tests";
/// And what proves it.
pub const SECRET_KEY: &str = "not much of a secret";

/// A running server; it stops when dropped.
pub struct S3Server {
    address: SocketAddr,
    plan: Arc<Plan>,
    uploads: Arc<Mutex<BTreeSet<String>>>,
    folder: TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for S3Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What makes the server reset a connection.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl S3Server {
    /// Starts on a free port of loopback, with these buckets.
    pub fn start(buckets: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        buckets.iter().for_each(|name| std::fs::create_dir(folder.path().join(name)).expect("a folder"));
        let (plan, uploads) = (Arc::<Plan>::default(), Arc::<Mutex<BTreeSet<String>>>::default());
        let store = Store::new(folder.path().to_owned(), plan.clone(), uploads.clone());
        let mut service = S3ServiceBuilder::new(store);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(accept(listener, service.build(), plan.clone()));
        Self { address, plan, uploads, folder, runtime: Some(runtime) }
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What fails, and what was asked.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Uploads in parts that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.uploads.lock().len()
    }

    /// The folder in which a bucket's objects are files.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service, plan: Arc<Plan>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("within a runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if set_up(&stream).is_err() || plan.is_away() {
            continue;
        }
        let (service, plan) = (service.clone(), plan.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(service.clone(), plan.clone(), request));
            // It may end with what was broken on purpose.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Answers go at once, and a connection that is dropped is reset.
fn set_up(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    Ok(rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?)
}

async fn answer(
    service: S3Service,
    plan: Arc<Plan>,
    request: Request<Incoming>,
) -> Result<HttpResponse, Broken> {
    let query = request.uri().query().unwrap_or("");
    let fault = plan.meet(RequestKind::of(request.method().as_str(), query));
    let request = request.map(Body::from);
    match fault {
        Some(Fault::SlowDown) => return refused(503, "SlowDown", request).await,
        Some(Fault::InternalError) => return refused(500, "InternalError", request).await,
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Reset) => return Err(Broken),
        _ => {}
    }
    let answer = service.call(request).await.map_err(|_| Broken)?;
    match fault {
        Some(Fault::LostAnswer) => Err(Broken),
        Some(Fault::Torn) => torn(answer).await,
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(answer)
        }
        _ => Ok(answer),
    }
}

/// An error as S3 writes it. The request's body is read first, as S3 does.
async fn refused(status: u16, code: &str, mut request: Request<Body>) -> Result<HttpResponse, Broken> {
    while let Some(chunk) = request.body_mut().next().await {
        chunk.map_err(|_| Broken)?;
    }
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>test</Message></Error>");
    let mut answer = HttpResponse::new(Body::from(text));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    Ok(answer)
}

/// The first half of an answer.
async fn torn(answer: HttpResponse) -> Result<HttpResponse, Broken> {
    let (mut parts, body) = answer.into_parts();
    let chunks: Vec<Bytes> = body.try_collect().await.map_err(|_| Broken)?;
    let whole = Bytes::from(chunks.concat());
    if whole.is_empty() {
        return Err(Broken);
    }
    parts.headers.insert(hyper::header::CONTENT_LENGTH, whole.len().into());
    let half = [Ok(whole.slice(..whole.len() / 2)), Err(Broken)];
    // The half must be on its way before the connection is reset.
    let halves = stream::iter(half).then(|part| async move {
        if part.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        part
    });
    Ok(HttpResponse::from_parts(parts, Body::from(StreamingBlob::wrap(Box::pin(halves)))))
}
