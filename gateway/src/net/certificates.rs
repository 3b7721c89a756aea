//! The certificates of a server, and which of them a client is shown.

use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::tls::TlsError;

/// In order of preference; never empty where it is used.
#[derive(Debug)]
pub(super) struct Certificates {
    provider: Arc<CryptoProvider>,
    keys: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, keys: Vec::new() }
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a chain and its key from PEM. The paths are for the error's text alone.
    pub(super) fn add(
        &mut self,
        chain: &[u8],
        key: &[u8],
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<(), TlsError> {
        let problem = |path: &Path, problem: String| TlsError::Pem { path: path.into(), problem };
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| problem(chain_path, error.to_string()))?;
        if chain.is_empty() {
            return Err(problem(chain_path, "no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| problem(key_path, error.to_string()))?;
        // Fails if the key is not the leaf's.
        self.keys.push(Arc::new(CertifiedKey::from_der(chain, key, &self.provider)?));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| match (&name, key.cert.first()) {
            (Some(name), Some(leaf)) => ParsedCertificate::try_from(leaf)
                .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok()),
            _ => false,
        };
        self.keys.iter().find(fits).or_else(|| self.keys.first()).cloned()
    }
}
