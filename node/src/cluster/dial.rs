//! One connection to another node: TCP, TLS, HTTP/2, and the hellos of both sides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use sterna_storage::cluster::NodeAddress;
use sterna_storage::raft::NodeId;
use sterna_storage::types::Timestamp;
use tokio_rustls::TlsConnector;

use super::credentials::LiveCredentials;
use super::hello::{self, Hello, causes};
use super::identity::Incarnation;
use super::occasion::Occasion;
use super::peers::Peers;
use super::reach::reach;
use super::tls;
use crate::limits;

/// What every call's request is sent by.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// What is needed to call others.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub(super) live: LiveCredentials,
    pub(super) peers: Peers,
    pub(super) incarnation: Incarnation,
    /// Where this node is called: it says so to those whom it calls.
    pub(super) address: Option<NodeAddress>,
    /// What was told of another node under this one's identity.
    pub(super) rival: Arc<Rivalry>,
}

/// What was told of another node under this one's identity. It lapses.
#[derive(Debug)]
pub(super) struct Rivalry {
    last: Mutex<Option<(String, Instant)>>,
    said: Occasion,
}

impl Default for Rivalry {
    fn default() -> Self {
        Self { last: Mutex::default(), said: Occasion::new(limits::RIVAL_REMEMBERED) }
    }
}

impl Rivalry {
    /// Notes what was told, and says it now and then.
    pub(super) fn is_told(&self, told: &str, now: Instant) {
        *self.last.lock() = Some((told.to_owned(), now));
        if self.said.comes(now).is_some() {
            tracing::error!("{told}");
        }
    }

    /// What was told a while ago.
    pub(super) fn warning(&self, now: Instant) -> Option<String> {
        let last = self.last.lock();
        let fresh = |at: Instant| now.saturating_duration_since(at) < limits::RIVAL_REMEMBERED;
        last.as_ref().filter(|(_, at)| fresh(*at)).map(|(told, _)| told.clone())
    }
}

impl Dialer {
    /// A connection to the node at that address over which both have said hello, or why there is none.
    pub(super) async fn dial(&self, to: NodeId, address: &NodeAddress) -> Result<Sender, String> {
        let (facts, now) = (self.live.current().facts, Timestamp::now());
        if facts.until < now {
            return Err("this node's own certificate has expired: let it join again".into());
        }
        if facts.from > now {
            return Err("this node's own certificate is not valid yet: is its clock behind?".into());
        }
        let dialing = async {
            let config = tls::to_node(&self.live, &self.peers, to).map_err(|error| causes(&error))?;
            let mut sender = connect(address, config).await?;
            self.greet(&mut sender).await?;
            Ok(sender)
        };
        let nobody = |_| Err(format!("no answer within {} s", limits::DIAL_WAIT.as_secs()));
        tokio::time::timeout(limits::DIAL_WAIT, dialing).await.unwrap_or_else(nobody)
    }

    async fn greet(&self, sender: &mut Sender) -> Result<(), String> {
        let greeting = Hello::new(self.incarnation).at(self.address.clone()).write();
        let response = ask(sender, hello::HELLO, greeting.into()).await?;
        let (status, octets) = whole(response, limits::HELLO_OCTETS).await?;
        if status != StatusCode::OK {
            let told = hello::told(&octets);
            if status == StatusCode::CONFLICT {
                self.rival.is_told(&told, Instant::now());
            }
            return Err(told);
        }
        Hello::read(&octets)?.agrees()
    }
}

/// A connection on which nothing has been said yet.
pub(super) async fn connect(address: &NodeAddress, config: ClientConfig) -> Result<Sender, String> {
    let socket = reach(address).await?;
    socket.set_nodelay(true).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(tls::any_name(), socket).await.map_err(|error| causes(&error))?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::PING_EVERY)
        .keep_alive_timeout(limits::PING_WAIT)
        .keep_alive_while_idle(true)
        // Many calls may be given up at once, and their answers come late: no reason to end the connection.
        .max_concurrent_reset_streams(limits::CALLS_IN_FLIGHT)
        .max_local_error_reset_streams(None)
        .initial_stream_window_size(limits::CALL_WINDOW_OCTETS)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_OCTETS)
        .max_send_buf_size(limits::CALL_WINDOW_OCTETS as usize);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| causes(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = causes(&error), "a connection to another node ended");
        }
    });
    Ok(sender)
}

/// Sends one request that is not a call.
pub(super) async fn ask(
    sender: &mut Sender,
    path: &str,
    octets: Bytes,
) -> Result<Response<Incoming>, String> {
    let answer = sender.send_request(request(path, octets));
    answer.await.map_err(|error| causes(&error))
}

pub(super) fn request(path: &str, octets: Bytes) -> Request<Full<Bytes>> {
    let uri = Uri::builder().scheme("https").authority("node").path_and_query(path);
    let uri = uri.build().expect("a path of ours is a path");
    let mut request = Request::new(Full::new(octets));
    (*request.method_mut(), *request.uri_mut()) = (hyper::Method::POST, uri);
    request
}

/// Status and octets of an answer of at most that many.
pub(super) async fn whole(response: Response<Incoming>, most: usize) -> Result<(StatusCode, Bytes), String> {
    let status = response.status();
    let body = Limited::new(response.into_body(), most).collect().await;
    Ok((status, body.map_err(|error| causes(error.as_ref()))?.to_bytes()))
}

/// How long to wait before the next connection is tried, after one more failure: doubled, and jittered.
pub(super) fn pause_after(pause: Duration) -> Duration {
    let next = (pause * 2).clamp(limits::DIAL_PAUSE_FIRST, limits::DIAL_PAUSE_LONGEST);
    next.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
