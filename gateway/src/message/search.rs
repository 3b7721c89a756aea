//! SEARCH in header fields and text (RFC 9051 §6.4.4): substrings without regard to case, over text whose
//! encoded words, transfer encodings and charsets are undone. A part is searched piece by piece.

use std::ops::Range;

use memchr::memmem;

use super::address::{Address, Text};
use super::decode::Decoder;
use super::structure::{Kind, Part, Structure};
use super::{charset, encoded_word, header};

/// What is looked for. An ASCII needle is compared by ASCII case alone, any other by Unicode lower case.
#[derive(Debug, Clone)]
pub struct Needle {
    folded: String,
    finder: memmem::Finder<'static>,
    /// Where in `folded` the octet stands that is rarest in text: it is looked for first.
    rarest: usize,
}

/// The commonest octets of text, commonest first.
const COMMON: &[u8] = b" etaoinsrhldcumfpgwyb.,\n\r-v01k2345678x9\"'=/:jqz";

impl Needle {
    /// From the text of the search key, already decoded from the command's charset.
    pub fn new(text: &str) -> Self {
        let folded = text.to_lowercase();
        let finder = memmem::Finder::new(folded.as_bytes()).into_owned();
        let rarity = |octet: u8| COMMON.iter().position(|common| *common == octet).unwrap_or(COMMON.len());
        let rarest = folded.bytes().enumerate().max_by_key(|(_, octet)| rarity(*octet));
        Self { rarest: rarest.map_or(0, |(at, _)| at), folded, finder }
    }

    /// Whether the text contains it. An empty needle is in every text.
    pub fn is_in(&self, text: &str) -> bool {
        if self.folded.is_ascii() {
            return self.is_in_octets(text.as_bytes());
        }
        self.finder.find(text.to_lowercase().as_bytes()).is_some()
    }

    /// The same for octets of which ASCII letters count as such; for an ASCII needle.
    fn is_in_octets(&self, octets: &[u8]) -> bool {
        let needle = self.folded.as_bytes();
        let Some(rarest) = needle.get(self.rarest) else { return true };
        let Some(last_start) = octets.len().checked_sub(needle.len()) else { return false };
        let where_it_may_be = &octets[self.rarest..=self.rarest + last_start];
        memchr::memchr2_iter(*rarest, rarest.to_ascii_uppercase(), where_it_may_be)
            .any(|at| octets[at..at + needle.len()].eq_ignore_ascii_case(needle))
    }

    /// Whether an unfolded header value contains it, its encoded words decoded.
    pub fn is_in_value(&self, value: &[u8]) -> bool {
        if value.is_ascii() && memmem::find(value, b"=?").is_none() {
            return self.folded.is_ascii() && self.is_in_octets(value);
        }
        self.is_in(&encoded_word::decode(value))
    }

    /// Whether a field of ENVELOPE contains it; `false` where the field is absent.
    pub fn is_in_text(&self, text: Option<&Text<'_>>) -> bool {
        text.is_some_and(|value| self.is_in_value(value))
    }

    /// Whether one of the addresses of an ENVELOPE field contains it, in its name or as `mailbox@host`.
    pub fn is_in_addresses(&self, list: &[Address<'_>]) -> bool {
        let mut line = Vec::new();
        list.iter().any(|entry| {
            line.clear();
            line.extend_from_slice(entry.name.as_deref().unwrap_or_default());
            line.extend_from_slice(b" <");
            line.extend_from_slice(entry.mailbox.as_deref().unwrap_or_default());
            line.push(b'@');
            line.extend_from_slice(entry.host.as_deref().unwrap_or_default());
            line.push(b'>');
            self.is_in_value(&line)
        })
    }

    /// Whether the header section has a field of that name whose value contains it. An empty needle asks only
    /// for the field.
    pub fn is_in_field(&self, section: &[u8], name: &str) -> bool {
        header::fields(section).filter(|field| field.is(name)).any(|field| self.is_in_value(&field.text()))
    }

    /// Whether any field of the header section, name and value, contains it.
    pub fn is_in_header(&self, section: &[u8]) -> bool {
        if self.stands_as_it_is(section) && !self.is_in_octets(section) {
            return false;
        }
        let in_name = |name: &[u8]| self.folded.is_ascii() && self.is_in_octets(name);
        header::fields(section).any(|field| {
            in_name(field.name)
                || self.is_in_value(&field.text())
                // A needle that reaches over the colon, as in `Subject: x`.
                || self.folded.contains(':') && self.is_in_value(&header::unfold(field.raw))
        })
    }

    /// Whether no unfolding or decoding of the section's fields can bring the needle about: then it is in none of
    /// them unless it is in the section's octets.
    fn stands_as_it_is(&self, section: &[u8]) -> bool {
        let is_one_word = self.folded.is_ascii() && !self.folded.contains([' ', '\t']);
        let ends_line = |at: usize| section.get(at + 1) == Some(&b'\n');
        is_one_word
            && section.is_ascii()
            && memchr::memchr(0, section).is_none()
            && memchr::memchr_iter(b'\r', section).all(ends_line)
            && memmem::find(section, b"=?").is_none()
    }

    /// Whether the body contains it: the text parts, and the headers of attached messages. `message` is what
    /// `structure` was parsed from.
    pub fn is_in_body(&self, structure: &Structure<'_>, message: &[u8]) -> bool {
        regions(structure).into_iter().any(|region| {
            let (start, end) = (region.range.start as usize, region.range.end as usize);
            let Some(octets) = message.get(start..end) else { return false };
            match region.kind {
                RegionKind::Header => self.is_in_header(octets),
                RegionKind::Text => Scan::new(self, &structure.parts()[region.part])
                    .is_some_and(|mut scan| scan.push(octets) || scan.finish()),
            }
        })
    }
}

/// A stretch of the message that a search of the body looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The position of its part in [`Structure::parts`].
    pub part: usize,
    /// Where it is: offset in the message without prefix, in octets.
    pub range: Range<u64>,
    /// How it is to be searched.
    pub kind: RegionKind,
}

