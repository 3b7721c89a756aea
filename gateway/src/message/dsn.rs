//! Delivery status notifications: `multipart/report` with a text for people, the fields for programs, and the
//! message or its header (RFC 3464, RFC 6522; RFC 6533 where UTF-8 addresses ask for it).

use std::fmt::Write;

use sterna_storage::types::Timestamp;

use super::{date, header, submission};
use crate::limits;

/// What became of a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet delivered, still tried.
    Delayed,
    /// Put into a mailbox here.
    Delivered,
    /// Handed to a host that does not support DSN.
    Relayed,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }
}

/// One recipient of a report.
#[derive(Debug, Clone)]
pub struct Recipient<'a> {
    /// The address that delivery was tried to, in SMTP's form without brackets.
    pub address: &'a str,
    /// ORCPT as given, still in xtext: `rfc822;bob@example.org` (RFC 3461 §4.2).
    pub original: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// The enhanced status code, `5.1.1` (RFC 3463).
    pub status: &'a str,
    /// The host that said so, if a host did.
    pub remote_host: Option<&'a str>,
    /// What that host, or this server, said.
    pub text: &'a str,
    /// When delivery was last tried.
    pub last_attempt: Option<Timestamp>,
    /// Until when it will be tried: for delayed ones.
    pub retried_until: Option<Timestamp>,
}

/// What of the message goes back.
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Its header section.
    Header(&'a [u8]),
    /// All of it; above [`limits::DSN_RETURN_OCTETS`] only its header is returned.
    Full(&'a [u8]),
}

/// What a report says.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// This server's name.
    pub host: &'a str,
    /// The sender of the message, to whom the report goes, in SMTP's form without brackets.
    pub sender: &'a str,
    /// ENVID as given, still in xtext (RFC 3461 §4.4).
    pub envelope_id: Option<&'a str>,
    /// When the message arrived here.
    pub arrived: Timestamp,
    /// When the report is made.
    pub now: Timestamp,
    /// The recipients it is about: at least one.
    pub recipients: &'a [Recipient<'a>],
    /// What of the message goes back.
    pub returned: Returned<'a>,
    /// Whether the message came with SMTPUTF8, so that the report may too.
    pub smtputf8: bool,
}

/// A report, ready to be queued under the null sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The whole message.
    pub octets: Vec<u8>,
    /// Whether it needs 8BITMIME.
    pub is_8bit: bool,
    /// Whether it needs SMTPUTF8.
    pub smtputf8: bool,
}

/// Writes the report.
pub fn compose(report: &Report<'_>) -> Composed {
    let boundary = format!("={:016x}{:016x}=", rand::random::<u64>(), rand::random::<u64>());
    let global = report.smtputf8 && needs_utf8(report);
    let mut out = String::with_capacity(4096);
    push_header(&mut out, report, &boundary);
    push_words(&mut out, report, &boundary);
    push_status(&mut out, report, &boundary, global);
    let mut octets = out.into_bytes();
    push_returned(&mut octets, report, &boundary, global);
    octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let is_8bit = !octets.is_ascii();
    Composed { octets, is_8bit, smtputf8: global }
}

/// Whether an address cannot be written without UTF-8.
fn needs_utf8(report: &Report<'_>) -> bool {
    !report.sender.is_ascii() || !report.recipients.iter().all(|recipient| recipient.address.is_ascii())
}

// Writing to a String cannot fail: the results of `write!` are dropped throughout.

fn push_header(out: &mut String, report: &Report<'_>, boundary: &str) {
    let Report { host, sender, now, .. } = report;
    let subject = match worst(report) {
        Action::Failed => "Undelivered mail returned to sender",
        Action::Delayed => "Delivery of your mail is delayed",
        Action::Delivered => "Your mail was delivered",
        Action::Relayed => "Your mail was passed on",
    };
    let _ = write!(
        out,
        "Date: {}\r\nFrom: Mail Delivery System <mailer-daemon@{host}>\r\nTo: <{}>\r\nSubject: {subject}\r\n\
         Message-ID: {}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
        date::rfc5322(*now),
        clean(sender, true),
        submission::new_message_id(host, *now),
    );
}

fn worst(report: &Report<'_>) -> Action {
    let has = |action| report.recipients.iter().any(|recipient| recipient.action == action);
    let order = [Action::Failed, Action::Delayed, Action::Relayed];
    order.into_iter().find(|action| has(*action)).unwrap_or(Action::Delivered)
}

