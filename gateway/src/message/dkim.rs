//! DKIM (RFC 6376, RFC 8463): making keys, saying what to publish, and signing.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sterna_storage::directory::{DkimAlgorithm, DkimKey, Domain};
use sterna_storage::types::{DomainId, DomainName, Secret, Timestamp};

/// A key could not be made or used. It is the key's fault or the library's, never the message's sender's.
#[derive(Debug, thiserror::Error)]
#[error("DKIM key {selector:?}: {reason}")]
pub struct DkimError {
    /// Which key.
    pub selector: String,
    /// What the library says.
    pub reason: String,
}

fn failed(selector: &str, reason: impl ToString) -> DkimError {
    DkimError { selector: selector.to_owned(), reason: reason.to_string() }
}

/// A new key: RSA of 2048 bits (RFC 8301 §3.2), or Ed25519. Takes up to a second: not for an async task.
pub fn generate(selector: &str, algorithm: DkimAlgorithm, now: Timestamp) -> Result<DkimKey, DkimError> {
    let (private_key, public_key) = match algorithm {
        DkimAlgorithm::RsaSha256 => generate_rsa().map_err(|error| failed(selector, error))?,
        DkimAlgorithm::Ed25519Sha256 => {
            let private = Ed25519Key::generate_pkcs8().map_err(|error| failed(selector, error))?;
            let key = Ed25519Key::from_pkcs8_der(&private).map_err(|error| failed(selector, error))?;
            (private, key.public_key())
        }
    };
    let private_key = Secret::new(private_key);
    Ok(DkimKey { selector: selector.to_owned(), algorithm, private_key, public_key, created: now })
}

fn generate_rsa() -> Result<(Vec<u8>, Vec<u8>), aws_lc_rs::error::Unspecified> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let private: Pkcs8V1Der<'_> = pair.as_der()?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    Ok((private.as_ref().to_vec(), public.as_ref().to_vec()))
}

/// The name and text of the TXT record that publishes a key (RFC 6376 §3.6).
pub fn record(domain: &DomainName, key: &DkimKey) -> (String, String) {
    let kind = match key.algorithm {
        DkimAlgorithm::RsaSha256 => "rsa",
        DkimAlgorithm::Ed25519Sha256 => "ed25519",
    };
    let name = format!("{}._domainkey.{domain}", key.selector);
    (name, format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(&key.public_key)))
}

/// Fields that a signature covers where the message has them (RFC 6376 §5.4.1).
const SIGNED: [&str; 20] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Auto-Submitted",
];

/// Signs with every key of one domain.
pub struct Signer {
    keys: Vec<Key>,
}

enum Key {
    Rsa(Box<DkimSigner<RsaKey<Sha256>, Done>>),
    Ed25519(Box<DkimSigner<Ed25519Key, Done>>),
}

impl Signer {
    /// Reads the keys once; reading an RSA key costs more than signing with it.
    pub fn new(domain: &DomainName, keys: &[DkimKey]) -> Result<Self, DkimError> {
        let keys = keys.iter().map(|key| Key::new(domain, key)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The DKIM-Signature fields for a message given in pieces that are cut between header fields (as
    /// [`super::submission::FixUp::pieces`] gives them); to be put in front of it.
    pub fn sign<'m>(&self, pieces: impl Iterator<Item = &'m [u8]> + Clone) -> Result<Vec<u8>, DkimError> {
        let mut fields = Vec::with_capacity(1024);
        for key in &self.keys {
            let signature = match key {
                Key::Rsa(signer) => signer.sign_chained(pieces.clone()),
                Key::Ed25519(signer) => signer.sign_chained(pieces.clone()),
            };
            let selector = || match key {
                Key::Rsa(signer) => signer.template.s.clone(),
                Key::Ed25519(signer) => signer.template.s.clone(),
            };
            signature.map_err(|error| failed(&selector(), error))?.write_header(&mut fields);
        }
        Ok(fields)
    }
}

impl Key {
    fn new(domain: &DomainName, key: &DkimKey) -> Result<Self, DkimError> {
        let error = |error: mail_auth::Error| failed(&key.selector, error);
        let der = key.private_key.expose().as_slice();
        let (domain, selector) = (domain.as_str(), key.selector.as_str());
        Ok(match key.algorithm {
            DkimAlgorithm::RsaSha256 => {
                let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der));
                let key = RsaKey::<Sha256>::from_key_der(der).map_err(error)?;
                Self::Rsa(Box::new(
                    DkimSigner::from_key(key).domain(domain).selector(selector).headers(SIGNED),
                ))
            }
            DkimAlgorithm::Ed25519Sha256 => {
                let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(der).map_err(error)?;
                Self::Ed25519(Box::new(
                    DkimSigner::from_key(key).domain(domain).selector(selector).headers(SIGNED),
                ))
            }
        })
    }
}

