//! The cluster port: takes connections under permits, asks who it is, and hands nodes' calls to the storage and
//! strangers to the door.

use std::sync::Arc;

use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use sterna_gateway::net::{Connection, Drain, Stream};
use sterna_storage::raft::{Answers, NodeId};
use sterna_storage::types::Timestamp;
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Facts;
use super::conversation::Conversation;
use super::credentials::LiveCredentials;
use super::door::Door;
use super::hello::causes;
use super::identity::Incarnation;
use super::peers::Peers;
use super::registrar::Registrar;
use super::tls;
use super::twins::Twins;
use crate::limits;

/// What the port works on.
pub struct ExchangeParts {
    /// What it shows.
    pub live: LiveCredentials,
    /// Who there is.
    pub peers: Peers,
    /// This run of this node.
    pub incarnation: Incarnation,
    /// Who answers the nodes' calls.
    pub answers: Arc<dyn Answers>,
    /// Who lets new nodes in.
    pub registrar: Registrar,
}

/// The cluster port's side of all its connections.
pub struct Exchange {
    parts: ExchangeParts,
    nodes: Arc<ServerConfig>,
    strangers: Arc<ServerConfig>,
    door: Arc<Door>,
    twins: Twins,
    drain: Drain,
}

impl Exchange {
    /// Not yet connected to any port. `drain` ends its connections. Within a runtime of tokio.
    pub fn new(parts: ExchangeParts, drain: Drain) -> Result<Arc<Self>, rustls::Error> {
        let nodes = Arc::new(tls::of_nodes(&parts.live, &parts.peers)?);
        let strangers = Arc::new(tls::of_strangers(&parts.live)?);
        let door = Door::new(parts.registrar.clone());
        let (twins, leavers) = Twins::new();
        tokio::spawn(miss_all(leavers, twins.clone(), parts.answers.clone(), drain.clone()));
        Ok(Arc::new(Self { parts, nodes, strangers, door, twins, drain }))
    }

    /// Serves one connection, in the clear so far.
    pub async fn serve(self: Arc<Self>, connection: Connection) {
        let peer = connection.peer;
        let shaken =
            tokio::time::timeout(limits::CLUSTER_HANDSHAKE, Box::pin(self.shake(connection.stream))).await;
        let outcome = match shaken {
            Ok(Ok(stream)) if is_stranger(&stream) => self.door.serve(stream, peer).await,
            Ok(Ok(stream)) => self.converse(stream, peer).await,
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("the handshake took too long".into()),
        };
        if let Err(reason) = outcome {
            tracing::debug!(%peer, reason, "a connection of the cluster port ended");
        }
    }

    /// The handshake that the client's first words ask for.
    async fn shake(&self, stream: Stream) -> Result<TlsStream<Stream>, String> {
        let hello =
            LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| causes(&error))?;
        let wants_in =
            hello.client_hello().alpn().is_some_and(|mut offered| offered.any(|name| name == tls::JOINING));
        let config = if wants_in { &self.strangers } else { &self.nodes };
        hello.into_stream(config.clone()).await.map_err(|error| causes(&error))
    }

    /// The calls of a node, until it leaves, is removed, its certificate or ours ends, or the drain starts.
    async fn converse(&self, stream: TlsStream<Stream>, peer: std::net::SocketAddr) -> Result<(), String> {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let facts = Facts::read(certificate.ok_or("no certificate")?).map_err(|error| error.to_string())?;
        let until = facts.until.min(self.parts.live.current().facts.until);
        let conversation = Arc::new(Conversation {
            from: facts.identity,
            peer,
            incarnation: self.parts.incarnation,
            twins: self.twins.clone(),
            peers: self.parts.peers.clone(),
            answers: self.parts.answers.clone(),
            turns: Default::default(),
            in_hand: Arc::default(),
            presence: Default::default(),
        });
        let service = service_fn(move |request| {
            let (conversation, turn) = (conversation.clone(), conversation.turns.next());
            async move { Ok::<_, std::convert::Infallible>(conversation.answer(request, turn).await) }
        });
        let connection = builder().serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| causes(&error)),
            () = self.drain.started() => {}
            () = self.parts.peers.removed(facts.identity.node) => {
                tracing::info!(node = %facts.identity.node, "the connection of a removed node is closed");
                return Ok(());
            }
            () = tokio::time::sleep(until.since(Timestamp::now())) => {}
        }
        connection.as_mut().graceful_shutdown();
        let ended = tokio::time::timeout(limits::LAST_CALLS_WAIT, connection).await;
        ended.unwrap_or(Ok(())).map_err(|error| causes(&error))
    }
}

/// Tells whoever answers which nodes have left and are not back soon. Ends with the drain.
async fn miss_all(
    mut leavers: mpsc::UnboundedReceiver<NodeId>,
    twins: Twins,
    answers: Arc<dyn Answers>,
    drain: Drain,
) {
    loop {
        let node = tokio::select! {
            left = leavers.recv() => left,
            () = drain.started() => None,
        };
        let Some(node) = node else { return };
        let (twins, answers) = (twins.clone(), answers.clone());
        tokio::spawn(async move {
            let is_missed = async {
                tokio::time::sleep(limits::MISSED_AFTER).await;
                answers.misses(node).await;
            };
            tokio::select! {
                () = twins.comes(node) => {}
                () = is_missed => {}
            }
        });
    }
}

fn is_stranger(stream: &TlsStream<Stream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(tls::JOINING)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::PING_EVERY)
        .keep_alive_timeout(limits::PING_WAIT)
        .max_concurrent_streams(limits::CALLS_IN_FLIGHT as u32)
        .max_pending_accept_reset_streams(limits::CALLS_IN_FLIGHT)
        .max_local_error_reset_streams(None)
        .initial_stream_window_size(limits::CALL_WINDOW_OCTETS)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_OCTETS)
        .max_header_list_size(limits::CALL_HEADER_OCTETS)
        .max_send_buf_size(limits::CALL_WINDOW_OCTETS as usize)
        .auto_date_header(false);
    builder
}
