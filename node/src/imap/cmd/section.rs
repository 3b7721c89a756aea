//! Octets of a message for FETCH: sections and partials, streamed from the body store to the client
//! (RFC 9051 §6.4.5). A message of 50 MB passes through in pieces.

use std::ops::Range;
use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sterna_gateway::message::{Section as Place, Structure, header};
use sterna_storage::mailstore::MessageReader;
use sterna_storage::{Error, Result};

use super::call::Call;
use crate::imap::codec::command::{Partial, Section, SectionText};
use crate::imap::codec::writer;
use crate::imap::status::{CommandError, Outcome};
use crate::{limits, reading};

/// What a section amounts to in a message.
pub(super) enum Content {
    /// The message has no such section.
    Absent,
    /// These octets of the message.
    Octets(Range<u64>),
    /// These, made from a header.
    Made(Vec<u8>),
}

/// Whether the structure must be known to find the section.
pub(super) fn needs_structure(section: &Section) -> bool {
    !section.part.is_empty() || section.text.is_some()
}

/// Finds the section. `structure` may be `None` only where [`needs_structure`] says so.
pub(super) async fn find(
    section: &Section,
    structure: Option<&Structure<'_>>,
    reader: &MessageReader,
    prefix_octets: u64,
) -> Result<Content> {
    let Some(structure) = structure else { return Ok(Content::Octets(0..reader.len())) };
    let part = || section.part.clone();
    let place = match (&section.text, section.part.is_empty()) {
        (None, true) => Place::All,
        (None, false) => Place::Part(part()),
        (Some(SectionText::Header | SectionText::Fields { .. }), true) => Place::Header,
        (Some(SectionText::Header | SectionText::Fields { .. }), false) => Place::PartHeader(part()),
        (Some(SectionText::Text), true) => Place::Text,
        (Some(SectionText::Text), false) => Place::PartText(part()),
        (Some(SectionText::Mime), _) => Place::PartMime(part()),
    };
    let Some(range) = place.range(structure, prefix_octets) else { return Ok(Content::Absent) };
    let range = range.start.min(reader.len())..range.end.min(reader.len());
    if let Some(SectionText::Fields { names, not }) = &section.text {
        let end = range.end.min(range.start + limits::IMAP_HEADER_OCTETS);
        let octets = reader.read_all(range.start..end).await?;
        return Ok(Content::Made(header::filter(&octets, names, *not)));
    }
    Ok(Content::Octets(range))
}

/// Writes the octets of a section, or of a part of it, as the value of a FETCH item whose name is
/// written already, up to where the partial's origin goes. Refused, it has sent nothing: the caller takes back what
/// stands in the buffer.
pub(super) async fn write(
    call: &mut Call<'_>,
    content: Content,
    partial: Option<Partial>,
    reader: &MessageReader,
) -> Outcome<()> {
    if let Some(partial) = partial {
        writer::text(call.out.buffer, format_args!("<{}>", partial.offset));
    }
    call.out.buffer.push(b' ');
    match content {
        Content::Absent => call.out.buffer.extend_from_slice(b"NIL"),
        Content::Made(octets) => {
            let within = cut(0..octets.len() as u64, partial);
            writer::literal_head(call.out.buffer, within.end - within.start, false);
            call.out.send(&octets[within.start as usize..within.end as usize]).await?;
        }
        Content::Octets(range) => {
            let range = cut(range, partial);
            let octets = reading::begin(reader, range.clone(), &call.context.budget).await?;
            writer::literal_head(call.out.buffer, range.end - range.start, false);
            if range.start < range.end {
                stream(call, octets, range.end - range.start).await?;
            }
        }
    }
    Ok(())
}

/// The octets of `range` that a partial asks for; none if it starts beyond the end.
pub(super) fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(partial.offset).min(range.end);
    start..start.saturating_add(partial.length.get()).min(range.end)
}

/// Passes on exactly the octets that were announced. If the store cannot give them, nothing but the
/// end of the connection can tell the client.
async fn stream(
    call: &mut Call<'_>,
    octets: impl Stream<Item = Result<Bytes>> + Send,
    announced: u64,
) -> Outcome<()> {
    let mut octets = pin!(octets);
    let mut left = announced;
    while let Some(piece) = octets.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        left -= piece.len() as u64;
        call.out.send(piece).await?;
    }
    if left > 0 {
        return Err(broken(&Error::Corrupt("a body shorter than its record says".into())));
    }
    Ok(())
}

/// A literal cannot be taken back once its length is out.
pub(super) fn broken(error: &Error) -> CommandError {
    tracing::error!(%error, "a message could not be read to its end; the connection is closed");
    CommandError::Connection(std::io::Error::other("a message could not be read to its end"))
}
