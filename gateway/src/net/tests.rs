//! Listeners and streams over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

struct Authority {
    tls: Tls,
    connector: TlsConnector,
}

fn authority() -> Authority {
    let made = rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()]).expect("self-signed");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).expect("valid");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")).expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Authority { tls, connector: TlsConnector::from(Arc::new(config)) }
}

fn listen(mode: Mode, permits: Permits) -> (Listener, SocketAddr) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(any, mode, permits, b"421 busy\r\n").expect("a free port");
    let address = listener.local_address().expect("bound");
    (listener, address)
}

/// Echoes until the end; upgrades at `STARTTLS` and answers `none` or `left` for what was kept of it.
async fn echo(mut connection: Connection, tls: Tls) {
    let mut input = BytesMut::new();
    while connection.read(&mut input).await.is_ok_and(|read| read > 0) {
        if input.starts_with(b"STARTTLS") {
            connection.write(b"go\r\n", PATIENCE).await.expect("writable");
            if connection.start_tls(&tls, &mut input).await.is_err() {
                return;
            }
            let kept = if input.is_empty() { "none" } else { "left" };
            connection.write(kept.as_bytes(), PATIENCE).await.expect("writable");
        } else {
            connection.write(&input, PATIENCE).await.expect("writable");
        }
        input.clear();
    }
}

fn serve(mode: Mode, permits: Permits, tls: &Tls) -> (SocketAddr, Drain) {
    let (listener, address) = listen(mode, permits);
    let (drain, tls) = (Drain::new(), tls.clone());
    tokio::spawn(listener.serve(drain.clone(), move |connection| echo(connection, tls.clone())));
    (address, drain)
}

#[tokio::test]
async fn plaintext_sent_before_the_handshake_is_dropped() {
    let Authority { tls, connector } = authority();
    let (address, drain) = serve(Mode::Plain, Permits::new(9, 9), &tls);
    let mut socket = TcpStream::connect(address).await.expect("listening");
    socket.write_all(b"STARTTLS\r\nINJECTED\r\n").await.expect("writable");
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"go\r\n");

    let name = ServerName::try_from("mail.example").expect("a name");
    let mut stream = connector.connect(name, socket).await.expect("a handshake");
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"none");
    stream.write_all(b"ping").await.expect("writable");
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"ping");
    drop(stream);
    assert!(drain.run(PATIENCE).await);
}

#[tokio::test]
async fn implicit_tls_is_served_and_garbage_is_closed() {
    let Authority { tls, connector } = authority();
    let permits = Permits::new(9, 9);
    let (address, drain) = serve(Mode::ImplicitTls(tls.clone()), permits.clone(), &tls);
    let mut garbage = TcpStream::connect(address).await.expect("listening");
    garbage.write_all(b"EHLO in the clear\r\n").await.expect("writable");
    let mut rest = Vec::new();
    // An alert or a reset, then the end.
    let _ = garbage.read_to_end(&mut rest).await;

    let socket = TcpStream::connect(address).await.expect("listening");
    let name = ServerName::try_from("mail.example").expect("a name");
    let mut stream = connector.connect(name, socket).await.expect("a handshake");
    stream.write_all(b"ping").await.expect("writable");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!((&answer, permits.held()), (b"ping", 1));
    drop(stream);
    assert!(drain.run(PATIENCE).await);
    assert_eq!(permits.held(), 0);
}

#[tokio::test]
async fn who_gets_no_permit_is_told() {
    let Authority { tls, .. } = authority();
    let (address, drain) = serve(Mode::Plain, Permits::new(1, 1), &tls);
    let mut first = TcpStream::connect(address).await.expect("listening");
    first.write_all(b"ping").await.expect("writable");
    let mut answer = [0; 4];
    first.read_exact(&mut answer).await.expect("served");

    let mut second = TcpStream::connect(address).await.expect("listening");
    let mut told = String::new();
    second.read_to_string(&mut told).await.expect("told, then closed");
    assert_eq!(told, "421 busy\r\n");
    drop(first);
    assert!(drain.run(PATIENCE).await);
}
