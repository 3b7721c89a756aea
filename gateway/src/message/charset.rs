//! Octets of a named charset to text (RFC 2046 §4.1.2). Never fails: what is no text of that charset becomes
//! U+FFFD; a missing or unknown charset is UTF-8 if it reads as that, else Windows-1252 (RFC 7103 §7.6).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// As text; borrowed where the octets are that already.
pub fn decode<'a>(charset: &[u8], octets: &'a [u8]) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(octets)
        && (octets.is_ascii() && !is_stateful(charset) || means_nothing(charset))
    {
        return Cow::Borrowed(text);
    }
    if charset.eq_ignore_ascii_case(b"utf-7")
        && let Some(decoder) = mail_parser::decoders::charsets::map::charset_decoder(b"utf-7")
    {
        return Cow::Owned(decoder(octets));
    }
    encoding(charset, octets).decode_without_bom_handling(octets).0
}

/// The decoder for a charset; `sample` decides where the name says nothing.
pub(super) fn encoding(charset: &[u8], sample: &[u8]) -> &'static Encoding {
    match Encoding::for_label(charset) {
        Some(found) if !means_nothing(charset) => found,
        _ if std::str::from_utf8(sample).map_or_else(|error| error.error_len().is_none(), |_| true) => UTF_8,
        _ => WINDOWS_1252,
    }
}

/// Whether an ASCII octet, wherever it stands in text of the charset, is that ASCII character.
pub(super) fn keeps_ascii(charset: &[u8]) -> bool {
    // Where the name says nothing, the text is read as one of two that do.
    Encoding::for_label(charset).is_none_or(|found| found == UTF_8 || found.is_single_byte())
}

/// `us-ascii` is also what is said by programs that know no better.
fn means_nothing(charset: &[u8]) -> bool {
    charset.is_empty() || charset.eq_ignore_ascii_case(b"us-ascii") || charset.eq_ignore_ascii_case(b"ascii")
}

/// Whether ASCII octets may stand for something else in it.
pub(super) fn is_stateful(charset: &[u8]) -> bool {
    let starts =
        |name: &[u8]| charset.len() >= name.len() && charset[..name.len()].eq_ignore_ascii_case(name);
    [
        &b"utf-7"[..],
        b"utf-16",
        b"utf-32",
        b"iso-2022",
        b"hz-",
        b"ucs-",
        b"unicode",
        b"csiso2022",
        b"iso-10646",
    ]
    .into_iter()
    .any(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_unknown_and_wrong_charsets() {
        assert_eq!(decode(b"utf-8", "grün".as_bytes()), "grün");
        assert_eq!(decode(b"ISO-8859-1", b"gr\xfcn"), "grün");
        assert_eq!(decode(b"koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4"), "Привет");
        assert_eq!(decode(b"iso-2022-jp", b"\x1b$B%O\x1b(B"), "ハ");
        assert_eq!(decode(b"utf-7", b"+ZYeB9FH6ckh5Pg-, 1980."), "文致出版社, 1980.");
        assert_eq!(decode(b"us-ascii", "grün".as_bytes()), "grün");
        assert_eq!(decode(b"no-such", b"gr\xfcn"), "grün");
        assert_eq!(decode(b"utf-8", b"gr\xfcn"), "gr\u{fffd}n");
    }
}
