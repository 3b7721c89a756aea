//! Nodes over real sockets on loopback: who is taken in, how calls end, how new nodes come.

mod calls;
mod in_force;
mod joining;
mod silence;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rcgen::KeyPair;
use sterna_gateway::net::{Drain, Listener, Mode, Permits};
use sterna_storage::cluster::{ClusterId, Founding, NodeAddress, Roster};
use sterna_storage::kv::{Database, Memory};
use sterna_storage::raft::{Answers, CallError, Lane, NodeId, Patience, Transport};
use sterna_storage::types::{Secret, Timestamp};

use super::certificate::{Authority, Facts, Request};
use super::*;

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster's authority, and its roster on the naive engine.
struct Realm {
    authority: Authority,
    cluster: ClusterId,
    roster: Roster,
    cluster_key: Secret<[u8; 32]>,
}

impl Realm {
    async fn new() -> Self {
        let cluster = ClusterId::random();
        let authority = Authority::new(cluster, Timestamp::now()).expect("made");
        let cluster_key = Secret::new([5; 32]);
        let roster = Roster::new(Database::new(Memory::new()), cluster_key.clone());
        let realm = Self { authority, cluster, roster, cluster_key };
        let Facts { until, key, .. } = realm.credentials(1, Timestamp::now()).facts;
        let joined = Timestamp::now();
        let address = "localhost:1".parse().expect("an address");
        let node = sterna_storage::cluster::Node {
            id: NodeId(1),
            address,
            key,
            certified_until: until,
            joined,
            removed: None,
        };
        let cluster = sterna_storage::cluster::Cluster {
            id: realm.cluster,
            authority: realm.authority.certificate().to_vec(),
            authority_key: realm.authority.key(),
            founded: joined,
        };
        realm.roster.found(&Founding { cluster, node }).await.expect("founded");
        realm
    }

    /// Those of a node, issued at that time.
    fn credentials(&self, node: u64, issued: Timestamp) -> Credentials {
        let key = KeyPair::generate().expect("a key");
        let request = Request::read(&Request::make(&key).expect("made")).expect("read");
        let certificate = self.authority.issue(NodeId(node), &request, issued).expect("issued");
        Credentials::of_key(certificate, &key, self.authority.certificate().clone()).expect("they fit")
    }

    fn live(&self, node: u64) -> LiveCredentials {
        LiveCredentials::new(self.credentials(node, Timestamp::now()))
    }

    fn registrar(&self) -> Registrar {
        Registrar::new(self.roster.clone(), self.cluster_key.clone())
    }

    /// A node that listens.
    fn start(&self, node: u64, answers: Arc<dyn Answers>) -> Running {
        self.start_at(node, answers, "127.0.0.1:0".parse().expect("an address"))
    }

    fn start_at(&self, node: u64, answers: Arc<dyn Answers>, at: SocketAddr) -> Running {
        let (live, peers, drain) = (self.live(node), Peers::default(), Drain::new());
        let parts = ExchangeParts {
            live: live.clone(),
            peers: peers.clone(),
            incarnation: Incarnation::random(),
            answers,
            registrar: self.registrar(),
        };
        let exchange = Exchange::new(parts, drain.clone()).expect("certificates");
        let listener = Listener::bind(at, Mode::Plain, Permits::new(64, 64), b"").expect("a port");
        let address = listener.local_address().expect("bound");
        tokio::spawn(listener.serve(drain.clone(), move |connection| exchange.clone().serve(connection)));
        Running { node: NodeId(node), address, live, peers, drain }
    }
}

/// A node that listens.
struct Running {
    node: NodeId,
    address: SocketAddr,
    live: LiveCredentials,
    peers: Peers,
    drain: Drain,
}

/// Where to find one node.
fn only(node: NodeId, address: SocketAddr) -> Members {
    let address: NodeAddress = address.to_string().parse().expect("an address");
    Members { addresses: [(node, address)].into(), ..Members::default() }
}

/// One that calls that node alone.
fn caller(live: LiveCredentials, at: &Running) -> Caller {
    Caller::new(live, Peers::new(only(at.node, at.address)), Incarnation::random())
}

async fn call(caller: &Caller, text: &str) -> Result<Bytes, CallError> {
    caller.call(NodeId(1), Lane::Log, Bytes::copy_from_slice(text.as_bytes()), PATIENCE.into()).await
}

/// Says who called and what.
struct Echo;

#[async_trait]
impl Answers for Echo {
    async fn answer(&self, from: NodeId, lane: Lane, request: Bytes) -> Bytes {
        let head = format!("{from} {lane:?} ");
        [head.as_bytes(), &request].concat().into()
    }

    async fn misses(&self, _: NodeId) {}
}

#[track_caller]
fn assert_not_sent(outcome: Result<Bytes, CallError>, reason: &str) {
    match outcome {
        Err(CallError::NotSent(_, told)) if told.contains(reason) => {}
        other => panic!("{reason:?} expected, not {other:?}"),
    }
}

#[track_caller]
fn assert_lost(outcome: Result<Bytes, CallError>) {
    assert!(matches!(outcome, Err(CallError::Lost(..))), "{outcome:?}");
}
