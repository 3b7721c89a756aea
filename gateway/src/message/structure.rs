//! The MIME tree of a message with exact octet ranges: what BODYSTRUCTURE and section fetches are made of
//! (RFC 2045, RFC 2046, RFC 9051 §7.5.2). The tree is one flat list in document order, so that deep
//! nesting costs no stack.

use std::borrow::Cow;
use std::ops::Range;

use super::address::Text;
use super::envelope::Envelope;
use super::parameter::{self, Parameter};

/// The parts of a message. The first is the message itself; each is followed by its descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure<'a> {
    // Never empty; `descendants` of each part lies within the list.
    pub(super) parts: Vec<Part<'a>>,
}

/// One part. `media_type` and `media_subtype` always agree with `kind`: what could not be taken apart is
/// shown as a leaf of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// What it holds.
    pub kind: Kind<'a>,
    /// `text` of `text/plain`, as written.
    pub media_type: Text<'a>,
    /// `plain` of `text/plain`, as written.
    pub media_subtype: Text<'a>,
    /// Parameters of Content-Type.
    pub parameters: Vec<Parameter<'a>>,
    /// Content-ID, as written.
    pub id: Option<Text<'a>>,
    /// Content-Description, as written.
    pub description: Option<Text<'a>>,
    /// Content-Transfer-Encoding.
    pub encoding: Encoding<'a>,
    /// Content-MD5.
    pub md5: Option<Text<'a>>,
    /// Content-Disposition: its type and parameters.
    pub disposition: Option<(Text<'a>, Vec<Parameter<'a>>)>,
    /// Content-Language: its tags.
    pub language: Vec<Text<'a>>,
    /// Content-Location.
    pub location: Option<Text<'a>>,
    /// The part's own header with its empty line: offset in the message, in octets.
    pub header: Range<u64>,
    /// What follows the header, encoded as it is: offset in the message, in octets.
    pub body: Range<u64>,
    /// Line ends in `body`.
    pub lines: u64,
    /// How many parts after this one in the list are inside it.
    pub(super) descendants: u32,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `text/*`.
    Text,
    /// Anything without parts of its own.
    Leaf,
    /// `multipart/*`: one part or more.
    Multipart,
    /// `message/rfc822` or `message/global` whose only child is the attached message: the child's header is
    /// the attached message's header.
    Message(Box<Envelope<'a>>),
}

/// A Content-Transfer-Encoding (RFC 2045 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding<'a> {
    /// `7bit`, also where nothing is said.
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// Another one, as written.
    Other(Text<'a>),
}

impl<'a> Encoding<'a> {
    /// From the field's value; an empty one is the default.
    pub fn from_value(value: Text<'a>) -> Self {
        let token =
            value.split(|octet| matches!(octet, b' ' | b'\t' | b';' | b'(')).next().unwrap_or_default();
        let known = [
            ("7bit", Self::SevenBit),
            ("", Self::SevenBit),
            ("8bit", Self::EightBit),
            ("binary", Self::Binary),
            ("base64", Self::Base64),
            ("quoted-printable", Self::QuotedPrintable),
        ];
        let found = known.into_iter().find(|(name, _)| token.eq_ignore_ascii_case(name.as_bytes()));
        found.map_or_else(|| Self::Other(value.clone()), |(_, encoding)| encoding)
    }

    /// The name as BODYSTRUCTURE gives it, upper case where it is a known one.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::SevenBit => b"7BIT",
            Self::EightBit => b"8BIT",
            Self::Binary => b"BINARY",
            Self::Base64 => b"BASE64",
            Self::QuotedPrintable => b"QUOTED-PRINTABLE",
            Self::Other(name) => name,
        }
    }

    /// Whether the octets stand for themselves.
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }
}

impl<'a> Structure<'a> {
    /// The message itself.
    pub fn root(&self) -> &Part<'a> {
        &self.parts[0]
    }

    /// All parts in document order, the message itself first.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The position in [`Self::parts`] of each child of the part at `index`, in order.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.parts.get(index).map_or(index, |part| index + part.descendants as usize);
        let mut next = index + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child <= end).then(|| {
                next = child + 1 + self.parts[child].descendants as usize;
                child
            })
        })
    }
}

impl Part<'_> {
    /// Whether the media type is this one, without regard to case.
    pub fn is_type(&self, media_type: &str, media_subtype: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
            && self.media_subtype.eq_ignore_ascii_case(media_subtype.as_bytes())
    }

    /// A parameter of Content-Type, by name without regard to case.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        parameter::find(&self.parameters, name)
    }

    /// Whether Content-Disposition says `attachment`.
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment"))
    }

    /// The body's length as it stands, in octets.
    pub fn octets(&self) -> u64 {
        self.body.end - self.body.start
    }
}

/// An empty text of no owner.
pub(super) const NOTHING: Text<'static> = Cow::Borrowed(b"");
