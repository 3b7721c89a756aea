//! From octets to [`Structure`], in one pass without recursion. Never fails: what breaks MIME's rules is shown
//! as something simpler (RFC 7103 §8), and every range lies within the message, children within their parent.
//!
//! - A delimiter of an outer multipart ends the inner parts that lack their own closing delimiter.
//! - A multipart without a usable boundary, or in which no delimiter occurs, is a `text/plain` part.
//! - An attached message in base64 or quoted-printable, and what lies deeper than
//!   [`limits::MIME_DEPTH`], is `application/octet-stream`.
//! - After [`limits::MIME_PARTS`] parts no more are told apart.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::address::Text;
use super::envelope::Envelope;
use super::header;
use super::parameter;
use super::structure::{Encoding, Kind, NOTHING, Part, Structure};
use crate::limits;

/// The structure of a message, and the ENVELOPE of its header.
pub(super) fn parse(message: &[u8]) -> (Structure<'_>, Envelope<'_>) {
    let mut parser = Parser {
        message,
        parts: Vec::with_capacity(8),
        open: Vec::with_capacity(8),
        delimiters: memmem::Finder::new(b"\n--"),
        counted: (0, 0),
    };
    let mut envelope = Envelope::default();
    let mut position = parser.begin(0, Fallback::Text, Some(&mut envelope));
    while let Some(delimiter) = parser.next_delimiter(position) {
        parser.close_down_to(delimiter.level + 1, without_line_end(message, delimiter.line.start));
        position = delimiter.line.end;
        let parent = &mut parser.open[delimiter.level];
        if delimiter.closes {
            parent.boundary = NOTHING;
        } else if parser.parts.len() < limits::MIME_PARTS {
            let digest = parser.parts[parent.index].media_subtype.eq_ignore_ascii_case(b"digest");
            position = parser.begin(position, if digest { Fallback::Message } else { Fallback::Text }, None);
        } else {
            break;
        }
    }
    parser.close_down_to(0, message.len());
    (Structure { parts: parser.parts }, envelope)
}

/// What a part without a usable Content-Type is (RFC 2045 §5.2, RFC 2046 §5.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
    Text,
    Message,
}

/// A part whose end is not yet known.
struct Open<'a> {
    index: usize,
    /// Empty where the part has no delimiters, or no longer.
    boundary: Text<'a>,
    lines_before: u64,
}

struct Delimiter {
    line: Range<usize>,
    /// The position in `open` of the multipart that it belongs to.
    level: usize,
    closes: bool,
}

struct Parser<'a> {
    message: &'a [u8],
    parts: Vec<Part<'a>>,
    open: Vec<Open<'a>>,
    delimiters: memmem::Finder<'static>,
    /// Line ends in the message up to a position; the positions asked for only ascend.
    counted: (usize, u64),
}

impl<'a> Parser<'a> {
    /// Opens the part that begins at `position`, and within an attached message that message; returns where
    /// the innermost body begins.
    fn begin(&mut self, position: usize, default: Fallback, envelope: Option<&mut Envelope<'a>>) -> usize {
        let mut position = self.open_part(position, default, envelope);
        while let Some(index) = self.parts.len().checked_sub(1) {
            if !matches!(self.parts[index].kind, Kind::Message(_)) {
                break;
            }
            let mut envelope = Envelope::default();
            position = self.open_part(position, Fallback::Text, Some(&mut envelope));
            self.parts[index].kind = Kind::Message(Box::new(envelope));
        }
        position
    }

    fn open_part(&mut self, start: usize, default: Fallback, envelope: Option<&mut Envelope<'a>>) -> usize {
        let end = self.header_end(start);
        let section = &self.message[start..end];
        let may_nest = self.open.len() + 1 < limits::MIME_DEPTH && self.parts.len() + 1 < limits::MIME_PARTS;
        let (part, boundary) = read_part(section, start, default, may_nest, envelope);
        let index = self.parts.len();
        self.parts.push(part);
        let lines_before = self.lines_before(end);
        self.open.push(Open { index, boundary, lines_before });
        end
    }

    /// After the empty line of the header that begins at `start`, or where a delimiter cuts it off.
    fn header_end(&self, start: usize) -> usize {
        let mut line = start;
        loop {
            let rest = &self.message[line..];
            match rest {
                [b'\n', ..] => return line + 1,
                [b'\r', b'\n', ..] => return line + 2,
                [b'-', b'-', ..] if self.delimiter_at(line).is_some() => return line,
                _ => match memchr::memchr(b'\n', rest) {
                    Some(end) => line += end + 1,
                    None => return self.message.len(),
                },
            }
        }
    }

