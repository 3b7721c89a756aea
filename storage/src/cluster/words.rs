//! Ids, addresses, fingerprints and tokens. An invalid one cannot be built.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::raft::NodeId;
use crate::types::{Secret, Timestamp};
use crate::{Error, limits};

/// A cluster: 128 random bits, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 16]);

/// SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 5280 §4.1.2.7), written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

/// Where a node is called: `HOST:PORT`, the host being a name or an address, an IPv6 one in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddress(String);

/// Lets new nodes in: 192 random bits, written as 48 lower-case hexadecimal digits, which no shell and no command line
/// takes for anything else. The store knows only its hash.
#[derive(Debug, Clone)]
pub struct Token(Secret<[u8; TOKEN_OCTETS]>);

const TOKEN_OCTETS: usize = 24;

/// The cluster itself.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its authority's certificate, DER.
    pub authority: Vec<u8>,
    /// Its authority's private key, PKCS #8.
    pub authority_key: Secret<Vec<u8>>,
    /// When it was founded.
    pub founded: Timestamp,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Never given twice.
    pub id: NodeId,
    /// Where it is called.
    pub address: NodeAddress,
    /// The public key of its latest certificate.
    pub key: Fingerprint,
    /// When that certificate ends.
    pub certified_until: Timestamp,
    /// When it joined.
    pub joined: Timestamp,
    /// When it was removed: nobody speaks with it any more.
    pub removed: Option<Timestamp>,
}

impl ClusterId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl Fingerprint {
    /// Of a public key in DER.
    pub fn of(public_key: &[u8]) -> Self {
        Self(sha256(public_key))
    }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, octets).as_ref());
    hash
}

impl Token {
    /// A new one.
    pub fn random() -> Self {
        Self(Secret::new(rand::random()))
    }

    /// What is typed.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * TOKEN_OCTETS));
        hex(self.0.expose(), &mut *text).expect("a text takes everything");
        text
    }

    /// What is stored, and looked up: how long that takes tells of the hash alone, from which no token follows. A plain
    /// hash is enough: nobody tries 2^192 tokens.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose())
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let octets = unhex(text).map(Secret::new);
        octets.map(Self).ok_or_else(|| Error::Invalid("token: 48 hexadecimal digits expected".into()))
    }
}

impl NodeAddress {
    /// As it is dialled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("{text:?} is no HOST:PORT").into());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let is_bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match is_bracketed {
            Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
            }
        };
        let is_port = port.bytes().all(|octet| octet.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0);
        if is_host && is_port && text.len() <= limits::NODE_ADDRESS_OCTETS {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.0
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, out)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ClusterId({self})")
    }
}

impl FromStr for ClusterId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let octets =
            unhex(text).ok_or_else(|| Error::Invalid("cluster id: 32 hexadecimal digits expected".into()));
        octets.map(Self)
    }
}

const FINGERPRINT_KIND: &str = "sha256:";

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(FINGERPRINT_KIND)?;
        hex(&self.0, out)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let octets = text.strip_prefix(FINGERPRINT_KIND).and_then(unhex);
        octets
            .map(Self)
            .ok_or_else(|| Error::Invalid("hash: sha256: and 64 hexadecimal digits expected".into()))
    }
}

fn hex(octets: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(out, "{octet:02x}"))
}

/// Lower-case digits alone, so that each value is written in one way.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut octets = [0; N];
    for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
        *octet = digit(*high)? << 4 | digit(*low)?;
    }
    Some(octets)
}
