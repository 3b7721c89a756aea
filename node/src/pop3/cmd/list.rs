//! `LIST [msg]` and `UIDL [msg]` (RFC 1939 §5, §7): two listings of one form.

use std::fmt::Write as _;

use bytes::BytesMut;

use crate::limits::POP3_OUTPUT_OCTETS;
use crate::pop3::codec::{ok, terminate};
use crate::pop3::maildrop::{Entry, Maildrop, NoMessage};
use crate::pop3::session::{Listing, ListingKind, Step};

pub(super) fn list(
    maildrop: &Maildrop,
    kind: ListingKind,
    message: Option<u32>,
    output: &mut BytesMut,
) -> Result<Step, NoMessage> {
    if let Some(number) = message {
        let entry = maildrop.message(number)?;
        output.extend_from_slice(b"+OK ");
        line(maildrop, kind, (number, entry), output);
        return Ok(Step::Continue);
    }
    match kind {
        ListingKind::Sizes => ok(output, maildrop.summary()),
        ListingKind::UniqueIds => ok(output, "unique-id listing follows"),
    }
    Ok(Step::List(Listing { kind, next: 1 }))
}

/// Appends lines until the output is worth writing or the listing ends; whether there is more.
pub(in crate::pop3) fn next_part(maildrop: &Maildrop, listing: &mut Listing, output: &mut BytesMut) -> bool {
    while output.len() < POP3_OUTPUT_OCTETS {
        let Some((number, entry)) = maildrop.first_from(listing.next) else {
            terminate(output);
            return false;
        };
        line(maildrop, listing.kind, (number, entry), output);
        listing.next = number + 1;
    }
    true
}

fn line(maildrop: &Maildrop, kind: ListingKind, (number, entry): (u32, &Entry), output: &mut BytesMut) {
    match kind {
        ListingKind::Sizes => write!(output, "{number} {}\r\n", entry.size_octets),
        ListingKind::UniqueIds => write!(output, "{number} {}\r\n", maildrop.unique_id(entry)),
    }
    .expect("a buffer takes any text");
}