    /// The first delimiter at or after `position`, which is the start of a line.
    fn next_delimiter(&self, position: usize) -> Option<Delimiter> {
        if self.open.iter().all(|open| open.boundary.is_empty()) {
            return None;
        }
        if let Some(delimiter) = self.delimiter_at(position) {
            return Some(delimiter);
        }
        let rest = &self.message[position..];
        self.delimiters.find_iter(rest).find_map(|found| self.delimiter_at(position + found + 1))
    }

    /// The delimiter in the line that begins at `start`: an exact one before one that only begins so
    /// (RFC 2046 §5.1.1 allows both), the innermost or longest first.
    fn delimiter_at(&self, start: usize) -> Option<Delimiter> {
        let rest = self.message[start..].strip_prefix(b"--")?;
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (text, line) = (rest[..end].trim_ascii_end(), start..start + 2 + end);
        let mut best: Option<(usize, Delimiter)> = None;
        for (level, open) in self.open.iter().enumerate().rev() {
            let boundary = open.boundary.as_ref();
            if boundary.is_empty() || !text.starts_with(boundary) {
                continue;
            }
            let after = &text[boundary.len()..];
            let delimiter = Delimiter { line: line.clone(), level, closes: after.starts_with(b"--") };
            if after.is_empty() || after == b"--" {
                return Some(delimiter);
            }
            if best.as_ref().is_none_or(|(length, _)| boundary.len() > *length) {
                best = Some((boundary.len(), delimiter));
            }
        }
        best.map(|(_, delimiter)| delimiter)
    }

    /// Ends every open part from `level` upward at `end`, or where it began if that is later.
    fn close_down_to(&mut self, level: usize, mut end: usize) {
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            end = end.max(self.parts[open.index].body.start as usize);
            let lines = self.lines_before(end) - open.lines_before;
            let last = self.parts.len() - 1;
            let part = &mut self.parts[open.index];
            part.body.end = end as u64;
            part.lines = lines;
            part.descendants = (last - open.index) as u32;
            if part.kind == Kind::Multipart && part.descendants == 0 {
                become_text(part);
            }
        }
    }

    fn lines_before(&mut self, position: usize) -> u64 {
        let (from, lines) = self.counted;
        let more = memchr::memchr_iter(b'\n', &self.message[from..position.max(from)]).count() as u64;
        self.counted = (position.max(from), lines + more);
        self.counted.1
    }
}

fn without_line_end(message: &[u8], end: usize) -> usize {
    match &message[..end] {
        [.., b'\r', b'\n'] => end - 2,
        [.., b'\n'] => end - 1,
        _ => end,
    }
}

/// Reads a part's own fields; also gives the boundary of a multipart, otherwise nothing.
fn read_part<'a>(
    section: &'a [u8],
    start: usize,
    default: Fallback,
    may_nest: bool,
    mut envelope: Option<&mut Envelope<'a>>,
) -> (Part<'a>, Text<'a>) {
    let end = (start + section.len()) as u64;
    let mut part = empty_part(start as u64..end);
    let mut content_type = None;
    for field in header::fields(section) {
        if let Some(envelope) = envelope.as_deref_mut() {
            envelope.take(&field);
        }
        if field.name.len() >= 10 && field.name[..8].eq_ignore_ascii_case(b"content-") {
            take_content_field(&mut part, &mut content_type, &field);
        }
    }
    let boundary = apply_content_type(&mut part, content_type, default, may_nest);
    (part, boundary)
}

fn empty_part<'a>(header: Range<u64>) -> Part<'a> {
    Part {
        kind: Kind::Leaf,
        media_type: NOTHING,
        media_subtype: NOTHING,
        parameters: Vec::new(),
        id: None,
        description: None,
        encoding: Encoding::SevenBit,
        md5: None,
        disposition: None,
        language: Vec::new(),
        location: None,
        body: header.end..header.end,
        header,
        lines: 0,
        descendants: 0,
    }
}

