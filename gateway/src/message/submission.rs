//! What a submission server mends and checks in a message (RFC 6409 §8): Date, Message-ID, Bcc, and whose
//! name is on it.

use std::ops::Range;

use sterna_storage::types::Timestamp;

use super::address::{self, Address};
use super::{date, header};

/// A message mended without copying it: header lines to put in front, and the ranges of it that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixUp {
    prefix: Vec<u8>,
    // Ascending, cut only between header fields; the last one reaches to the end, and may be empty there.
    kept: Vec<Range<usize>>,
}

impl FixUp {
    /// The mended message, piece by piece.
    pub fn pieces<'m>(&'m self, message: &'m [u8]) -> impl Iterator<Item = &'m [u8]> + Clone {
        std::iter::once(&self.prefix[..]).chain(self.kept.iter().map(|range| &message[range.clone()]))
    }

    /// Whether the message needs nothing.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_empty() && self.kept.len() == 1 && self.kept[0].start == 0
    }

    /// The mended message's length in octets.
    pub fn octets(&self) -> usize {
        self.prefix.len() + self.kept.iter().map(Range::len).sum::<usize>()
    }
}

/// Adds Date and Message-ID where they are missing, takes out Bcc and Resent-Bcc (RFC 5322 §3.6.3), and a
/// first line `From …` that mailbox files have.
pub fn fix_up(message: &[u8], host: &str, now: Timestamp) -> FixUp {
    let section = &message[..header::length(message)];
    let (mut has_date, mut has_id) = (false, false);
    let mut kept = Vec::new();
    let mut from = 0;
    if section.starts_with(b"From ") {
        from = memchr::memchr(b'\n', section).map_or(section.len(), |end| end + 1);
    }
    for field in header::fields(section) {
        has_date |= field.is("Date");
        has_id |= field.is("Message-ID");
        if field.is("Bcc") || field.is("Resent-Bcc") {
            if from < field.offset {
                kept.push(from..field.offset);
            }
            from = field.offset + field.raw.len();
        }
    }
    kept.push(from..message.len());
    let mut prefix = String::new();
    if !has_id {
        prefix.push_str(&format!("Message-ID: {}\r\n", new_message_id(host, now)));
    }
    if !has_date {
        prefix.push_str(&format!("Date: {}\r\n", date::rfc5322(now)));
    }
    FixUp { prefix: prefix.into_bytes(), kept }
}

/// `<time.random@host>`: never made twice.
pub fn new_message_id(host: &str, now: Timestamp) -> String {
    format!("<{:x}.{:016x}@{host}>", now.as_millis(), rand::random::<u64>())
}

/// In whose name a message is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authors {
    /// How many From fields there are: anything but one is against RFC 5322 §3.6.
    pub from_fields: usize,
    /// How many Sender fields there are: at most one is allowed.
    pub sender_fields: usize,
    /// The mailboxes of all From fields, without group marks.
    pub from: Vec<Address<'static>>,
    /// The mailboxes of all Sender fields.
    pub sender: Vec<Address<'static>>,
}

/// The authors that a header names; not bounded to the first field of each name, as every reader may pick
/// another one.
pub fn authors(section: &[u8]) -> Authors {
    let mut authors = Authors::default();
    for field in header::fields(section) {
        let (count, list) = if field.is("From") {
            (&mut authors.from_fields, &mut authors.from)
        } else if field.is("Sender") {
            (&mut authors.sender_fields, &mut authors.sender)
        } else {
            continue;
        };
        *count += 1;
        list.extend(address::parse(field.value).into_iter().filter(|entry| entry.host.is_some()));
    }
    authors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(message: &str) -> String {
        let fix_up = fix_up(message.as_bytes(), "mx.example", Timestamp::from_secs(0));
        let octets = fix_up.pieces(message.as_bytes()).collect::<Vec<_>>().concat();
        assert_eq!(octets.len(), fix_up.octets());
        String::from_utf8(octets).expect("text")
    }

    #[test]
    fn what_is_missing_is_added_and_bcc_goes() {
        let whole = "Date: x\r\nMessage-ID: <1@x>\r\nFrom: a@x\r\n\r\nbody";
        assert_eq!(fixed(whole), whole);
        assert!(fix_up(whole.as_bytes(), "h", Timestamp::from_secs(0)).is_empty());
        let bcc = "Date: x\r\nBcc: a@x,\r\n b@x\r\nMessage-ID: <1@x>\r\nbcc: c@x\r\n\r\nBcc: body";
        assert_eq!(fixed(bcc), "Date: x\r\nMessage-ID: <1@x>\r\n\r\nBcc: body");
        let bare = fixed("From: a@x\r\n\r\nbody");
        assert!(bare.starts_with("Message-ID: <0."), "{bare}");
        assert!(
            bare.ends_with("@mx.example>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: a@x\r\n\r\nbody")
        );
        assert!(fixed("Bcc: a@x\r\n").starts_with("Message-ID: "));
        let last = "Date: x\r\nMessage-ID: <1@x>\r\nBcc: a@x\r\n";
        assert_eq!(fixed(last), "Date: x\r\nMessage-ID: <1@x>\r\n");
        assert!(!fix_up(last.as_bytes(), "h", Timestamp::from_secs(0)).is_empty());
        assert_eq!(
            fixed("From a@x Thu\r\nDate: x\r\nMessage-ID: y\r\n\r\n"),
            "Date: x\r\nMessage-ID: y\r\n\r\n"
        );
    }

    #[test]
    fn all_authors_are_named() {
        let found = authors(b"From: A <a@x>, b@x\r\nSender: c@x\r\nfrom: d@x\r\nTo: e@x\r\n\r\n");
        assert_eq!((found.from_fields, found.sender_fields), (2, 1));
        let texts = |list: &[Address<'_>]| -> Vec<_> {
            list.iter().filter_map(|a| a.to_address()).map(|a| a.to_string()).collect()
        };
        assert_eq!(texts(&found.from), ["a@x", "b@x", "d@x"]);
        assert_eq!(texts(&found.sender), ["c@x"]);
    }
}
