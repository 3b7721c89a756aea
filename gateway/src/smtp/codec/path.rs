//! Paths and mailboxes (RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3): `<>`, source routes (read and
//! ignored, §4.1.1.3), quoted local parts, address literals, bare `<Postmaster>`.
//!
//! A little more is read than the grammar allows, where senders in use need it: spaces before `<`,
//! and dots anywhere in a local part (such a one is quoted when it is written again).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sterna_storage::types::{Address, DomainName};

use super::SyntaxError;

/// Longest path with its brackets, in octets (RFC 5321 §4.5.3.1.3), source route not counted.
const PATH_OCTETS: usize = 64 + 1 + 255 + 2;

/// Where a mailbox is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailDomain {
    /// A domain.
    Name(DomainName),
    /// An address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

/// A mailbox as SMTP knows it: an unquoted local part of 1 to 64 octets without control characters,
/// and a domain or address literal. `Display` gives SMTP's form, quoted where it must be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    local: Box<str>,
    domain: MailDomain,
}

/// The sender's path; `None` is the null reverse-path `<>`, to which nothing is ever returned.
pub type ReversePath = Option<Mailbox>;

/// A recipient's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §2.3.5, §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl fmt::Display for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

impl Mailbox {
    /// From its two halves; the local part is unquoted.
    pub fn new(local: &str, domain: MailDomain) -> Result<Self, SyntaxError> {
        let fits = (1..=Address::LOCAL_PART_OCTETS).contains(&local.len());
        if !fits || local.chars().any(char::is_control) {
            return Err(SyntaxError::Path("local part"));
        }
        Ok(Self { local: local.into(), domain })
    }

    /// The unquoted local part.
    pub fn local_part(&self) -> &str {
        &self.local
    }

    /// The domain or literal.
    pub fn domain(&self) -> &MailDomain {
        &self.domain
    }

    /// As the directory knows it; `None` if it is at an address literal.
    pub fn address(&self) -> Option<Address> {
        match &self.domain {
            MailDomain::Name(name) => Address::new(&self.local, name.clone()).ok(),
            MailDomain::Literal(_) => None,
        }
    }

    /// Whether it can be written without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii()
    }
}

impl From<&Address> for Mailbox {
    fn from(address: &Address) -> Self {
        let domain = MailDomain::Name(address.domain().clone());
        Self { local: address.local_part().into(), domain }
    }
}

impl FromStr for Mailbox {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match mailbox(text)? {
            (mailbox, "") => Ok(mailbox),
            _ => Err(SyntaxError::Path("text behind the mailbox")),
        }
    }
}

impl TryFrom<String> for Mailbox {
    type Error = SyntaxError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for character in self.local.chars() {
                if matches!(character, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.domain)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({self})")
    }
}

/// `atext` (RFC 5322 §3.2.3), with RFC 6531's extension.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || (!character.is_ascii() && !character.is_control())
}

/// Reads `<>` or a path at the start of `text`; gives it and what follows it.
pub fn reverse_path(text: &str) -> Result<(ReversePath, &str), SyntaxError> {
    let text = text.trim_start_matches(' ');
    match text.strip_prefix("<>") {
        Some(rest) => Ok((None, rest)),
        None => path(text).map(|(mailbox, rest)| (Some(mailbox), rest)),
    }
}