/// The part for people. Kept to ASCII but for addresses, whose octets stay as they are.
fn push_words(out: &mut String, report: &Report<'_>, boundary: &str) {
    let mut words = format!("This is the mail system at {}.\r\n", report.host);
    for (action, said) in [
        (
            Action::Failed,
            "I'm sorry: your message could not be delivered to these recipients, and will not be\r\ntried again:",
        ),
        (
            Action::Delayed,
            "Your message has not yet been delivered to these recipients. You need not send it again:\r\nit is still being tried",
        ),
        (Action::Delivered, "Your message was delivered to these recipients:"),
        (
            Action::Relayed,
            "Your message was passed on to hosts that send no confirmation for these recipients:",
        ),
    ] {
        let those: Vec<_> = report.recipients.iter().filter(|recipient| recipient.action == action).collect();
        let Some(first) = those.first() else { continue };
        let _ = write!(words, "\r\n{said}");
        if action == Action::Delayed {
            let until = first.retried_until.map(|until| format!(" until {}", date::rfc5322(until)));
            let _ = write!(words, "{}:", until.unwrap_or_default());
        }
        words.push_str("\r\n\r\n");
        for recipient in those {
            push_recipient_words(&mut words, recipient);
        }
    }
    let charset = if words.is_ascii() { "us-ascii" } else { "utf-8" };
    let encoding = if words.is_ascii() { "7bit" } else { "8bit" };
    let _ = write!(
        out,
        "--{boundary}\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: Notification\r\n\r\n{words}"
    );
}

fn push_recipient_words(words: &mut String, recipient: &Recipient<'_>) {
    let _ = write!(words, "  <{}>", clean(recipient.address, true));
    let text = clean(recipient.text, true);
    match recipient.remote_host {
        Some(host) => {
            let _ = write!(words, "\r\n      {} said: {text}", clean(host, false));
        }
        None if !text.is_empty() => {
            let _ = write!(words, "\r\n      {text}");
        }
        None => {}
    }
    words.push_str("\r\n");
}

/// The part for programs (RFC 3464 §2).
fn push_status(out: &mut String, report: &Report<'_>, boundary: &str, global: bool) {
    let media = if global { "message/global-delivery-status" } else { "message/delivery-status" };
    let encoding = if global { "8bit" } else { "7bit" };
    let _ = write!(
        out,
        "\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: Delivery report\r\n\r\nReporting-MTA: dns; {}\r\n",
        report.host
    );
    if let Some(id) = report.envelope_id {
        let _ = write!(out, "Original-Envelope-Id: {}\r\n", clean(&unxtext(id), false));
    }
    let _ = write!(out, "Arrival-Date: {}\r\n", date::rfc5322(report.arrived));
    for recipient in report.recipients {
        out.push_str("\r\n");
        push_recipient_status(out, recipient, global);
    }
}

fn push_recipient_status(out: &mut String, recipient: &Recipient<'_>, global: bool) {
    if let Some((kind, address)) = recipient.original.and_then(|original| original.split_once(';')) {
        let _ = write!(
            out,
            "Original-Recipient: {}; {}\r\n",
            clean(kind, false),
            clean(&unxtext(address), global)
        );
    }
    let address = clean(recipient.address, true);
    let address = match (address.is_ascii(), global) {
        (true, _) => format!("rfc822; {address}"),
        (false, true) => format!("utf-8; {address}"),
        (false, false) => format!("utf-8; {}", utf8_xtext(&address)),
    };
    let _ = write!(
        out,
        "Final-Recipient: {address}\r\nAction: {}\r\nStatus: {}\r\n",
        recipient.action.name(),
        clean(recipient.status, false)
    );
    if let Some(host) = recipient.remote_host {
        let host = host.split([' ', '[']).next().unwrap_or_default();
        let _ = write!(out, "Remote-MTA: dns; {}\r\n", clean(host, false));
    }
    if !recipient.text.is_empty() {
        let kind = if recipient.remote_host.is_some() { "smtp" } else { "x-sterna" };
        let _ = write!(out, "Diagnostic-Code: {kind}; {}\r\n", clean(recipient.text, global));
    }
    if let Some(time) = recipient.last_attempt {
        let _ = write!(out, "Last-Attempt-Date: {}\r\n", date::rfc5322(time));
    }
    if let Some(time) = recipient.retried_until.filter(|_| recipient.action == Action::Delayed) {
        let _ = write!(out, "Will-Retry-Until: {}\r\n", date::rfc5322(time));
    }
}

fn push_returned(out: &mut Vec<u8>, report: &Report<'_>, boundary: &str, global: bool) {
    let (octets, whole) = match report.returned {
        Returned::Full(message) if message.len() <= limits::DSN_RETURN_OCTETS => (message, true),
        Returned::Full(message) | Returned::Header(message) => (&message[..header::length(message)], false),
    };
    let octets = if whole { octets } else { &octets[..octets.len().min(limits::DSN_RETURN_OCTETS)] };
    let media = match (whole, global) {
        (true, false) => "message/rfc822",
        (true, true) => "message/global",
        (false, false) => "text/rfc822-headers",
        (false, true) => "message/global-headers",
    };
    let encoding = if octets.is_ascii() { "7bit" } else { "8bit" };
    let description = if whole { "Undelivered message" } else { "Message header" };
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: {description}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(octets);
}

