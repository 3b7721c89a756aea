//! The handshakes of the cluster port: TLS 1.3 alone, both sides certified by the cluster's own authority. Nothing is
//! resumed: who has been removed since would come in again.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sterna_gateway::net::crypto_provider;
use sterna_storage::cluster::{ClusterId, Fingerprint};
use sterna_storage::raft::NodeId;

use super::certificate::{self, Facts};
use super::credentials::{self, LiveCredentials};
use super::peers::Peers;

/// What a node of the cluster asks for (ALPN, RFC 7301).
pub(super) const CALLS: &[u8] = b"sterna-calls";
/// What one asks for that wants to become a node.
pub(super) const JOINING: &[u8] = b"sterna-join";

/// How this node dials another: shows its own certificate and takes that node's alone.
pub(super) fn to_node(
    live: &LiveCredentials,
    peers: &Peers,
    expected: NodeId,
) -> Result<ClientConfig, Error> {
    let current = live.current();
    let (cluster, authority) = (current.facts.identity.cluster, current.authority.clone());
    let judge = Judge { cluster, peers: peers.clone(), expected: Some(expected) };
    let verifier = ServerVerifier {
        trust: Trust::Authority(authority),
        judge: Some(judge),
        provider: crypto_provider(),
    };
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(live.clone()));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![CALLS.to_vec()];
    Ok(config)
}

/// How one dials that is not a node yet: shows nothing, and takes any node whose authority has that public key.
pub(super) fn to_authority(authority: Fingerprint) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier { trust: Trust::Hash(authority), judge: None, provider: crypto_provider() };
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![JOINING.to_vec()];
    Ok(config)
}

/// How nodes are taken in: with a certificate, or not at all.
pub(super) fn of_nodes(live: &LiveCredentials, peers: &Peers) -> Result<ServerConfig, Error> {
    let current = live.current();
    let mut roots = RootCertStore::empty();
    roots.add(current.authority.clone())?;
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let judge = Judge { cluster: current.facts.identity.cluster, peers: peers.clone(), expected: None };
    let builder = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(ClientVerifier { inner, judge }));
    Ok(without_resumption(builder.with_cert_resolver(Arc::new(live.clone())), CALLS))
}

/// How those are taken in that want to become nodes.
pub(super) fn of_strangers(live: &LiveCredentials) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth();
    Ok(without_resumption(builder.with_cert_resolver(Arc::new(live.clone())), JOINING))
}

fn without_resumption(mut config: ServerConfig, protocol: &[u8]) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// The name that a handshake needs and nobody looks at: identities are in the certificates.
pub(super) fn any_name() -> ServerName<'static> {
    ServerName::try_from("node.cluster.invalid").expect("a domain name")
}

/// Why a certificate that the authority signed is not taken.
#[derive(thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Unreadable(#[from] certificate::CertificateError),
    #[error("it is of another cluster, {0}")]
    OtherCluster(ClusterId),
    #[error("it is node {0}, and node {1} is expected at that address")]
    OtherNode(NodeId, NodeId),
    #[error("node {0} was removed from the cluster")]
    Removed(NodeId),
}

/// The library shows its errors' `Debug` to people.
impl fmt::Debug for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// Decides on a certificate that the authority signed and that has not expired.
#[derive(Debug)]
struct Judge {
    cluster: ClusterId,
    peers: Peers,
    expected: Option<NodeId>,
}

impl Judge {
    fn judge(&self, certificate: &CertificateDer<'_>) -> Result<(), Refusal> {
        let identity = Facts::read(certificate)?.identity;
        if identity.cluster != self.cluster {
            return Err(Refusal::OtherCluster(identity.cluster));
        }
        match self.expected {
            Some(expected) if identity.node != expected => Err(Refusal::OtherNode(identity.node, expected)),
            _ if self.peers.is_removed(identity.node) => Err(Refusal::Removed(identity.node)),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
enum Trust {
    Authority(CertificateDer<'static>),
    /// The authority comes with the handshake, and is known by its key.
    Hash(Fingerprint),
}

struct ServerVerifier {
    trust: Trust,
    judge: Option<Judge>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ServerVerifier({:?})", self.trust)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = match &self.trust {
            Trust::Authority(authority) => authority,
            Trust::Hash(hash) => others
                .iter()
                .find(|other| certificate::public_key_fingerprint(other).is_ok_and(|found| found == *hash))
                .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?,
        };
        credentials::verify(certificate, authority, now)?;
        if let Some(judge) = &self.judge {
            judge.judge(certificate)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 alone is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    judge: Judge,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, others, now)?;
        self.judge.judge(certificate)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
