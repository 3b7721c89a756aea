//! Domain names and mail addresses as the directory compares them.

use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

/// ASCII that no domain name has. Not among it: `_`, which host names may not have (RFC 952) and names of
/// senders in use do (RFC 2181 §11).
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// A domain name in its comparison form: lower case, A-labels (RFC 5890), no trailing dot; 1 to 253 octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Box<str>);

/// Why a text is no address or domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `local-part@domain`.
    #[error("an address is local-part@domain")]
    NoDomain,
    /// The local part is empty, too long, or has control characters.
    #[error("the local part is 1 to 64 octets without control characters")]
    LocalPart,
    /// Not a domain name.
    #[error("not a valid domain name")]
    Domain,
}

impl DomainName {
    /// The comparison form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), DENIED, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| AddressError::Domain)?;
        let label =
            |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        if ascii.is_empty() || ascii.len() > 253 || !ascii.split('.').all(label) {
            return Err(AddressError::Domain);
        }
        Ok(Self(ascii.into_owned().into()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({})", self.0)
    }
}

/// `local-part@domain`: the local part unquoted and as written, the domain in comparison form.
///
/// Two addresses are equal if their text is; [`Address::lookup_key`] is what the directory compares,
/// without regard to the case of the local part, as every mail system in use does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: Box<str>,
    domain: DomainName,
}

impl Address {
    /// Longest local part in octets (RFC 5321 §4.5.3.1.1).
    pub const LOCAL_PART_OCTETS: usize = 64;

    /// From its two halves; the local part is unquoted.
    pub fn new(local: &str, domain: DomainName) -> Result<Self, AddressError> {
        let fits = (1..=Self::LOCAL_PART_OCTETS).contains(&local.len());
        if !fits || local.chars().any(char::is_control) {
            return Err(AddressError::LocalPart);
        }
        Ok(Self { local: local.into(), domain })
    }

    /// The unquoted local part.
    pub fn local_part(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// What the directory looks up: the local part in lower case, `@`, the domain.
    pub fn lookup_key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads the unquoted form that people write; SMTP's quoted local parts are the codec's matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        Self::new(local, domain.parse()?)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_folded_and_checked() {
        let name: DomainName = "Bücher.Example.".parse().expect("valid");
        assert_eq!(name.as_str(), "xn--bcher-kva.example");
        for good in ["a_b.example", "_dmarc.example", "r3---a.example"] {
            assert_eq!(good.parse::<DomainName>().expect("in use").as_str(), good);
        }
        for bad in
            ["", ".", "a..b", "-a.b", "a-.b", "a b", "a@b", "a/b", "a%b", "a\0b", "xn--a.b", &"a".repeat(64)]
        {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_split_at_the_last_at() {
        let address: Address = "a@b@Example.ORG".parse().expect("valid");
        assert_eq!((address.local_part(), address.domain().as_str()), ("a@b", "example.org"));
        assert_eq!("Ann@x.org".parse::<Address>().expect("valid").lookup_key(), "ann@x.org");
    }
}
