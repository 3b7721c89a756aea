//! Which octets a section specification names (RFC 9051 §6.4.5.1).

use std::ops::Range;

use super::structure::{Kind, Part, Structure};

/// A section specification. Part numbers count from 1. `HEADER.FIELDS` is a [`Section::Header`] or
/// [`Section::PartHeader`] passed through [`super::header::filter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// The whole message: `[]`.
    All,
    /// The message's header with its empty line: `[HEADER]`.
    Header,
    /// What follows the header: `[TEXT]`.
    Text,
    /// The body of a part: `[1.2]`.
    Part(Vec<u32>),
    /// The header of an attached message: `[3.HEADER]`.
    PartHeader(Vec<u32>),
    /// What follows the header of an attached message: `[3.TEXT]`.
    PartText(Vec<u32>),
    /// The part's own header: `[3.MIME]`.
    PartMime(Vec<u32>),
}

impl Section {
    /// Where the section is in the message as a client sees it, whose first `prefix_octets` octets are header
    /// lines in front of the parsed message. `None` where the message has no such section.
    pub fn range(&self, structure: &Structure<'_>, prefix_octets: u64) -> Option<Range<u64>> {
        let root = structure.root();
        let shifted = |range: &Range<u64>| range.start + prefix_octets..range.end + prefix_octets;
        match self {
            Self::All => Some(0..root.body.end + prefix_octets),
            Self::Header => Some(0..root.header.end + prefix_octets),
            Self::Text => Some(shifted(&root.body)),
            Self::Part(path) => structure.part(path).map(|part| shifted(&part.body)),
            Self::PartMime(path) if structure.index(path)? == 0 => Some(0..root.header.end + prefix_octets),
            Self::PartMime(path) => structure.part(path).map(|part| shifted(&part.header)),
            Self::PartHeader(path) => structure.attached(path).map(|part| shifted(&part.header)),
            Self::PartText(path) => structure.attached(path).map(|part| shifted(&part.body)),
        }
    }
}

impl<'a> Structure<'a> {
    /// The part with that number, as in `[1.2]`.
    pub fn part(&self, path: &[u32]) -> Option<&Part<'a>> {
        self.parts().get(self.index(path)?)
    }

    /// The message inside the part with that number.
    fn attached(&self, path: &[u32]) -> Option<&Part<'a>> {
        let index = self.index(path)?;
        matches!(self.parts()[index].kind, Kind::Message(_)).then(|| &self.parts()[index + 1])
    }

    fn index(&self, path: &[u32]) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.inside_message(0, *first)?, |at, number| match self.parts()[at].kind {
            Kind::Multipart => self.nth_child(at, *number),
            Kind::Message(_) => self.inside_message(at + 1, *number),
            Kind::Text | Kind::Leaf => None,
        })
    }

    /// A message that is no multipart has one part, numbered 1: its own body.
    fn inside_message(&self, message: usize, number: u32) -> Option<usize> {
        match self.parts()[message].kind {
            Kind::Multipart => self.nth_child(message, number),
            _ => (number == 1).then_some(message),
        }
    }

    fn nth_child(&self, parent: usize, number: u32) -> Option<usize> {
        self.children(parent).nth(number.checked_sub(1)? as usize)
    }
}