/// How a region is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// The header of an attached message: [`Needle::is_in_header`].
    Header,
    /// A text part's body: [`Scan`].
    Text,
}

/// What a search of the body looks at, in order; attachments that are no text are left out.
pub fn regions(structure: &Structure<'_>) -> Vec<Region> {
    let mut regions = Vec::new();
    for (index, part) in structure.parts().iter().enumerate() {
        let follows_message = index > 0 && matches!(structure.parts()[index - 1].kind, Kind::Message(_));
        if follows_message {
            regions.push(Region { part: index, range: part.header.clone(), kind: RegionKind::Header });
        }
        if part.kind == Kind::Text {
            regions.push(Region { part: index, range: part.body.clone(), kind: RegionKind::Text });
        }
    }
    regions
}

/// Searches the body of one text part as its octets come; memory stays within a few pieces.
pub struct Scan<'n> {
    needle: &'n Needle,
    decoder: Option<Decoder>,
    octets: Vec<u8>,
    reading: Reading,
    found: bool,
}

/// How the decoded octets are read.
enum Reading {
    /// Where ASCII octets are ASCII letters and nothing else, an ASCII needle is looked for among the octets. This is
    /// the end of what was searched: as much of a match as can stand there.
    Octets(Vec<u8>),
    /// As characters of this charset.
    Characters { charset: Vec<u8>, decoder: Option<encoding_rs::Decoder>, text: String },
}

impl<'n> Scan<'n> {
    /// `None` where the part is no text or its encoding is unknown.
    pub fn new(needle: &'n Needle, part: &Part<'_>) -> Option<Self> {
        if part.kind != Kind::Text {
            return None;
        }
        let charset = part.parameter("charset").unwrap_or_default();
        let reading = match needle.folded.is_ascii() && charset::keeps_ascii(charset) {
            true => Reading::Octets(Vec::new()),
            false => Reading::Characters { charset: charset.to_vec(), decoder: None, text: String::new() },
        };
        let decoder = Some(Decoder::new(&part.encoding)?);
        Some(Self { needle, decoder, octets: Vec::new(), reading, found: false })
    }

    /// Takes the next octets of the part's body; whether the needle has been found.
    pub fn push(&mut self, octets: &[u8]) -> bool {
        let Some(decoder) = self.decoder.as_mut().filter(|_| !self.found) else { return self.found };
        if decoder.is_identity() {
            self.found = self.reading.look(self.needle, octets, false);
        } else {
            self.octets.clear();
            decoder.push(octets, &mut self.octets);
            self.found = self.reading.look(self.needle, &self.octets, false);
        }
        self.found
    }

    /// Takes the end; whether the needle has been found.
    pub fn finish(mut self) -> bool {
        if let Some(decoder) = self.decoder.take().filter(|_| !self.found) {
            self.octets.clear();
            decoder.finish(&mut self.octets);
            self.found = self.reading.look(self.needle, &self.octets, true);
        }
        self.found
    }
}

