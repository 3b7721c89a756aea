//! The tokens of responses (RFC 9051 §9), appended to a buffer. Nothing here knows a socket.

use std::fmt;
use std::io::Write as _;

use super::cursor::is_astring_char;
use super::mailbox_name::{NameEncoding, encode};
use crate::limits;

/// Appends a decimal number without going through the formatting machinery: FETCH of a large
/// mailbox writes millions of them.
pub fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends formatted text.
pub fn text(out: &mut Vec<u8>, arguments: fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to memory cannot fail");
}

/// `string`: quoted where that is possible in plain ASCII, else a literal.
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    let quotable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    if octets.len() <= limits::IMAP_QUOTED_OCTETS && octets.iter().all(quotable) {
        quoted(out, octets);
    } else {
        literal(out, octets);
    }
}

/// `string` that may hold UTF-8 in quotes, once IMAP4rev2 is enabled.
pub fn utf8_string(out: &mut Vec<u8>, value: &str) {
    let quotable = |character: char| !matches!(character, '\0' | '\r' | '\n');
    if value.len() <= limits::IMAP_QUOTED_OCTETS && value.chars().all(quotable) {
        quoted(out, value.as_bytes());
    } else {
        literal(out, value.as_bytes());
    }
}

fn quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    for byte in octets {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// `literal`. NUL cannot be in it: it is left out.
fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    let nuls = octets.iter().filter(|byte| **byte == 0).count();
    literal_head(out, (octets.len() - nuls) as u64, false);
    out.extend(octets.iter().filter(|byte| **byte != 0));
}

/// `{n}` CRLF, or `~{n}` CRLF for octets that may hold NUL (RFC 3516). The octets are to follow.
pub fn literal_head(out: &mut Vec<u8>, octets: u64, binary: bool) {
    out.extend_from_slice(if binary { b"~{" } else { b"{" });
    number(out, octets);
    out.extend_from_slice(b"}\r\n");
}

/// `nstring`.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring`.
pub fn astring(out: &mut Vec<u8>, octets: &[u8]) {
    let is_nil = octets.eq_ignore_ascii_case(b"NIL");
    if !octets.is_empty() && !is_nil && octets.iter().all(|byte| is_astring_char(*byte)) {
        out.extend_from_slice(octets);
    } else {
        string(out, octets);
    }
}

/// A mailbox name in the session's encoding. Always a quoted string where it can be one: some
/// clients do not read atoms here.
pub fn mailbox(out: &mut Vec<u8>, name: &str, encoding: NameEncoding) {
    utf8_string(out, &encode(name, encoding));
}

/// Text for people after a status: octets that would end or break the line become `?`.
pub fn human(out: &mut Vec<u8>, value: &str) {
    out.extend(value.bytes().map(|byte| if matches!(byte, b' '..=b'~') { byte } else { b'?' }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::imap::codec::cursor::Cursor;

    proptest! {
        #[test]
        fn strings_read_back(octets in prop::collection::vec(1u8.., 0..2_000)) {
            for write in [string, astring] {
                let mut out = Vec::new();
                write(&mut out, &octets);
                let mut cursor = Cursor::new(&out);
                let read = cursor.astring().expect("own text");
                prop_assert_eq!(read.as_ref(), &octets[..]);
                prop_assert!(cursor.is_at_end());
            }
        }

        #[test]
        fn utf8_reads_back(value in "[^\0]{0,40}") {
            let mut out = Vec::new();
            utf8_string(&mut out, &value);
            prop_assert_eq!(Cursor::new(&out).text(), Ok(value));
        }

        #[test]
        fn numbers_read_back(value in any::<u64>()) {
            let mut out = Vec::new();
            number(&mut out, value);
            prop_assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
