//! Trace headers (RFC 5321 §4.4): written on arrival and delivery, and read to find loops (§6.3).

use std::fmt::Write;
use std::net::IpAddr;

use sterna_storage::types::{Address, QueueId, Timestamp};

use super::{date, header};

/// What a Received field says.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// Who was connected; `None` leaves the clause out, as for submissions, whose clients' addresses are
    /// nobody's business.
    pub from: Option<Client<'a>>,
    /// This server's name.
    pub by: &'a str,
    /// `ESMTPS` and the like (RFC 3848, RFC 6531 §4.3).
    pub with: &'a str,
    /// Protocol version and cipher suite of the connection, if it was encrypted.
    pub tls: Option<&'a str>,
    /// The id that the `250` reply carries.
    pub id: QueueId,
    /// The recipient, where there is only one: further ones are not to be disclosed (RFC 5321 §7.2).
    pub recipient: Option<&'a Address>,
    /// When the message arrived.
    pub time: Timestamp,
}

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// What it said in EHLO, HELO or LHLO.
    pub helo: &'a str,
    /// The name that DNS gives its address, where that is confirmed.
    pub name: Option<&'a str>,
    /// Its address.
    pub address: IpAddr,
}

/// Longest text of a peer that is written into a trace header, in octets: a domain name fits.
const PEER_TEXT_OCTETS: usize = 255;

/// The whole field with its line ending.
pub fn received(facts: &Received<'_>) -> String {
    let mut line = String::with_capacity(320);
    line.push_str("Received: ");
    if let Some(Client { helo, name, address }) = facts.from {
        push_clean(&mut line, helo);
        line.push_str(" (");
        name.into_iter().for_each(|name| {
            push_clean(&mut line, name);
            line.push(' ');
        });
        line.push_str(&address_literal(address));
        line.push_str(")\r\n\t");
        line.insert_str("Received: ".len(), "from ");
    }
    let (by, with, id) = (facts.by, facts.with, facts.id);
    // Writing to a String cannot fail.
    let _ = write!(line, "by {by} with {with} id {id}");
    if let Some(tls) = facts.tls {
        line.push_str("\r\n\t(using ");
        push_clean(&mut line, tls);
        line.push(')');
    }
    if let Some(recipient) = facts.recipient {
        let _ = write!(line, "\r\n\tfor <{}>", path(recipient));
    }
    let _ = write!(line, ";\r\n\t{}\r\n", date::rfc5322(facts.time));
    line
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
pub fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// What a peer said, fit for a header: nothing that ends a line, a comment or a token.
fn push_clean(line: &mut String, text: &str) {
    let kept = text.char_indices().take_while(|(at, _)| *at < PEER_TEXT_OCTETS);
    line.extend(kept.map(|(_, character)| match character {
        '(' | ')' | '<' | '>' | ';' | '\\' | '"' => '?',
        other if other.is_control() => '?',
        other => other,
    }));
}

/// An address as SMTP's paths and trace headers write it: the local part quoted where its characters ask for
/// that (RFC 5321 §4.1.2).
pub fn path(address: &Address) -> String {
    let local = address.local_part();
    let atom = |character: char| {
        character.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(character)
            || !character.is_ascii()
    };
    if local.split('.').all(|word| !word.is_empty() && word.chars().all(atom)) {
        return address.to_string();
    }
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"@{}", address.domain())
}

/// `Return-Path: <sender>`; the null sender is `None`.
pub fn return_path(sender: Option<&Address>) -> String {
    format!("Return-Path: <{}>\r\n", sender.map(path).unwrap_or_default())
}

/// `Delivered-To: recipient`, which the next delivery to the same recipient finds.
pub fn delivered_to(recipient: &Address) -> String {
    format!("Delivered-To: {}\r\n", path(recipient))
}

/// How often the message has been received: above [`crate::limits::HOPS`] it goes in circles.
pub fn hops(section: &[u8]) -> usize {
    header::fields(section).filter(|field| field.is("Received")).count()
}

/// Whether the message has already been delivered to this recipient.
pub fn was_delivered_to(section: &[u8], recipient: &Address) -> bool {
    let key = recipient.lookup_key();
    let same = |field: header::Field<'_>| {
        super::address::parse(field.value)
            .first()
            .and_then(super::address::Address::to_address)
            .is_some_and(|address| address.lookup_key() == key)
    };
    header::fields(section).filter(|field| field.is("Delivered-To")).any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn received_says_who_and_when_and_lets_nothing_in() {
        let recipient = address("b@example.org");
        let line = received(&Received {
            from: Some(Client {
                helo: "mail\r\nX-Evil: 1",
                name: Some("mail.example.com"),
                address: "2001:db8::1".parse().expect("an address"),
            }),
            by: "mx.example.org",
            with: "ESMTPS",
            tls: Some("TLSv1.3 with TLS13_AES_256_GCM_SHA384"),
            id: QueueId([0; 10]),
            recipient: Some(&recipient),
            time: Timestamp::from_secs(0),
        });
        assert_eq!(
            line,
            "Received: from mail??X-Evil: 1 (mail.example.com [IPv6:2001:db8::1])\r\n\
             \tby mx.example.org with ESMTPS id 0000000000000000\r\n\
             \t(using TLSv1.3 with TLS13_AES_256_GCM_SHA384)\r\n\
             \tfor <b@example.org>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn loops_are_found() {
        let odd = address("a b\"c@example.org");
        let section =
            [delivered_to(&odd), return_path(None), "Received: x\r\nReceived: y\r\n\r\n".into()].concat();
        assert!(section.starts_with("Delivered-To: \"a b\\\"c\"@example.org\r\nReturn-Path: <>\r\n"));
        assert!(was_delivered_to(section.as_bytes(), &address("A B\"c@EXAMPLE.org")));
        assert!(!was_delivered_to(section.as_bytes(), &address("other@example.org")));
        assert_eq!(hops(section.as_bytes()), 2);
    }
}
