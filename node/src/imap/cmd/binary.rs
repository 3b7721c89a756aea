//! BINARY and BINARY.SIZE (RFC 9051 §6.4.5, RFC 3516): a part with its transfer encoding removed.
//! A small part is decoded into memory; a large one twice, as it streams by.

use std::ops::Range;
use std::pin::pin;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sterna_gateway::message::decode::Decoder;
use sterna_gateway::message::{Part, Structure};
use sterna_storage::Result;
use sterna_storage::mailstore::MessageReader;

use super::call::Call;
use super::section::{broken, cut};
use crate::imap::codec::command::Partial;
use crate::imap::codec::writer;
use crate::imap::status::{Outcome, Status};
use crate::{limits, reading};

/// A part to be decoded.
pub(super) struct Encoded<'p> {
    part: Option<&'p Part<'p>>,
    range: Range<u64>,
}

/// How long a part is once decoded, and whether NUL is in it.
struct Measure {
    octets: u64,
    has_nul: bool,
}

impl<'p> Encoded<'p> {
    /// The part with that number; all of the message for an empty one. `None` if there is none.
    pub(super) fn find(
        structure: &'p Structure<'p>,
        path: &[u32],
        prefix_octets: u64,
        reader: &MessageReader,
    ) -> Option<Self> {
        if path.is_empty() {
            return Some(Self { part: None, range: 0..reader.len() });
        }
        let part = structure.part(path)?;
        let end = (part.body.end + prefix_octets).min(reader.len());
        Some(Self { part: Some(part), range: (part.body.start + prefix_octets).min(end)..end })
    }

    /// `NO [UNKNOWN-CTE]` where the encoding cannot be removed.
    pub(super) fn decoder(&self) -> Result<Option<Decoder>, Status> {
        let Some(part) = self.part else { return Ok(None) };
        let unknown = || Status::no("UNKNOWN-CTE", "Unknown transfer encoding");
        Decoder::for_part(part).map(Some).ok_or_else(unknown)
    }

    /// Passes the decoded octets to `take`, piece by piece.
    async fn each(
        &self,
        decoder: Option<Decoder>,
        reader: &MessageReader,
        mut take: impl FnMut(&[u8]),
    ) -> Result<()> {
        let Some(mut decoder) = decoder else { return Ok(()) };
        let mut pieces = pin!(reader.read(self.range.clone()));
        let mut decoded = Vec::new();
        while let Some(piece) = pieces.next().await {
            decoded.clear();
            decoder.push(&piece?, &mut decoded);
            take(&decoded);
        }
        decoded.clear();
        decoder.finish(&mut decoded);
        take(&decoded);
        Ok(())
    }

    /// `BINARY.SIZE`.
    pub(super) async fn size(&self, reader: &MessageReader) -> Outcome<u64> {
        match self.decoder()? {
            None => Ok(self.range.end - self.range.start),
            decoder => Ok(self.measure(decoder, reader).await?.octets),
        }
    }

    async fn measure(&self, decoder: Option<Decoder>, reader: &MessageReader) -> Result<Measure> {
        let mut measure = Measure { octets: 0, has_nul: false };
        self.each(decoder, reader, |piece| {
            measure.octets += piece.len() as u64;
            measure.has_nul |= piece.contains(&0);
        })
        .await?;
        Ok(measure)
    }

    /// Writes the value of a `BINARY` item, whose decoder the caller has made sure of.
    pub(super) async fn write(
        &self,
        call: &mut Call<'_>,
        partial: Option<Partial>,
        reader: &MessageReader,
    ) -> Outcome<()> {
        if let Some(partial) = partial {
            writer::text(call.out.buffer, format_args!("<{}>", partial.offset));
        }
        call.out.buffer.push(b' ');
        let decoder = self.decoder()?;
        if decoder.is_some() && self.range.end - self.range.start <= limits::IMAP_BINARY_OCTETS {
            let mut decoded = Vec::new();
            self.each(decoder, reader, |piece| decoded.extend_from_slice(piece)).await?;
            let within = cut(0..decoded.len() as u64, partial);
            let octets = &decoded[within.start as usize..within.end as usize];
            writer::literal_head(call.out.buffer, octets.len() as u64, octets.contains(&0));
            return Ok(call.out.send(octets).await?);
        }
        let measure = match decoder.clone() {
            None => Measure { octets: self.range.end - self.range.start, has_nul: true },
            decoder => self.measure(decoder, reader).await?,
        };
        let within = cut(0..measure.octets, partial);
        let octets = reading::begin(reader, self.range.clone(), &call.context.budget).await?;
        writer::literal_head(call.out.buffer, within.end - within.start, measure.has_nul);
        self.send(call, decoder, within, octets).await
    }

    /// Sends the decoded octets at `within`.
    async fn send(
        &self,
        call: &mut Call<'_>,
        mut decoder: Option<Decoder>,
        within: Range<u64>,
        mut pieces: BoxStream<'static, Result<Bytes>>,
    ) -> Outcome<()> {
        let (mut at, mut decoded) = (0, Vec::new());
        while at < within.end {
            decoded.clear();
            let piece = pieces.next().await.transpose().map_err(|error| broken(&error))?;
            let is_last = piece.is_none();
            match (&mut decoder, piece) {
                (Some(decoder), Some(piece)) => decoder.push(&piece, &mut decoded),
                (None, Some(piece)) => decoded.extend_from_slice(&piece),
                (_, None) => {
                    if let Some(decoder) = decoder.take() {
                        decoder.finish(&mut decoded);
                    }
                }
            }
            let end = at + decoded.len() as u64;
            let (from, to) = (within.start.clamp(at, end), within.end.clamp(at, end));
            call.out.send(&decoded[(from - at) as usize..(to - at) as usize]).await?;
            at = end;
            if is_last && at < within.end {
                return Err(broken(&sterna_storage::Error::Corrupt("a part that decodes to less".into())));
            }
        }
        Ok(())
    }
}
