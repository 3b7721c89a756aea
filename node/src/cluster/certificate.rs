//! Certificates of a cluster: its authority, requests for certificates, and what a certificate says. ECDSA on P-256.

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, SignatureVerificationAlgorithm, alg_id};
use sterna_gateway::net::crypto_provider;
use sterna_storage::cluster::{Cluster, ClusterId, Fingerprint};
use sterna_storage::raft::NodeId;
use sterna_storage::types::{Secret, Timestamp};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::identity::Identity;
use crate::limits;

/// What is wrong with a certificate, a key or a request for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

impl CertificateError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    fn request(problem: &str) -> Self {
        Self(format!("request for a certificate: {problem}"))
    }
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

/// Signs the certificates of a cluster's nodes.
pub struct Authority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new one, for a new cluster.
    pub fn new(cluster: ClusterId, now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = authority_params();
        set_validity(&mut params, now, limits::AUTHORITY_LIFE);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { cluster, certificate, key })
    }

    /// The one that the cluster keeps.
    pub fn of(cluster: &Cluster) -> Result<Self, CertificateError> {
        let (id, certificate) = (cluster.id, cluster.authority.clone().into());
        Self::from_parts(id, certificate, cluster.authority_key.expose())
    }

    /// From its certificate and its key (PKCS #8).
    pub fn from_parts(
        cluster: ClusterId,
        certificate: CertificateDer<'static>,
        key: &[u8],
    ) -> Result<Self, CertificateError> {
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ECDSA_P256_SHA256)?;
        if public_key_fingerprint(&certificate)? != Fingerprint::of(&key.subject_public_key_info()) {
            return Err(CertificateError::new("the authority's key is not that of its certificate"));
        }
        Ok(Self { cluster, certificate, key })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its private key, PKCS #8.
    pub fn key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.key.serialize_der())
    }

    /// Certifies that whoever has the request's key is that node, from a day before `now` (clocks differ) on.
    pub fn issue(
        &self,
        node: NodeId,
        request: &Request,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let identity = Identity { cluster: self.cluster, node };
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Sterna node {node}"));
        let uri = Ia5String::try_from(identity.to_string())?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, limits::CERTIFICATE_LIFE);
        let issuer = Issuer::new(authority_params(), &self.key);
        Ok(params.signed_by(request, &issuer)?.der().clone())
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Sterna cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = Duration::from_secs(now.as_secs().max(0).unsigned_abs());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(limits::CERTIFICATE_SKEW);
    params.not_after = epoch + (now + life);
}

/// When a certificate that is issued now ends.
pub fn certified_until(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.as_secs()).plus(limits::CERTIFICATE_LIFE)
}

/// A request for a certificate, signed by the key that it is for (RFC 2986). The names in it do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The point on the curve.
    point: Vec<u8>,
}

impl Request {
    /// The request for a key's certificate, DER.
    pub fn make(key: &KeyPair) -> Result<Vec<u8>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Sterna node");
        Ok(params.serialize_request(key)?.der().to_vec())
    }

    /// Reads one that came from outside.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (parsed, request) = Self::parse(der)?;
        let info = &parsed.certification_request_info;
        let verified = ecdsa().is_some_and(|algorithm| {
            algorithm.verify_signature(&request.point, info.raw, &parsed.signature_value.data).is_ok()
        });
        if verified { Ok(request) } else { Err(CertificateError::request("not signed by its own key")) }
    }

    /// Of the public key in one that came from outside, whoever signed it.
    pub fn claimed_fingerprint(der: &[u8]) -> Result<Fingerprint, CertificateError> {
        Ok(Self::parse(der)?.1.fingerprint())
    }

    fn parse(der: &[u8]) -> Result<(X509CertificationRequest<'_>, Self), CertificateError> {
        let wrong = CertificateError::request;
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| wrong("not PKCS #10"))?;
        if !rest.is_empty() {
            return Err(wrong("something follows it"));
        }
        let point = p256(&request.certification_request_info.subject_pki);
        let point = point.ok_or_else(|| wrong("no ECDSA key on P-256"))?;
        Ok((request, Self { point }))
    }

    /// Of its public key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.subject_public_key_info())
    }
}

impl PublicKeyData for Request {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

fn ecdsa() -> Option<&'static dyn SignatureVerificationAlgorithm> {
    let known = crypto_provider().signature_verification_algorithms.all;
    known.iter().copied().find(|algorithm| {
        algorithm.public_key_alg_id() == alg_id::ECDSA_P256
            && algorithm.signature_alg_id() == alg_id::ECDSA_SHA256
    })
}

