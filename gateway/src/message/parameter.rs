//! Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183, RFC 2231).
//!
//! Continuations (`name*0`, `name*1*`) are joined; the extended form stays in its notation
//! (`charset'language'percent-encoded`, under the name with `*`), which is what mail clients decode.

use std::borrow::Cow;

use super::address::{Text, UNBALANCED, comment, quoted_string};
use crate::limits;

/// A parameter: its name as written, and its value without quoting.
pub type Parameter<'a> = (Text<'a>, Text<'a>);

/// The value before the first semicolon, and the parameters after it, within [`limits::MIME_PARAMETERS`].
/// Tolerates unquoted values with white space, missing values, comments, and stray semicolons.
pub fn parse(value: &[u8]) -> (Text<'_>, Vec<Parameter<'_>>) {
    let mut unbalanced = 0;
    let (first, mut rest) = piece(value, &mut unbalanced);
    let first = match first {
        Piece::Plain(text) => text,
        Piece::Quoted(text) => Cow::Owned(text),
    };
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(b";") {
        let (name, after) = name(after, &mut unbalanced);
        rest = after;
        if let Some(after) = rest.strip_prefix(b"=") {
            let (value, after) = piece(after, &mut unbalanced);
            rest = after;
            let value = match value {
                Piece::Plain(text) => text,
                Piece::Quoted(text) => Cow::Owned(text),
            };
            if !name.is_empty() && parameters.len() < limits::MIME_PARAMETERS {
                parameters.push((name, value));
            }
        }
    }
    if parameters.iter().any(|(name, _)| name.contains(&b'*')) {
        parameters = joined(parameters);
    }
    (first, parameters)
}

/// The value of the first parameter of that name, without regard to case.
pub fn find<'p>(parameters: &'p [Parameter<'_>], name: &str) -> Option<&'p [u8]> {
    let named = |entry: &&Parameter<'_>| entry.0.eq_ignore_ascii_case(name.as_bytes());
    parameters.iter().find(named).map(|(_, value)| value.as_ref())
}

enum Piece<'a> {
    Plain(Text<'a>),
    Quoted(Vec<u8>),
}

/// A value up to the next semicolon; what follows a quoted string up to there is passed over.
fn piece<'v>(octets: &'v [u8], unbalanced: &mut usize) -> (Piece<'v>, &'v [u8]) {
    let octets = after_space(octets, unbalanced);
    if octets.first() == Some(&b'"')
        && let Some((text, rest)) = quoted_string(octets)
    {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        return (Piece::Quoted(text), &rest[end..]);
    }
    let end = memchr::memchr(b';', octets).unwrap_or(octets.len());
    let plain = &octets[..end];
    let plain = match memchr::memchr(b'(', plain) {
        Some(open) if comment(&plain[open..]).is_some() => &plain[..open],
        _ => plain,
    };
    let plain = plain.trim_ascii();
    let plain = plain.strip_prefix(b"\"").unwrap_or(plain);
    (Piece::Plain(super::header::unfold(plain)), &octets[end..])
}

fn name<'v>(octets: &'v [u8], unbalanced: &mut usize) -> (Text<'v>, &'v [u8]) {
    let octets = after_space(octets, unbalanced);
    let end = octets.iter().position(|octet| matches!(octet, b'=' | b';')).unwrap_or(octets.len());
    (super::header::unfold(&octets[..end]), &octets[end..])
}

/// Past white space and comments; counts the comments that are not closed.
fn after_space<'v>(mut octets: &'v [u8], unbalanced: &mut usize) -> &'v [u8] {
    loop {
        octets = octets.trim_ascii_start();
        if octets.first() != Some(&b'(') || *unbalanced >= UNBALANCED {
            return octets;
        }
        match comment(octets) {
            Some((_, rest)) => octets = rest,
            None => {
                *unbalanced += 1;
                return octets;
            }
        }
    }
}

/// `base*index` or `base*index*` (RFC 2231 §3 and §4.1).
fn continuation(name: &[u8]) -> Option<(&[u8], usize, bool)> {
    let (name, extended) = match name.strip_suffix(b"*") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let star = memchr::memrchr(b'*', name)?;
    let index = std::str::from_utf8(&name[star + 1..]).ok()?.parse().ok()?;
    Some((&name[..star], index, extended))
}

fn joined<'a>(parameters: Vec<Parameter<'a>>) -> Vec<Parameter<'a>> {
    let mut result: Vec<Parameter<'a>> = Vec::with_capacity(parameters.len());
    let mut done: Vec<&[u8]> = Vec::new();
    for (name, value) in &parameters {
        match continuation(name) {
            None => result.push((name.clone(), value.clone())),
            Some((base, ..)) if done.iter().any(|known| known.eq_ignore_ascii_case(base)) => {}
            Some((base, ..)) => {
                done.push(base);
                result.extend(join(base, &parameters));
            }
        }
    }
    result
}