/// The signers of the domains that were lately used, each made anew when the directory gives out a changed
/// domain.
pub struct Signers {
    known: moka::sync::Cache<DomainId, (Arc<Domain>, Arc<Signer>)>,
}

impl Default for Signers {
    fn default() -> Self {
        Self { known: moka::sync::Cache::new(crate::limits::DKIM_SIGNERS) }
    }
}

impl Signers {
    /// The signer of a domain as the directory gives it out.
    pub fn of(&self, domain: &Arc<Domain>) -> Result<Arc<Signer>, DkimError> {
        if let Some((known, signer)) = self.known.get(&domain.id)
            && Arc::ptr_eq(&known, domain)
        {
            return Ok(signer);
        }
        let signer = Arc::new(Signer::new(&domain.name, &domain.dkim)?);
        self.known.insert(domain.id, (domain.clone(), signer.clone()));
        Ok(signer)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Borrow;
    use std::collections::HashMap;
    use std::hash::Hash;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::{Duration, Instant};

    use mail_auth::common::parse::TxtRecordParser;
    use mail_auth::common::verify::DomainKey;
    use mail_auth::{
        AuthenticatedMessage, DkimResult, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt,
    };
    use parking_lot::Mutex;

    use super::*;
    use crate::message::submission;

    /// The records that a verifier finds.
    struct Zone<K, V>(Mutex<HashMap<K, V>>);

    impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Zone<K, V> {
        fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<V>
        where
            K: Borrow<Q>,
        {
            self.0.lock().get(name).cloned()
        }
        fn remove<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<V>
        where
            K: Borrow<Q>,
        {
            self.0.lock().remove(name)
        }
        fn insert(&self, key: K, value: V, _valid_until: Instant) {
            self.0.lock().insert(key, value);
        }
    }

    async fn verify(zone: &Zone<Box<str>, Txt>, message: &[u8]) -> Vec<DkimResult> {
        let message = AuthenticatedMessage::parse(message).expect("a message");
        let parameters = Parameters {
            params: &message,
            cache_txt: Some(zone),
            cache_mx: None::<&Zone<Box<str>, RecordSet<MX>>>,
            cache_ptr: None::<&Zone<IpAddr, RecordSet<Box<str>>>>,
            cache_ipv4: None::<&Zone<Box<str>, RecordSet<Ipv4Addr>>>,
            cache_ipv6: None::<&Zone<Box<str>, RecordSet<Ipv6Addr>>>,
        };
        let verifier = MessageAuthenticator::new_cloudflare().expect("a resolver that is never asked");
        verifier.verify_dkim(parameters).await.iter().map(|output| output.result().clone()).collect()
    }

    #[tokio::test]
    async fn what_is_signed_verifies_with_what_is_published() {
        let domain: DomainName = "example.org".parse().expect("a domain");
        let algorithms = [DkimAlgorithm::RsaSha256, DkimAlgorithm::Ed25519Sha256];
        let keys = algorithms.into_iter().zip(["r1", "e1"]).map(|(algorithm, selector)| {
            generate(selector, algorithm, Timestamp::from_secs(0)).expect("a key")
        });
        let keys: Vec<_> = keys.collect();
        let zone = Zone(Mutex::default());
        for key in &keys {
            let (name, text) = record(&domain, key);
            assert_eq!(name, format!("{}._domainkey.example.org", key.selector));
            let published = Txt::DomainKey(Arc::new(DomainKey::parse(text.as_bytes()).expect("a record")));
            zone.insert(format!("{name}.").into(), published, Instant::now() + Duration::from_secs(60));
        }
        let signer = Signer::new(&domain, &keys).expect("keys that were just made");
        let message = b"From: a@example.org\r\nSubject: hi\r\nBcc: x@y\r\n\r\nbody\r\n";
        let fix_up = submission::fix_up(message, "mx.example.org", Timestamp::from_secs(0));
        let fields = signer.sign(fix_up.pieces(message)).expect("signed");
        let mut signed = fields;
        fix_up.pieces(message).for_each(|piece| signed.extend_from_slice(piece));
        assert_eq!(verify(&zone, &signed).await, [DkimResult::Pass, DkimResult::Pass]);
        signed.extend_from_slice(b"more");
        let altered = verify(&zone, &signed).await;
        assert!(altered.len() == 2 && altered.iter().all(|result| *result != DkimResult::Pass));
    }
}