/// The point that an uncompressed public key on P-256 is (RFC 5480 §2).
fn p256(key: &SubjectPublicKeyInfo<'_>) -> Option<Vec<u8>> {
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok())?;
    let point = key.subject_public_key.data.as_ref();
    let is_p256 = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    (is_p256 && point.len() == 65 && point[0] == 4).then(|| point.to_vec())
}

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is.
    pub identity: Identity,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Of its public key.
    pub key: Fingerprint,
}

impl Facts {
    /// Whether it has begun and has not ended.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// Reads a node's certificate. Whether it is to be believed is not asked here.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let parsed = parse(certificate)?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let [GeneralName::URI(uri)] = names else {
            return Err(CertificateError::new("the certificate is not that of a node"));
        };
        let identity =
            uri.parse().map_err(|error: sterna_storage::Error| CertificateError::new(error.to_string()))?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_secs(time.timestamp());
        let (from, until) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
        Ok(Self { identity, from, until, key: Fingerprint::of(parsed.public_key().raw) })
    }
}

/// The fingerprint of a certificate's public key: how an authority is recognized by who has only its hash.
pub fn public_key_fingerprint(certificate: &CertificateDer<'_>) -> Result<Fingerprint, CertificateError> {
    Ok(Fingerprint::of(parse(certificate)?.public_key().raw))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(CertificateError::new("something follows the certificate")),
        Err(_) => Err(CertificateError::new("not a certificate")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn request() -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().expect("a key");
        let request = Request::make(&key).expect("a request");
        (key, request)
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_when() {
        let cluster = ClusterId::random();
        let authority = Authority::new(cluster, NOW).expect("made");
        let (key, request) = request();
        let request = Request::read(&request).expect("own request");
        let certificate = authority.issue(NodeId(3), &request, NOW).expect("issued");
        let facts = Facts::read(&certificate).expect("own certificate");
        assert_eq!(facts.identity, Identity { cluster, node: NodeId(3) });
        let begins = Timestamp::from_secs(NOW.as_secs() - limits::CERTIFICATE_SKEW.as_secs().cast_signed());
        assert_eq!((facts.from, facts.until), (begins, certified_until(NOW)));
        assert_eq!(facts.key, Fingerprint::of(&key.subject_public_key_info()));
        assert_eq!(facts.key, request.fingerprint());
        assert!(Facts::read(authority.certificate()).is_err(), "an authority is no node");
    }

    #[test]
    fn an_authority_comes_back_from_its_parts() {
        let cluster = ClusterId::random();
        let authority = Authority::new(cluster, NOW).expect("made");
        let certificate = authority.certificate().clone();
        let again = Authority::from_parts(cluster, certificate.clone(), authority.key().expose());
        assert!(again.is_ok());
        let other = Authority::new(cluster, NOW).expect("made");
        assert!(Authority::from_parts(cluster, certificate, other.key().expose()).is_err());
    }

    #[test]
    fn a_request_that_its_key_did_not_sign_is_refused() {
        let (_, mut request) = request();
        assert!(Request::read(&request).is_ok());
        *request.last_mut().expect("some octets") ^= 1;
        assert!(Request::read(&request).is_err());
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        let other = Request::make(&other).expect("a request");
        let error = Request::read(&other).expect_err("another curve").to_string();
        assert!(error.contains("P-256"), "{error}");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (Request::read(&octets), Request::claimed_fingerprint(&octets));
            let _ = Facts::read(&octets.clone().into());
            let _ = public_key_fingerprint(&octets.into());
        }

        #[test]
        fn a_changed_octet_is_noticed_in_a_request(at in 0usize..200, by in 1u8..) {
            let (_, mut request) = request();
            let at = at % request.len();
            let before = Request::read(&request).expect("own request");
            request[at] ^= by;
            // What is not signed (the outer framing) may read as before, and nothing else may.
            prop_assert!(Request::read(&request).is_ok_and(|read| read == before) || Request::read(&request).is_err());
        }

        #[test]
        fn identities_read_back(cluster: [u8; 16], node: u64, text in "\\PC{0,80}") {
            let identity = Identity { cluster: ClusterId(cluster), node: NodeId(node) };
            prop_assert_eq!(identity.to_string().parse::<Identity>().expect("own text"), identity);
            if let Ok(read) = text.parse::<Identity>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
