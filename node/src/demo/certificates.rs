//! A certificate authority of the demo's own, and the server's certificate. No client needs `-k`: it is told to
//! trust this authority.

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// PEM texts.
pub(super) struct Certificates {
    /// The authority's certificate.
    pub(super) authority: String,
    /// The server's certificate.
    pub(super) certificate: String,
    /// The server's key.
    pub(super) key: String,
}

/// The names under which the demo's servers are reached.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes them.
pub(super) fn generate() -> anyhow::Result<Certificates> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Sterna demo authority");
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("the demo's authority")?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "Sterna demo server");
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority).context("the demo's certificate")?;
    Ok(Certificates { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}
