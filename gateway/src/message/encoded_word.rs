//! Encoded words of header fields to text (RFC 2047), tolerant of what breaks its rules (RFC 7103 §7.7).

use std::borrow::Cow;

use super::charset;
use super::decode::decode_part;
use super::structure::Encoding;

/// The text of an unfolded header value. Never fails: what is no encoded word stays as it is.
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    if memchr::memmem::find(value, b"=?").is_none() {
        return charset::decode(b"", value);
    }
    let mut text = String::with_capacity(value.len());
    // Octets of encoded words that follow each other in one charset: a character may be cut between them.
    let mut pending: Option<(&[u8], Vec<u8>)> = None;
    let mut rest = value;
    while !rest.is_empty() {
        if let Some((word, after)) = encoded_word(rest) {
            match &mut pending {
                Some((charset, octets)) if charset.eq_ignore_ascii_case(word.charset) => {
                    octets.extend(word.octets)
                }
                _ => {
                    flush(&mut pending, &mut text);
                    pending = Some((word.charset, word.octets));
                }
            }
            rest = after;
            // White space between two encoded words is not shown (RFC 2047 §6.2).
            let spaced = rest.trim_ascii_start();
            if spaced.starts_with(b"=?") && encoded_word(spaced).is_some() {
                rest = spaced;
            }
            continue;
        }
        flush(&mut pending, &mut text);
        let end = memchr::memmem::find(&rest[1..], b"=?").map_or(rest.len(), |end| end + 1);
        text.push_str(&charset::decode(b"", &rest[..end]));
        rest = &rest[end..];
    }
    flush(&mut pending, &mut text);
    Cow::Owned(text)
}

fn flush(pending: &mut Option<(&[u8], Vec<u8>)>, text: &mut String) {
    if let Some((charset, octets)) = pending.take() {
        text.push_str(&charset::decode(charset, &octets));
    }
}

struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
}

/// Longest encoded word that is looked for, in octets; RFC 2047 §2 allows 75.
const WORD_OCTETS: usize = 2048;

/// The encoded word at the start, and what follows it.
fn encoded_word(octets: &[u8]) -> Option<(Word<'_>, &[u8])> {
    let inner = octets.strip_prefix(b"=?")?;
    let inner = &inner[..inner.len().min(WORD_OCTETS)];
    let charset_end = memchr::memchr(b'?', inner)?;
    let (charset, after) = (&inner[..charset_end], &inner[charset_end + 1..]);
    let [kind, b'?', text @ ..] = after else { return None };
    let end = memchr::memmem::find(text, b"?=")?;
    let decoded = match kind.to_ascii_lowercase() {
        b'b' => decode_part(&Encoding::Base64, &text[..end])?,
        b'q' => quoted(&text[..end]),
        _ => return None,
    };
    // RFC 2231 §5: a language may follow the charset.
    let charset = charset.split(|octet| *octet == b'*').next().unwrap_or_default();
    let consumed = 2 + charset_end + 1 + 2 + end + 2;
    Some((Word { charset, octets: decoded }, &octets[consumed..]))
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
    let mut octets = Vec::with_capacity(spaced.len());
    let mut rest = &spaced[..];
    while let Some((first, after)) = rest.split_first() {
        let hex = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
        match after {
            [high, low, after @ ..] if *first == b'=' && hex(*high).is_some() && hex(*low).is_some() => {
                octets.push(hex(*high).unwrap_or_default() << 4 | hex(*low).unwrap_or_default());
                rest = after;
            }
            _ => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_2047() {
        let text = |value: &str| decode(value.as_bytes()).into_owned();
        assert_eq!(text("(=?ISO-8859-1?Q?a?=)"), "(a)");
        assert_eq!(text("(=?ISO-8859-1?Q?a?= b)"), "(a b)");
        assert_eq!(text("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)"), "(ab)");
        assert_eq!(text("=?ISO-8859-1?Q?a_b?="), "a b");
        assert_eq!(text("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= x"), "If you can read this yo x");
        assert_eq!(text("=?utf-8?B?4oI=?= =?utf-8?B?rA==?="), "€");
        assert_eq!(text("=?utf-8*en?q?=E2=82=AC?="), "€");
    }

    #[test]
    fn broken_words_stay() {
        let text = |value: &[u8]| decode(value).into_owned();
        assert_eq!(text(b"=?utf-8?x?abc?= =?"), "=?utf-8?x?abc?= =?");
        assert_eq!(text(b"gr\xfcn =?utf-8?q?=zz?="), "grün =zz");
    }

    proptest! {
        #[test]
        fn any_octets_are_no_trouble(value in "([=?bqBQ ]|utf-8|[a-z0-9]|\\PC){0,60}") {
            decode(value.as_bytes());
        }
    }
}
