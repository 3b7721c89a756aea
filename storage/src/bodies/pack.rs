//! The second of two steps: staged bodies are gathered into segments, and their records pointed there. Each segment
//! is durable before the first record names it, and a record is changed only if its body is still where it was
//! gathered from: whatever happens between is found again as staged, or as an intent.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::keys;
use super::objects::ObjectName;
use super::record::{BodyRecord, Owner, Place, SegmentId, SegmentRecord, Upload};
use super::segment::{Builder, Entry, MARK, OWN_OFFSET, encode_footer};
use super::store::Bodies;
use super::upload::ObjectUpload;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::{BODIES_TOGETHER, BODY_OWNERS_LISTED, BODY_PIECE_OCTETS, BODY_PIECES_TOGETHER};
use crate::types::BodyId;
use crate::{Error, Result};

/// What a packing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Bodies that lie in a segment now.
    pub bodies: u64,
    /// Their sealed octets.
    pub octets: u64,
    /// Segments written.
    pub segments: u64,
}

/// Where a body must still be for its record to be pointed at a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// With the metadata.
    Staged,
    /// In another segment, at this offset.
    Packed(SegmentId, u64),
}

impl Source {
    fn is(self, place: &Place) -> bool {
        match self {
            Self::Staged => place.is_staged(),
            Self::Packed(segment, offset) => *place == Place::Segment(segment, offset),
        }
    }
}

/// A segment as it is gathered.
pub(super) struct Gathering {
    pub(super) builder: Builder,
    pub(super) sources: Vec<Source>,
}

impl Gathering {
    pub(super) fn new() -> Self {
        Self { builder: Builder::new(0), sources: Vec::new() }
    }

    /// Adds a body. One whose octets are damaged is left where it is, for `verify` to tell.
    pub(super) fn push(&mut self, source: Source, body: Found) {
        let Found { id, record, owners, parts } = body;
        match self.builder.push(id, record.header, owners, &parts) {
            Ok(()) => self.sources.push(source),
            Err(error) => tracing::error!(body = %id, %error, "body cannot be packed"),
        }
    }
}

/// A body to be packed, as it was found.
pub(super) struct Found {
    pub(super) id: BodyId,
    pub(super) record: BodyRecord,
    pub(super) owners: Vec<Owner>,
    // Empty for a long body, which streams by itself.
    pub(super) parts: Vec<Bytes>,
}

impl Bodies {
    /// Packs all that is staged. One at a time; a second call waits for the first. An error leaves what is not packed
    /// staged.
    pub async fn pack_once(&self) -> Result<Packed> {
        let _alone = self.inner.packing.lock().await;
        // Before anything is gathered, and an intent is written that would be tidied for a day.
        self.inner.objects.is_back().await?;
        let (mut packed, mut left) = (Packed::default(), keys::all_staged());
        let mut gathering = Gathering::new();
        loop {
            let found = self.staged_page(&mut left).await?;
            if found.is_empty() && left.is_empty() {
                break;
            }
            for body in found {
                if body.parts.is_empty() {
                    packed.add(self.pack_long(body).await?);
                    continue;
                }
                gathering.push(Source::Staged, body);
                if self.is_full(&gathering) {
                    let full = std::mem::replace(&mut gathering, Gathering::new());
                    packed.add(self.write_segment(full).await?);
                }
            }
        }
        packed.add(self.write_segment(gathering).await?);
        Ok(packed)
    }

    pub(super) fn is_full(&self, gathering: &Gathering) -> bool {
        gathering.builder.is_full() || gathering.builder.body_octets() >= self.inner.config.segment_octets
    }

    /// Writes a gathered segment and points its bodies at it.
    pub(super) async fn write_segment(&self, gathering: Gathering) -> Result<Packed> {
        if gathering.sources.is_empty() {
            return Ok(Packed::default());
        }
        let (segment, octets, entries) = self.put_segment(gathering.builder).await?;
        self.point(segment, octets, &entries, &gathering.sources).await
    }