/// Of repeated fields the first counts.
fn take_content_field<'a>(
    part: &mut Part<'a>,
    content_type: &mut Option<&'a [u8]>,
    field: &header::Field<'a>,
) {
    let once = |slot: &mut Option<Text<'a>>| {
        if slot.is_none() {
            *slot = Some(field.text());
        }
    };
    match field.name.len() {
        10 if field.is("Content-ID") => once(&mut part.id),
        11 if field.is("Content-MD5") => once(&mut part.md5),
        12 if field.is("Content-Type") => *content_type = content_type.or(Some(field.value)),
        16 if field.is("Content-Language") && part.language.is_empty() => {
            part.language = languages(field.value)
        }
        16 if field.is("Content-Location") => once(&mut part.location),
        19 if field.is("Content-Description") => once(&mut part.description),
        19 if field.is("Content-Disposition") && part.disposition.is_none() => {
            part.disposition = Some(parameter::parse(field.value)).filter(|(kind, _)| !kind.is_empty());
        }
        25 if field.is("Content-Transfer-Encoding") && part.encoding == Encoding::SevenBit => {
            part.encoding = Encoding::from_value(field.text());
        }
        _ => {}
    }
}

/// RFC 3282: tags separated by commas.
fn languages(value: &[u8]) -> Vec<Text<'_>> {
    let tags = value.split(|octet| *octet == b',').map(header::unfold);
    tags.filter(|tag| !tag.is_empty()).take(limits::MIME_PARAMETERS).collect()
}

fn apply_content_type<'a>(
    part: &mut Part<'a>,
    value: Option<&'a [u8]>,
    default: Fallback,
    may_nest: bool,
) -> Text<'a> {
    let named = value.map(|value| {
        let (name, parameters) = parameter::parse(value);
        (media_type(name), parameters)
    });
    let (media, parameters) = match named {
        Some((Some(media), parameters)) => (media, parameters),
        Some((None, parameters)) => (text_plain(), parameters),
        None if default == Fallback::Message => {
            ((Cow::Borrowed(&b"message"[..]), Cow::Borrowed(&b"rfc822"[..])), vec![])
        }
        None => (text_plain(), vec![]),
    };
    (part.media_type, part.media_subtype) = media;
    part.parameters = parameters;
    let is_message = part.is_type("message", "rfc822") || part.is_type("message", "global");
    if part.media_type.eq_ignore_ascii_case(b"multipart") {
        let boundary =
            part.parameter("boundary").map(|text| text.trim_ascii_end().to_vec()).unwrap_or_default();
        if may_nest && !boundary.is_empty() {
            part.kind = Kind::Multipart;
            return Cow::Owned(boundary);
        }
        if may_nest { become_text(part) } else { become_opaque(part) }
    } else if is_message {
        if may_nest && part.encoding.is_identity() {
            part.kind = Kind::Message(Box::default());
        } else {
            become_opaque(part);
        }
    } else if part.media_type.eq_ignore_ascii_case(b"text") {
        become_text_of(part);
    }
    NOTHING
}

fn text_plain<'a>() -> (Text<'a>, Text<'a>) {
    (Cow::Borrowed(b"text"), Cow::Borrowed(b"plain"))
}

/// `type/subtype`, if it is that.
fn media_type(name: Text<'_>) -> Option<(Text<'_>, Text<'_>)> {
    let slash = memchr::memchr(b'/', &name)?;
    let token =
        |text: &[u8]| !text.is_empty() && text.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'/');
    let halves = (name[..slash].trim_ascii(), name[slash + 1..].trim_ascii());
    if !token(halves.0) || !token(halves.1) {
        return None;
    }
    Some(match name {
        Cow::Borrowed(name) => {
            (Cow::Borrowed(name[..slash].trim_ascii()), Cow::Borrowed(name[slash + 1..].trim_ascii()))
        }
        Cow::Owned(_) => (Cow::Owned(halves.0.to_vec()), Cow::Owned(halves.1.to_vec())),
    })
}

fn become_text(part: &mut Part<'_>) {
    (part.media_type, part.media_subtype) = text_plain();
    become_text_of(part);
}

/// `text/*`, with the default charset where nothing at all is said (RFC 2045 §5.2).
fn become_text_of(part: &mut Part<'_>) {
    part.kind = Kind::Text;
    if part.parameters.is_empty() {
        part.parameters.push((Cow::Borrowed(b"charset"), Cow::Borrowed(b"us-ascii")));
    }
}

fn become_opaque(part: &mut Part<'_>) {
    part.kind = Kind::Leaf;
    part.media_type = Cow::Borrowed(b"application");
    part.media_subtype = Cow::Borrowed(b"octet-stream");
}

#[cfg(test)]
mod tests;
