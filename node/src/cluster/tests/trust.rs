//! Who is taken in, and who is not.

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sterna_gateway::net::crypto_provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::cluster::tls;

#[tokio::test]
async fn a_node_that_moved_tells_those_whom_it_calls() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let address = |text: &str| text.parse::<NodeAddress>().expect("an address");
    node.peers.replace(Members { addresses: [(NodeId(7), address("old:1"))].into(), ..Members::default() });
    let peers = Peers::new(only(node.node, node.address));
    let caller = Caller::new(realm.live(7), peers, Incarnation::random()).called_at(address("new:1"));
    call(&caller, "hello").await.expect("an answer");
    assert_eq!(node.peers.address(NodeId(7)), Some(address("new:1")));
}

#[tokio::test]
async fn nodes_of_one_cluster_speak_and_know_who_calls() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let caller = caller(realm.live(7), &node);
    assert_eq!(call(&caller, "good morning").await.expect("an answer"), "7 Log good morning");
    let votes = caller.call(NodeId(1), Lane::Votes, "me".into(), PATIENCE.into()).await;
    assert_eq!(votes.expect("an answer"), "7 Votes me");
    assert!(node.drain.run(PATIENCE).await, "its connections end");
}

#[tokio::test]
async fn foreigners_are_not_answered() {
    let (realm, other) = (Realm::new().await, Realm::new().await);
    let node = realm.start(1, Arc::new(Echo));
    // Another authority and another cluster: neither side takes the other.
    assert_not_sent(call(&caller(other.live(7), &node), "x").await, "certificate");
    // The cluster's authority vouches for another cluster: what a stolen key could do.
    let crossed = Realm { cluster: other.cluster, ..Realm::new().await };
    let authority = Authority::from_parts(
        crossed.cluster,
        realm.authority.certificate().clone(),
        realm.authority.key().expose(),
    );
    let crossed = Realm { authority: authority.expect("it fits"), ..crossed };
    assert_not_sent(call(&caller(crossed.live(7), &node), "x").await, "another cluster");
    let mute = LiveCredentials::new(crossed.credentials(7, Timestamp::now()));
    let refused = foreign_handshake(&node, mute).await;
    assert!(refused.contains("alert"), "{refused}");
}

#[tokio::test]
async fn who_shows_no_certificate_gets_nothing() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnybody))
        .with_no_client_auth();
    let mut config = config;
    config.alpn_protocols = vec![tls::CALLS.to_vec()];
    let told = first_words(&node, config).await;
    assert!(told.contains("CertificateRequired"), "{told}");

    let mut garbage = TcpStream::connect(node.address).await.expect("listening");
    garbage.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("writable");
    let mut rest = Vec::new();
    // An alert or a reset, then the end.
    let _ = garbage.read_to_end(&mut rest).await;
    assert!(!rest.windows(4).any(|four| four == b"HTTP"), "{rest:?}");
}

#[tokio::test]
async fn expired_certificates_are_not_taken_and_the_own_one_is_named() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let long_ago = Timestamp::from_secs(Timestamp::now().as_secs() - 100 * 86_400);
    let expired = LiveCredentials::new(realm.credentials(7, long_ago));
    assert_not_sent(call(&caller(expired.clone(), &node), "x").await, "own certificate has expired");
    let refused = foreign_handshake(&node, expired).await;
    assert!(refused.contains("CertificateExpired"), "{refused}");

    node.live.replace(realm.credentials(1, long_ago));
    assert_not_sent(call(&caller(realm.live(7), &node), "x").await, "expired");
}

#[tokio::test]
async fn clocks_may_differ_by_hours_and_not_by_days() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let ahead = |hours: i64| Timestamp::from_secs(Timestamp::now().as_secs() + hours * 3600);
    let hours = LiveCredentials::new(realm.credentials(7, ahead(23)));
    call(&caller(hours, &node), "certified by one that is ahead").await.expect("an answer");
    let days = LiveCredentials::new(realm.credentials(8, ahead(25)));
    assert_not_sent(call(&caller(days.clone(), &node), "x").await, "is its clock behind?");
    let refused = foreign_handshake(&node, days).await;
    assert!(refused.contains("AlertReceived"), "{refused}");
    node.live.replace(realm.credentials(1, ahead(25)));
    assert_not_sent(call(&caller(realm.live(7), &node), "x").await, "not valid yet");
}

