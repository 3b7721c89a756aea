//! What a node shows in handshakes: its certificate and key, exchanged while running when they are renewed.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use sterna_gateway::net::crypto_provider;
use sterna_storage::types::Secret;

use super::certificate::{CertificateError, Facts};

/// A node's certificate with its key, and the authority that it believes.
#[derive(Clone)]
pub struct Credentials {
    /// What the certificate says.
    pub facts: Facts,
    /// The authority's certificate.
    pub authority: CertificateDer<'static>,
    /// The node's own.
    pub certificate: CertificateDer<'static>,
    /// Its private key, PKCS #8.
    pub key: Secret<Vec<u8>>,
    shown: Arc<CertifiedKey>,
}

impl Credentials {
    /// Checks that the key is the certificate's and that the authority signed it. An expired one is taken: it is needed
    /// to say that it is.
    pub fn new(
        certificate: CertificateDer<'static>,
        key: Secret<Vec<u8>>,
        authority: CertificateDer<'static>,
    ) -> Result<Self, CertificateError> {
        let facts = Facts::read(&certificate)?;
        let began = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            facts.from.as_secs().max(0).unsigned_abs(),
        ));
        verify(&certificate, &authority, began).map_err(|error| CertificateError::new(error.to_string()))?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.expose().clone()));
        let shown =
            CertifiedKey::from_der(vec![certificate.clone(), authority.clone()], private, &crypto_provider());
        let shown = shown.map_err(|error| CertificateError::new(format!("the node's key: {error}")))?;
        Ok(Self { facts, authority, certificate, key, shown: Arc::new(shown) })
    }

    /// For a key that was made here.
    pub fn of_key(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        authority: CertificateDer<'static>,
    ) -> Result<Self, CertificateError> {
        Self::new(certificate, Secret::new(key.serialize_der()), authority)
    }
}

/// Whether the authority signed the certificate, as of `now`.
pub(super) fn verify(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    let parsed = ParsedCertificate::try_from(certificate)?;
    let algorithms = crypto_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials({})", self.facts.identity)
    }
}

/// The credentials in force. Cheap to clone; what is exchanged through one clone is shown by all, from the next
/// handshake on.
#[derive(Debug, Clone)]
pub struct LiveCredentials(Arc<ArcSwap<Credentials>>);

impl LiveCredentials {
    /// These.
    pub fn new(credentials: Credentials) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(credentials)))
    }

    /// Those in force.
    pub fn current(&self) -> Arc<Credentials> {
        self.0.load_full()
    }

    /// Exchanges them.
    pub fn replace(&self, credentials: Credentials) {
        self.0.store(Arc::new(credentials));
    }
}

impl ResolvesServerCert for LiveCredentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().shown.clone())
    }
}

impl ResolvesClientCert for LiveCredentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current().shown.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
