//! Header sections: where they end, their fields, and subsets of them (RFC 5322 §2.2, RFC 9051 §6.4.5.1).
//!
//! Only an empty line ends a header section (RFC 7103 §7.2, first behaviour): a line that is no field is
//! passed over and stays where it is. Lines end in LF, with or without CR. Nothing is decoded here.

use std::borrow::Cow;

use crate::limits;

/// One header field of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon or white space before it.
    pub name: &'a [u8],
    /// What follows the colon, still folded, without the last line ending.
    pub value: &'a [u8],
    /// The whole field with its last line ending.
    pub raw: &'a [u8],
    /// Where `raw` begins in the section, in octets.
    pub offset: usize,
}

impl<'a> Field<'a> {
    /// Whether the field has this name, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line and trimmed; free of CR, LF and NUL. Encoded words stay as they are.
    pub fn text(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// The length of the header section that `octets` begins with, with its empty line; all of `octets` where
/// no empty line ends it.
pub fn length(octets: &[u8]) -> usize {
    let mut line = 0;
    loop {
        match &octets[line..] {
            [b'\n', ..] => return line + 1,
            [b'\r', b'\n', ..] => return line + 2,
            rest => match memchr::memchr(b'\n', rest) {
                Some(end) => line += end + 1,
                None => return octets.len(),
            },
        }
    }
}

/// The fields of a header section, in order, within [`limits::HEADER_OCTETS`] and [`limits::HEADER_FIELDS`].
pub fn fields(section: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields { section: &section[..section.len().min(limits::HEADER_OCTETS)], offset: 0 }
        .take(limits::HEADER_FIELDS)
}

struct Fields<'a> {
    section: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.offset < self.section.len() {
            let (start, rest) = (self.offset, &self.section[self.offset..]);
            if matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) {
                return None;
            }
            let raw = &rest[..field_length(rest)];
            self.offset += raw.len();
            if let Some(field) = split(raw, start) {
                return Some(field);
            }
        }
        None
    }
}

/// Up to the first line ending that no white space follows.
fn field_length(octets: &[u8]) -> usize {
    let mut from = 0;
    while let Some(end) = memchr::memchr(b'\n', &octets[from..]) {
        from += end + 1;
        if !matches!(octets.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    octets.len()
}

fn split(raw: &[u8], offset: usize) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', raw)?;
    let name = raw[..colon].trim_ascii_end();
    // RFC 5322 §2.2: printable US-ASCII; RFC 7103 §7.4: white space before the colon is passed over.
    if name.is_empty() || !name.iter().all(|octet| (33..=126).contains(octet)) {
        return None;
    }
    let value = &raw[colon + 1..];
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    Some(Field { name, value, raw, offset })
}

/// Removes the folding of a field's value (RFC 5322 §2.2.3), and with it every CR, LF and NUL, which no
/// protocol's quoted string can carry; trims white space at both ends.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    let unwanted = |octet: &u8| matches!(octet, b'\r' | b'\n' | 0);
    if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|octet| !unwanted(octet)).collect())
}

/// The fields whose name is (`exclude`: is not) among `names`, each as it stands, then the empty line if the
/// section has one: `HEADER.FIELDS` and `HEADER.FIELDS.NOT` of RFC 9051 §6.4.5.1.
pub fn filter<N: AsRef<[u8]>>(section: &[u8], names: &[N], exclude: bool) -> Vec<u8> {
    let mut subset = Vec::new();
    for field in fields(section) {
        let named = names.iter().any(|name| name.as_ref().eq_ignore_ascii_case(field.name));
        if named != exclude {
            subset.extend_from_slice(field.raw);
        }
    }
    subset.extend_from_slice(empty_line(section));
    subset
}

/// The empty line at the end of a section, or nothing.
fn empty_line(section: &[u8]) -> &[u8] {
    for line in [&b"\r\n"[..], b"\n"] {
        if let Some(rest) = section.strip_suffix(line)
            && (rest.is_empty() || rest.ends_with(b"\n"))
        {
            return line;
        }
    }
    b""
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &[u8] = b"From: a@x\r\nSubject: one\r\n two\r\nnot a field\r\nX-A :\r\n\r\n";

    #[test]
    fn a_section_ends_at_the_first_empty_line() {
        let message = [SECTION, b"body\r\n\r\nmore"].concat();
        assert_eq!(length(&message), SECTION.len());
        assert_eq!(length(b"A: b\nB: c\n\nbody"), 11);
        assert_eq!(length(b"\r\nbody"), 2);
        assert_eq!(length(b"A: b"), 4);
        assert_eq!(length(b""), 0);
    }

    #[test]
    fn fields_are_looked_for_within_bounds() {
        let many = b"A: b\r\n".repeat(limits::HEADER_FIELDS + 1);
        assert_eq!(fields(&many).count(), limits::HEADER_FIELDS);
        let long = [b"A: ".as_slice(), &vec![b'x'; limits::HEADER_OCTETS], b"\r\nB: behind\r\n\r\n"].concat();
        assert_eq!(fields(&long).count(), 1, "what lies behind is not looked for");
        assert_eq!(length(&long), long.len(), "and yet the section ends where it ends");
    }

    #[test]
    fn fields_are_told_apart_and_unfolded() {
        let found: Vec<_> = fields(SECTION).map(|field| (field.name, field.text().into_owned())).collect();
        let expected: [(&[u8], Vec<u8>); 3] =
            [(b"From", b"a@x".to_vec()), (b"Subject", b"one two".to_vec()), (b"X-A", vec![])];
        assert_eq!(found, expected);
        for field in fields(SECTION) {
            assert_eq!(&SECTION[field.offset..field.offset + field.raw.len()], field.raw);
        }
    }

    #[test]
    fn subsets_keep_octets_and_the_empty_line() {
        assert_eq!(filter(SECTION, &["subject"], false), b"Subject: one\r\n two\r\n\r\n");
        assert_eq!(filter(SECTION, &["SUBJECT"], true), b"From: a@x\r\nX-A :\r\n\r\n");
        assert_eq!(filter(b"A: b\r\n", &["c"], false), b"");
        assert_eq!(filter(b"A: b\n\n", &["c"], false), b"\n");
    }
}