/// The segments of `base` in the order of their numbers, up to the first gap.
fn join(base: &[u8], parameters: &[Parameter<'_>]) -> Option<Parameter<'static>> {
    let mut segments: Vec<(usize, bool, &[u8])> = parameters
        .iter()
        .filter_map(|(name, value)| continuation(name).map(|found| (found, value)))
        .filter(|((name, ..), _)| name.eq_ignore_ascii_case(base))
        .map(|((_, index, extended), value)| (index, extended, value.as_ref()))
        .collect();
    segments.sort_by_key(|segment| segment.0);
    segments.dedup_by_key(|segment| segment.0);
    let whole = segments.iter().enumerate().take_while(|(at, segment)| *at == segment.0).count();
    let segments = &segments[..whole];
    let extended = segments.first()?.1;
    let mut value = Vec::new();
    for (_, encoded, text) in segments {
        if extended && !encoded {
            text.iter().for_each(|octet| percent_encode(*octet, &mut value));
        } else {
            value.extend_from_slice(text);
        }
    }
    let mut name = base.to_vec();
    if extended {
        name.push(b'*');
    }
    Some((Cow::Owned(name), Cow::Owned(value)))
}

fn percent_encode(octet: u8, out: &mut Vec<u8>) {
    // attribute-char of RFC 2231 §7.
    if octet.is_ascii_graphic() && !b"*'%()<>@,;:\\\"/[]?=".contains(&octet) {
        out.push(octet);
    } else {
        out.extend_from_slice(format!("%{octet:02X}").as_bytes());
    }
}

/// The decoded form of an extended value (`charset'language'percent-encoded`, RFC 2231 §4) as text.
pub fn decode_extended(value: &[u8]) -> String {
    let mut parts = value.splitn(3, |octet| *octet == b'\'');
    let (charset, text) = match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(text)) => (charset, text),
        _ => (&b""[..], value),
    };
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = |octet: u8| char::from(octet).to_digit(16);
        match (first, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let digit = |octet| hex(octet).unwrap_or_default() as u8;
                octets.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    super::charset::decode(charset, &octets).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(value: &str) -> String {
        let (first, parameters) = parse(value.as_bytes());
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        parameters
            .iter()
            .fold(text(&first), |line, (name, value)| format!("{line}|{}={}", text(name), text(value)))
    }

    /// If each of these looked for its end through all that follows, this would take minutes.
    #[test]
    fn comments_without_end_are_not_sought_again_and_again() {
        for hostile in [";a=(", ";(", "; (x) ("] {
            let value = ["text/plain", &hostile.repeat(200_000)].concat();
            assert_eq!(parse(value.as_bytes()).0.as_ref(), b"text/plain");
        }
    }

    #[test]
    fn values_with_parameters() {
        assert_eq!(shown("text/plain; charset=us-ascii (Plain text)"), "text/plain|charset=us-ascii");
        assert_eq!(
            shown("a/b;\r\n\tBoundary=\"x \\\" y;z\" ; format = flowed"),
            "a/b|Boundary=x \" y;z|format=flowed"
        );
        assert_eq!(shown("a/b; name=my file.pdf; ; x; =y"), "a/b|name=my file.pdf");
        assert_eq!(shown("a/b; name=\"open; z=1"), "a/b|name=open|z=1");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn parameters_are_kept_up_to_a_bound() {
        let many: String = (0..=limits::MIME_PARAMETERS).map(|number| format!("; p{number}=x")).collect();
        let value = format!("text/plain{many}");
        let (first, parameters) = parse(value.as_bytes());
        assert_eq!((first.as_ref(), parameters.len()), (&b"text/plain"[..], limits::MIME_PARAMETERS));
    }

    #[test]
    fn continuations_of_rfc_2231() {
        assert_eq!(
            shown("message/external-body; access-type=URL; URL*1=\"cs.utk.edu/pub/x\"; URL*0=\"ftp://\""),
            "message/external-body|access-type=URL|URL=ftp://cs.utk.edu/pub/x"
        );
        assert_eq!(
            shown("a/b; title*0*=us-ascii'en'This%20is%20; title*1*=%2A%2A%2Afun; title*2=\"isn't it!\""),
            "a/b|title*=us-ascii'en'This%20is%20%2A%2A%2Afunisn%27t%20it!"
        );
        assert_eq!(shown("a/b; name*=utf-8''%e2%82%ac; x*7=gap"), "a/b|name*=utf-8''%e2%82%ac");
        assert_eq!(decode_extended(b"utf-8''%e2%82%ac%20rates"), "€ rates");
        assert_eq!(decode_extended(b"plain %zz"), "plain %zz");
    }

    proptest! {
        #[test]
        fn any_octets_give_clean_parameters(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (first, parameters) = parse(&value);
            let texts = parameters.iter().flat_map(|(name, value)| [name, value]).chain([&first]);
            for text in texts {
                prop_assert!(!text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
            }
        }
    }
}