impl Reading {
    /// Whether the needle is in what was given so far, its beginning maybe in an earlier piece.
    fn look(&mut self, needle: &Needle, octets: &[u8], last: bool) -> bool {
        match self {
            Self::Octets(tail) => {
                let kept = needle.folded.len().saturating_sub(1);
                tail.extend_from_slice(&octets[..octets.len().min(kept)]);
                let found = needle.is_in_octets(tail) || needle.is_in_octets(octets);
                let end = &octets[octets.len().saturating_sub(kept)..];
                if end.len() == kept {
                    tail.clear();
                    tail.extend_from_slice(end);
                } else {
                    tail.drain(..tail.len().saturating_sub(kept));
                }
                found
            }
            Self::Characters { charset, decoder, text } => {
                let decoder = decoder.get_or_insert_with(|| {
                    charset::encoding(charset, octets).new_decoder_without_bom_handling()
                });
                // What the decoder cannot say a length for does not fit into memory anyway.
                let Some(most) = decoder.max_utf8_buffer_length(octets.len()) else { return false };
                text.reserve(most);
                let _ = decoder.decode_to_string(octets, text, last);
                let found = needle.is_in(text);
                // As much as a match that goes on in the next piece can have here: lower case may be three times
                // shorter than what it stands for.
                let mut cut = text.len().saturating_sub(needle.folded.len() * 3 + 4);
                while !text.is_char_boundary(cut) {
                    cut -= 1;
                }
                text.drain(..cut);
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Summary;

    fn body_has(message: &[u8], needle: &str) -> bool {
        Needle::new(needle).is_in_body(&Summary::of(message).structure, message)
    }

    #[test]
    fn headers_are_decoded_and_compared_without_case() {
        let section = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus\r\n K\u{f6}ln\r\nX-A:\r\n\r\n".as_bytes();
        for needle in ["grüße", "GRÜSSE".to_lowercase().replace("ss", "ß").as_str(), "aus köln", "AUS", ""]
        {
            assert!(Needle::new(needle).is_in_field(section, "subject"), "{needle}");
        }
        assert!(Needle::new("").is_in_field(section, "x-a"));
        assert!(!Needle::new("").is_in_field(section, "x-b"));
        assert!(Needle::new("x-a").is_in_header(section));
        assert!(Needle::new("subject: grüße").is_in_header(section));
        let envelope = Summary::of(b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\r\n\r\n").envelope.from;
        assert!(Needle::new("JÜRGEN").is_in_addresses(&envelope));
        assert!(Needle::new("j@X.org").is_in_addresses(&envelope));
        assert!(!Needle::new("y.org").is_in_addresses(&envelope));
    }

    #[test]
    fn bodies_are_decoded() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=\r\n=DFe\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
            Subject: inner word\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\npixel\r\n--b--\r\n";
        assert!(body_has(message, "gr\u{fc}\u{df}e"));
        assert!(body_has(message, "INNER word"));
        assert!(!body_has(message, "pixel"));
        assert!(!body_has(message, "absent"));
        assert!(body_has(b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n", "LO WO"));
    }

    #[test]
    fn a_folded_or_encoded_header_is_searched_as_it_reads() {
        let section = b"Subject: one\r\n two thr\ree\r\nX-B: =?utf-8?q?f=6Fur?=\r\n\r\n";
        for needle in ["one two", "three", "four", "x-b"] {
            assert!(Needle::new(needle).is_in_header(section), "{needle}");
        }
        assert!(!Needle::new("onetwo").is_in_header(section));
        assert!(!Needle::new("five").is_in_header(b"Subject: one\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn octets_have_a_needle_as_the_text_has(text in "[aAbB.e ]{0,40}", needle in "[abe. ]{0,5}") {
            let found = Needle::new(&needle).is_in_octets(text.as_bytes());
            prop_assert_eq!(found, text.to_ascii_lowercase().contains(&needle));
        }

        #[test]
        fn octets_are_searched_as_their_characters_are(
            text in "[aAbBäÄß ]{0,40}", needle in "[ab ]{0,4}", charset in 0..4usize, cut in 1usize..7,
        ) {
            let charset = ["utf-8", "iso-8859-1", "utf-16le", "gbk"][charset];
            let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).expect("known");
            let octets = match charset {
                "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                _ => encoding.encode(&text).0.into_owned(),
            };
            let read = encoding.decode_without_bom_handling(&octets).0;
            let head = format!("Content-Type: text/plain; charset={charset}\r\n\r\n");
            let message = [head.as_bytes(), &octets].concat();
            let summary = Summary::of(&message);
            let needle = Needle::new(&needle);
            let mut scan = Scan::new(&needle, summary.structure.root()).expect("text");
            let mut found = false;
            for piece in octets.chunks(cut) {
                found = scan.push(piece);
            }
            prop_assert_eq!(found | scan.finish(), read.to_ascii_lowercase().contains(&needle.folded));
        }

        #[test]
        fn pieces_find_what_the_whole_has(text in "[aAbBäÄß ]{0,40}", needle in "[abä]{1,4}", cut in 1usize..7) {
            let message = [b"Content-Type: text/plain; charset=utf-8\r\n\r\n", text.as_bytes()].concat();
            let summary = Summary::of(&message);
            let needle = Needle::new(&needle);
            let mut scan = Scan::new(&needle, summary.structure.root()).expect("text");
            let mut found = false;
            for piece in text.as_bytes().chunks(cut) {
                found = scan.push(piece);
            }
            found |= scan.finish();
            prop_assert_eq!(found, text.to_lowercase().contains(&needle.folded));
        }
    }
}
