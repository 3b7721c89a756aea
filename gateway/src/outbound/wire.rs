//! The octets of a connection to another server: in the clear, or under TLS that nobody's name vouches for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits;

/// One connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While a handshake has the socket, and after one that failed.
    Closed,
}

impl Wire {
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = within(limits::OUTBOUND_CONNECT_WAIT, TcpStream::connect(address)).await?;
        socket.set_nodelay(true)?;
        Ok(Self::Plain(socket))
    }

    /// Reads what is there behind `input`; 0 at the end of the stream.
    pub(super) async fn read(&mut self, input: &mut BytesMut, patience: Duration) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => within(patience, stream.read_buf(input)).await,
            Self::Tls(stream) => within(patience, stream.read_buf(input)).await,
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes all of it; fails with `TimedOut` if the server takes nothing for as long as RFC 5321 allows.
    pub(super) async fn write(&mut self, output: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => write_all(stream, output).await,
            Self::Tls(stream) => write_all(stream, output).await,
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The client's side of a handshake; on failure the connection is closed.
    pub(super) async fn start_tls(&mut self, config: Arc<ClientConfig>, host: &str) -> io::Result<()> {
        let socket = match std::mem::replace(self, Self::Closed) {
            Self::Plain(socket) => socket,
            Self::Tls(_) | Self::Closed => return Err(io::ErrorKind::NotConnected.into()),
        };
        let peer = socket.peer_addr()?.ip();
        let name = ServerName::try_from(host.to_owned()).unwrap_or(ServerName::IpAddress(peer.into()));
        let handshake = Box::pin(TlsConnector::from(config).connect(name, socket));
        let stream = within(limits::TLS_HANDSHAKE, handshake).await?;
        *self = Self::Tls(Box::new(stream));
        Ok(())
    }
}

async fn within<T>(patience: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, io).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn write_all(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let written = within(limits::CLIENT_BLOCK_WAIT, stream.write(rest)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    within(limits::CLIENT_BLOCK_WAIT, stream.flush()).await
}

/// TLS for hosts that nobody vouches for (RFC 7435): better than none against those who only listen. A
/// certificate would prove nothing, as the host's name itself came from DNS without proof.
pub(super) fn opportunistic() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = crate::net::crypto_provider();
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
