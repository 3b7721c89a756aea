//! A certificate authority of the test's own, and one certificate that it signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Where the PEM files are.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate, for clients.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// Writes them into `folder`, for `names` (host names and addresses).
pub fn generate(folder: &Path, names: &[&str]) -> Certificates {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Sterna test authority");
    let authority_key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, authority_key).expect("a certificate of its own");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(names).expect("valid names");
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority).expect("a signed certificate");
    let files = Certificates {
        authority: folder.join("ca.pem"),
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&files.authority, authority.pem()).expect("a writable folder");
    fs::write(&files.certificate, certificate.pem()).expect("a writable folder");
    fs::write(&files.key, key.serialize_pem()).expect("a writable folder");
    files
}
