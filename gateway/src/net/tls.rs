//! TLS of all protocols: certificates from PEM, chosen by server name, exchanged while running.
//! TLS 1.2 and 1.3, on aws-lc-rs, named explicitly and never through a process-wide default.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::ServerConfig;

use super::certificates::Certificates;

/// Where a certificate chain and its private key lie, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key: PKCS #8, SEC1 or PKCS #1.
    pub key: PathBuf,
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not PEM, or holds no certificate or key.
    #[error("{path}: {problem}")]
    Pem {
        /// Which; empty if it came from memory.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// No certificate was named at all.
    #[error("no certificate configured")]
    NoCertificate,
    /// The parts do not fit together: a key that is not the certificate's, an algorithm that is not supported.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The server side of TLS. Cheap to clone; a reload through one clone is seen by all, from the next
/// handshake on.
#[derive(Debug, Clone)]
pub struct Tls {
    current: Arc<ArcSwap<ServerConfig>>,
    files: Arc<[CertificateFiles]>,
}

/// The cryptography of this process.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Tls {
    /// From files. The first is shown to clients that ask for a name which none of them has.
    pub fn from_files(files: Vec<CertificateFiles>) -> Result<Self, TlsError> {
        let config = load(&files)?;
        Ok(Self { current: Arc::new(ArcSwap::new(config)), files: files.into() })
    }

    /// From PEM in memory: one chain and its key. [`Tls::reload`] leaves it as it is.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let mut certificates = Certificates::new(crypto_provider());
        certificates.add(chain, key, Path::new(""), Path::new(""))?;
        Ok(Self { current: Arc::new(ArcSwap::new(server_config(certificates)?)), files: Arc::new([]) })
    }

    /// Reads the files again. On failure what was in force stays so.
    pub fn reload(&self) -> Result<(), TlsError> {
        if !self.files.is_empty() {
            self.current.store(load(&self.files)?);
        }
        Ok(())
    }

    /// What the next handshake uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn load(files: &[CertificateFiles]) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::File { path: path.into(), error });
    let mut certificates = Certificates::new(crypto_provider());
    for file in files {
        certificates.add(&read(&file.chain)?, &read(&file.key)?, &file.chain, &file.key)?;
    }
    server_config(certificates)
}

fn server_config(certificates: Certificates) -> Result<Arc<ServerConfig>, TlsError> {
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let mut config = ServerConfig::builder_with_provider(certificates.provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(folder: &Path, name: &str) -> CertificateFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("self-signed");
        let files = CertificateFiles { chain: folder.join("chain.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.chain, made.cert.pem()).expect("writable");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("writable");
        files
    }

    #[test]
    fn a_bad_reload_keeps_what_was_in_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write_pair(folder.path(), "mail.example");
        let tls = Tls::from_files(vec![files.clone()]).expect("valid files");
        let before = tls.current();

        std::fs::write(&files.key, "not a key").expect("writable");
        assert!(matches!(tls.reload(), Err(TlsError::Pem { .. })));
        assert!(Arc::ptr_eq(&before, &tls.current()));

        write_pair(folder.path(), "mail.example");
        tls.reload().expect("valid again");
        assert!(!Arc::ptr_eq(&before, &tls.current()));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("self-signed");
        let other = rcgen::generate_simple_self_signed(vec!["b.example".to_owned()]).expect("self-signed");
        let mixed = Tls::from_pem(one.cert.pem().as_bytes(), other.signing_key.serialize_pem().as_bytes());
        assert!(matches!(mixed, Err(TlsError::Rustls(_))));
        assert!(matches!(Tls::from_files(Vec::new()), Err(TlsError::NoCertificate)));
    }
}