    /// Writes a segment's object, under an intent: it is durable when this returns, and nothing names it yet.
    pub(super) async fn put_segment(&self, builder: Builder) -> Result<(SegmentId, u64, Vec<Entry>)> {
        let domains: BTreeSet<_> = builder.entries().iter().map(|entry| entry.header.domain).collect();
        for domain in domains {
            match self.inner.domains.copy_to(&self.inner.objects, domain).await {
                // Of an erased domain nothing needs to be recovered.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let segment = self.intend_segment().await?;
        let name = ObjectName::Segment(segment);
        let (object, entries) = builder.finish();
        let octets = object.len() as u64;
        if let Err(error) = self.inner.objects.put(name, object.into()).await {
            self.abandon(name).await?;
            return Err(error);
        }
        Ok((segment, octets, entries))
    }

    async fn intend_segment(&self) -> Result<SegmentId> {
        let segment = SegmentId(rand::random());
        let intend = self.inner.db.run(async |tx| {
            tx.set(ObjectName::Segment(segment).key(), Upload::Intended.encode());
            Ok(())
        });
        intend.await.map(|()| segment)
    }

    /// A long body that was kept in pieces becomes a segment of one, streamed.
    async fn pack_long(&self, body: Found) -> Result<Packed> {
        let Found { id, record, owners, .. } = body;
        self.inner.domains.copy_to(&self.inner.objects, record.header.domain).await?;
        let name = ObjectName::Segment(self.intend_segment().await?);
        let ObjectName::Segment(segment) = name else { unreachable!("named so above") };
        let entry = Entry { id, offset: OWN_OFFSET, header: record.header, owners };
        let streamed = self.stream_pieces(name, &entry).await;
        match streamed {
            Ok(true) => {}
            // It went while it was read.
            Ok(false) => return self.abandon(name).await.map(|()| Packed::default()),
            Err(error) => {
                self.abandon(name).await?;
                return Err(error);
            }
        }
        let entries = [entry];
        let footer = encode_footer(entries.iter()).len() as u64;
        let octets = MARK.len() as u64 + entries[0].header.sealed_octets() + footer;
        self.point(segment, octets, &entries, &[Source::Staged]).await
    }

    /// Writes the object of a body in pieces; tells whether all pieces were there.
    async fn stream_pieces(&self, name: ObjectName, entry: &Entry) -> Result<bool> {
        let mut upload = ObjectUpload::begin(self.clone(), name).await?;
        let (total, step) = (entry.header.sealed_octets(), (BODY_PIECES_TOGETHER * BODY_PIECE_OCTETS) as u64);
        let (mut sealed, mut at) = (Vec::new(), 0);
        while at < total {
            let end = total.min(at + step);
            match self.sealed(entry.id, &Place::Pieces, at..end).await {
                Err(Error::NotFound(_)) => return Ok(false),
                octets => sealed.extend_from_slice(&octets?),
            }
            upload.push(&mut sealed).await?;
            at = end;
        }
        upload.finish(&mut sealed, entry).await?;
        Ok(true)
    }

    /// Points bodies at the segment that holds them, in transactions of bounded size.
    pub(super) async fn point(
        &self,
        segment: SegmentId,
        octets: u64,
        entries: &[Entry],
        sources: &[Source],
    ) -> Result<Packed> {
        let total: u64 = entries.iter().map(|entry| entry.header.sealed_octets()).sum();
        let record = SegmentRecord { octets, body_octets: total };
        let mut packed = Packed { segments: 1, ..Packed::default() };
        let chunks = entries.chunks(BODIES_TOGETHER).zip(sources.chunks(BODIES_TOGETHER));
        let last = chunks.len() - 1;
        for (number, (entries, sources)) in chunks.enumerate() {
            let pointed = self.inner.db.run(async |tx| {
                let pointed = point_some(tx, segment, entries, sources).await?;
                tx.set(keys::segment(segment), record.encode());
                if number == last {
                    tx.clear(ObjectName::Segment(segment).key());
                    tx.clear(keys::multipart(ObjectName::Segment(segment)));
                    let wasted = total - packed.octets - pointed.octets;
                    if wasted > 0 {
                        tx.add(keys::waste(segment), wasted as i64);
                    }
                }
                Ok(pointed)
            });
            packed.add(pointed.await?);
        }
        Ok(packed)
    }
}

impl Packed {
    pub(super) fn add(&mut self, other: Self) {
        self.bodies += other.bodies;
        self.octets += other.octets;
        self.segments += other.segments;
    }
}

/// Who refers to a body, as far as a footer lists them.
pub(super) async fn owners(tx: &mut Transaction, id: BodyId) -> Result<Vec<Owner>> {
    let options = RangeOptions { limit: Some(BODY_OWNERS_LISTED), snapshot: true, ..RangeOptions::default() };
    let references = tx.range(keys::references(id), options).collect().await?;
    references.iter().map(|(key, _)| Ok(keys::reference_of(key)?.1)).collect()
}

/// Points those bodies at the segment that still are where they were gathered from.
async fn point_some(
    tx: &mut Transaction,
    segment: SegmentId,
    entries: &[Entry],
    sources: &[Source],
) -> Result<Packed> {
    // Where packing took so long that its intent was given up, the object may be gone already.
    let intent = tx.get(&ObjectName::Segment(segment).key()).await?;
    if intent.map(|value| Upload::decode(&value)).transpose()? != Some(Upload::Intended) {
        return Err(Error::Unavailable("packing took too long, and its segment was given up".into()));
    }
    let mut packed = Packed::default();
    for (entry, source) in entries.iter().zip(sources) {
        let key = keys::body(entry.id);
        let Some(value) = tx.get(&key).await? else { continue };
        let record = BodyRecord::decode(&value)?;
        if !source.is(&record.place) {
            continue;
        }
        leave(tx, entry.id, &record);
        let place = Place::Segment(segment, entry.offset);
        let sealed_octets = record.header.sealed_octets();
        tx.set(key, BodyRecord { header: record.header, place }.encode());
        tx.set(keys::segment_body(segment, entry.id), sealed_octets.to_be_bytes().to_vec());
        packed.bodies += 1;
        packed.octets += sealed_octets;
    }
    Ok(packed)
}

/// Clears what belongs to the body's present place, beside its record.
pub(super) fn leave(tx: &mut Transaction, id: BodyId, record: &BodyRecord) {
    match record.place {
        Place::Inline(_) => tx.clear(keys::staged(id)),
        Place::Pieces => {
            tx.clear(keys::staged(id));
            tx.clear(keys::away(id));
            tx.clear_range(keys::pieces(id));
        }
        Place::Segment(segment, _) => {
            tx.clear(keys::segment_body(segment, id));
            tx.add(keys::waste(segment), record.header.sealed_octets() as i64);
        }
        Place::Object => {}
    }
}