/// Reads a recipient's path at the start of `text`; gives it and what follows it.
pub fn forward_path(text: &str) -> Result<(ForwardPath, &str), SyntaxError> {
    const POSTMASTER: &str = "<postmaster>";
    let text = text.trim_start_matches(' ');
    match text.split_at_checked(POSTMASTER.len()) {
        Some((bare, rest)) if bare.eq_ignore_ascii_case(POSTMASTER) => Ok((ForwardPath::Postmaster, rest)),
        _ => path(text).map(|(mailbox, rest)| (ForwardPath::Mailbox(mailbox), rest)),
    }
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`
fn path(text: &str) -> Result<(Mailbox, &str), SyntaxError> {
    let inner = text.strip_prefix('<').ok_or(SyntaxError::Path("an address stands in < and >"))?;
    let inner = without_source_route(inner)?;
    let (mailbox, rest) = mailbox(inner)?;
    let rest = rest.strip_prefix('>').ok_or(SyntaxError::Path("an address ends in >"))?;
    if inner.len() - rest.len() > PATH_OCTETS {
        return Err(SyntaxError::Path("too long"));
    }
    Ok((mailbox, rest))
}

/// `A-d-l = At-domain *( "," At-domain )`, which servers ignore (RFC 5321 §4.1.1.3).
fn without_source_route(text: &str) -> Result<&str, SyntaxError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, rest) = text.split_once(':').ok_or(SyntaxError::Path("source route"))?;
    let hop = |hop: &str| hop.strip_prefix('@').is_some_and(|name| name.parse::<DomainName>().is_ok());
    if route.split(',').all(hop) { Ok(rest) } else { Err(SyntaxError::Path("source route")) }
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )`, up to what cannot belong to it.
fn mailbox(text: &str) -> Result<(Mailbox, &str), SyntaxError> {
    let (local, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted_local_part(quoted)?,
        None => {
            let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
    };
    let rest = rest.strip_prefix('@').ok_or(SyntaxError::Path("an address is local-part@domain"))?;
    let (domain, rest) = domain(rest)?;
    Ok((Mailbox::new(&local, domain)?, rest))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`, behind its first quote.
fn quoted_local_part(text: &str) -> Result<(String, &str), SyntaxError> {
    let mut local = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, quoted @ ' '..='~')) => local.push(quoted),
                _ => return Err(SyntaxError::Path("quoted pair")),
            },
            _ => local.push(character),
        }
    }
    Err(SyntaxError::Path("quoted string without end"))
}

fn domain(text: &str) -> Result<(MailDomain, &str), SyntaxError> {
    if let Some(literal) = text.strip_prefix('[') {
        let (inside, rest) = literal.split_once(']').ok_or(SyntaxError::Path("address literal"))?;
        let address = address_literal(inside).ok_or(SyntaxError::Path("address literal"))?;
        return Ok((MailDomain::Literal(address), rest));
    }
    let end = text.find(['>', ' ']).unwrap_or(text.len());
    let name = text[..end].parse().map_err(|_| SyntaxError::Path("domain"))?;
    Ok((MailDomain::Name(name), &text[end..]))
}

/// `IPv4-address-literal / IPv6-address-literal` (RFC 5321 §4.1.3); no general ones are registered.
fn address_literal(text: &str) -> Option<IpAddr> {
    match text.split_at_checked("IPv6:".len()) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse().ok().map(IpAddr::V6),
        _ => text.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forward(text: &str) -> String {
        match forward_path(text) {
            Ok((ForwardPath::Mailbox(mailbox), rest)) => format!("{mailbox}|{rest}"),
            Ok((ForwardPath::Postmaster, rest)) => format!("postmaster|{rest}"),
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn paths_are_read() {
        assert_eq!(forward("<Jones@XYZ.com> SIZE=1"), "Jones@xyz.com| SIZE=1");
        assert_eq!(forward(" <@hosta.int,@jkl.org:userc@d.bar.org>"), "userc@d.bar.org|");
        assert_eq!(forward("<POSTmaster>"), "postmaster|");
        assert_eq!(forward(r#"<"a b\"c\\"@x.org>"#), r#""a b\"c\\"@x.org|"#);
        assert_eq!(forward(r#"<"plain"@x.org>"#), "plain@x.org|");
        assert_eq!(forward("<a..b.@x.org>"), "\"a..b.\"@x.org|");
        assert_eq!(forward("<a@x_y.org>"), "a@x_y.org|");
        assert_eq!(forward("<a@[192.0.2.1]>"), "a@[192.0.2.1]|");
        assert_eq!(forward("<a@[ipv6:2001:DB8::1]>"), "a@[IPv6:2001:db8::1]|");
        assert_eq!(forward("<δοκιμή@παράδειγμα.gr>"), "δοκιμή@xn--hxajbheg2az3al.gr|");
        assert!(matches!(reverse_path("<> X"), Ok((None, " X"))));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("<{}@x.org>", "a".repeat(65));
        for bad in [
            "a@x.org",
            "<a@x.org",
            "<a>",
            "<@x.org>",
            "<a@>",
            "<a@[1.2.3]>",
            "<a@[x]>",
            "<a b@x.org>",
            "<>",
            "<\"a@x.org>",
            "<\"a\\\u{7}\"@x.org>",
            "<\"\u{1}\"@x.org>",
            "<@a:b>",
            "<@:a@x.org>",
            "<a@b@c.org>",
            "<postmaster",
            &long,
        ] {
            assert_eq!(forward(bad), "error", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(local in "[ -~]{1,64}", literal: bool) {
            let domain = match literal {
                true => MailDomain::Literal("2001:db8::7".parse().expect("an address")),
                false => MailDomain::Name("x.example".parse().expect("a domain")),
            };
            let mailbox = Mailbox::new(&local, domain).expect("printable and short");
            prop_assert_eq!(mailbox.to_string().parse::<Mailbox>().expect("own text"), mailbox);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = (forward_path(&text), reverse_path(&text));
        }
    }
}