#[tokio::test]
async fn a_node_at_anothers_address_is_not_taken_for_it() {
    let realm = Realm::new().await;
    let node = realm.start(2, Arc::new(Echo));
    let peers = Peers::new(only(NodeId(1), node.address));
    let caller = Caller::new(realm.live(7), peers, Incarnation::random());
    assert_not_sent(call(&caller, "x").await, "it is node 2, and node 1 is expected");
}

#[tokio::test]
async fn a_removed_node_is_cut_off_at_once() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let caller = caller(realm.live(7), &node);
    call(&caller, "still one of us").await.expect("an answer");
    node.peers.replace(Members { removed: [NodeId(7)].into(), ..Members::default() });
    // The connection is closed, and no new one is made.
    let told = loop {
        match call(&caller, "x").await {
            Err(CallError::NotSent(_, told)) if !told.contains("alert") => tokio::task::yield_now().await,
            Err(CallError::NotSent(_, told)) => break told,
            Ok(_) | Err(CallError::Lost(..)) => tokio::task::yield_now().await,
        }
    };
    assert!(told.contains("alert"), "{told}");
    let other = super::caller(realm.live(8), &node);
    call(&other, "unharmed").await.expect("an answer");
    // The other way round: nobody calls it.
    let peers = Peers::new(only(NodeId(1), node.address));
    let caller = Caller::new(realm.live(8), peers.clone(), Incarnation::random());
    peers.replace(Members { removed: [NodeId(1)].into(), ..Members::default() });
    assert_not_sent(call(&caller, "x").await, "no node of this cluster");
}

#[tokio::test]
async fn certificates_are_exchanged_while_connections_live() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let live = realm.live(7);
    let caller = caller(live.clone(), &node);
    call(&caller, "before").await.expect("an answer");
    let renewed = realm.credentials(7, Timestamp::now());
    let key = renewed.facts.key;
    live.replace(renewed);
    node.live.replace(realm.credentials(1, Timestamp::now()));
    call(&caller, "on the same connection").await.expect("an answer");
    let other = caller.call(NodeId(1), Lane::Votes, "on a new one".into(), PATIENCE.into()).await;
    assert_eq!(other.expect("an answer"), "7 Votes on a new one");
    assert_eq!(live.current().facts.key, key);
}

#[tokio::test]
async fn two_nodes_with_one_identity_are_named_on_both_sides() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let live = realm.live(7);
    let (first, second) = (caller(live.clone(), &node), caller(live, &node));
    call(&first, "I am seven").await.expect("an answer");
    assert_eq!(first.rival(), None);
    assert_not_sent(call(&second, "so am I").await, "two nodes run with the identity");
    call(&first, "who else?").await.expect("the first stays");
    for one in [&first, &second] {
        let rival = one.rival().expect("told");
        assert!(rival.contains("/node/7") && rival.contains("127.0.0.1:"), "{rival}");
    }
    // Once the first is gone the second is taken.
    drop(first);
    while let Err(error) = call(&second, "now?").await {
        assert!(error.to_string().contains("two nodes"), "{error}");
        tokio::task::yield_now().await;
    }
}

/// What a handshake with these credentials ends with where the client does not look at the server's.
async fn foreign_handshake(node: &Running, live: LiveCredentials) -> String {
    let builder = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnybody));
    let mut config = builder.with_client_cert_resolver(Arc::new(live));
    config.alpn_protocols = vec![tls::CALLS.to_vec()];
    first_words(node, config).await
}

async fn first_words(node: &Running, config: ClientConfig) -> String {
    let socket = TcpStream::connect(node.address).await.expect("listening");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = match connector.connect(tls::any_name(), socket).await {
        Ok(stream) => stream,
        Err(error) => return format!("{error:?}"),
    };
    let mut word = [0; 1];
    match stream.read(&mut word).await {
        Ok(read) => format!("{read} octets"),
        Err(error) => format!("{error} {error:?}"),
    }
}

#[derive(Debug)]
struct TakesAnybody;

impl ServerCertVerifier for TakesAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto_provider().signature_verification_algorithms.supported_schemes()
    }
}