/// Longest text of another host that is passed on, in characters: a long reply of many lines fits.
const TEXT_CHARACTERS: usize = 800;

/// Without line ends and control characters; other than ASCII only if `utf8`.
fn clean(text: &str, utf8: bool) -> String {
    let shown = |character: char| match character {
        other if other.is_control() => ' ',
        other if !utf8 && !other.is_ascii() => '?',
        other => other,
    };
    text.chars().take(TEXT_CHARACTERS).map(shown).collect()
}

/// Undoes xtext (RFC 3461 §4): `+2B` for `+`.
fn unxtext(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
        match after {
            [high, low, after @ ..] if *first == b'+' && hex(*high).is_some() && hex(*low).is_some() => {
                octets.push(hex(*high).unwrap_or_default() << 4 | hex(*low).unwrap_or_default());
                rest = after;
            }
            _ => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The seven-bit form of a UTF-8 address (RFC 6533 §3): `\x{20AC}` for `€`.
fn utf8_xtext(address: &str) -> String {
    address.chars().fold(String::new(), |mut out, character| {
        match character {
            '\x21'..='\x7e' if !matches!(character, '+' | '=' | '\\') => out.push(character),
            other => {
                let _ = write!(out, "\\x{{{:X}}}", u32::from(other));
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Kind, Summary};

    const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: hi\r\n\r\nbody\r\n";

    fn composed(recipient: &str, smtputf8: bool, returned: Returned<'_>) -> Composed {
        let recipients = [Recipient {
            address: recipient,
            original: Some("rfc822;b+2Bx@example.com"),
            action: Action::Failed,
            status: "5.1.1",
            remote_host: Some("mx.example.com [192.0.2.1]"),
            text: "550 5.1.1 no such\r\nuser",
            last_attempt: Some(Timestamp::from_secs(60)),
            retried_until: None,
        }];
        compose(&Report {
            host: "mx.example.org",
            sender: "a@example.org",
            envelope_id: Some("QQ+3D314"),
            arrived: Timestamp::from_secs(0),
            now: Timestamp::from_secs(61),
            recipients: &recipients,
            returned,
            smtputf8,
        })
    }

    #[test]
    fn a_failure_is_readable_by_people_and_programs() {
        let report = composed("b@example.com", false, Returned::Full(MESSAGE));
        assert!(!report.is_8bit && !report.smtputf8);
        let summary = Summary::of(&report.octets);
        let parts = summary.structure.parts();
        assert!(parts[0].is_type("multipart", "report"));
        assert_eq!(parts[0].parameter("report-type"), Some(&b"delivery-status"[..]));
        assert!(parts[1].is_type("text", "plain") && parts[2].is_type("message", "delivery-status"));
        assert!(matches!(parts[3].kind, Kind::Message(_)));
        let body = |index: usize| {
            let range = parts[index].body.start as usize..parts[index].body.end as usize;
            String::from_utf8_lossy(&report.octets[range]).into_owned()
        };
        assert!(
            body(1).contains(
                "<b@example.com>\r\n      mx.example.com [192.0.2.1] said: 550 5.1.1 no such  user"
            )
        );
        assert_eq!(
            body(2),
            "Reporting-MTA: dns; mx.example.org\r\nOriginal-Envelope-Id: QQ=314\r\n\
             Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nOriginal-Recipient: rfc822; b+x@example.com\r\n\
             Final-Recipient: rfc822; b@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 550 5.1.1 no such  user\r\n\
             Last-Attempt-Date: Thu, 1 Jan 1970 00:01:00 +0000\r\n"
        );
        assert_eq!(body(3).as_bytes(), MESSAGE);
    }

    #[test]
    fn large_messages_go_back_as_headers() {
        let large = [MESSAGE, &vec![b'x'; limits::DSN_RETURN_OCTETS]].concat();
        let report = composed("b@example.com", false, Returned::Full(&large));
        let summary = Summary::of(&report.octets);
        assert!(summary.structure.parts()[3].is_type("text", "rfc822-headers"));
        assert!(report.octets.len() < 4096);
    }

    #[test]
    fn utf8_addresses_are_written_as_the_path_allows() {
        let recipient = "bü@example.com";
        let global = composed(recipient, true, Returned::Header(MESSAGE));
        assert!(global.smtputf8 && global.is_8bit);
        let text = String::from_utf8_lossy(&global.octets);
        assert!(text.contains("message/global-delivery-status") && text.contains("utf-8; bü@example.com"));
        let plain = composed(recipient, false, Returned::Header(MESSAGE));
        assert!(!plain.smtputf8);
        assert!(
            String::from_utf8_lossy(&plain.octets).contains("Final-Recipient: utf-8; b\\x{FC}@example.com")
        );
    }
}
