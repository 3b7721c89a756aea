//! Segments whose bodies are gone: a dead one is doomed; of those that are less than half live, what lives is
//! written into new segments.

use super::collect::{Collected, Memory};
use super::keys;
use super::objects::ObjectName;
use super::pack::{Found, Gathering, Source, owners};
use super::record::{BodyRecord, Place, SegmentId, SegmentRecord, Upload};
use super::store::Bodies;
use crate::Result;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::BODIES_TOGETHER;
use crate::types::BodyId;

/// What to do about a segment.
enum Look {
    /// It lives well enough, or is gone.
    Nothing,
    /// It was dead, and is doomed now.
    Doomed,
    /// These bodies of it live, and too few.
    Sparse(Vec<BodyId>),
}

impl Bodies {
    /// Looks at all segments that lost bodies since the last look.
    pub(super) async fn collect_segments(
        &self,
        memory: &mut Memory,
        collected: &mut Collected,
    ) -> Result<()> {
        let (mut left, mut sparse) = (keys::all_waste(), Vec::new());
        let mut gathering = Gathering::new();
        loop {
            let page = self.page(&left).await?;
            let Some((last, _)) = page.last() else { break };
            left.begin = KeyRange::key(last).end;
            for (key, waste) in page {
                let segment = keys::wasted_segment(&key)?;
                if memory.segments.get(&segment) == Some(&waste) {
                    continue;
                }
                match self.look(segment).await? {
                    Look::Nothing => {
                        memory.segments.insert(segment, waste);
                    }
                    Look::Doomed => collected.doomed += 1,
                    Look::Sparse(bodies) => {
                        sparse.push(segment);
                        if let Err(error) = self.gather_living(segment, &bodies, &mut gathering).await {
                            tracing::error!(segment = %ObjectName::Segment(segment).path(), %error, "not rewritten");
                        }
                    }
                }
            }
        }
        self.write_segment(gathering).await?;
        for segment in sparse {
            collected.rewritten += 1;
            if let Look::Doomed = self.look(segment).await? {
                collected.doomed += 1;
                memory.segments.remove(&segment);
            }
        }
        Ok(())
    }

    /// Counts what lives in the segment, and dooms it if nothing does.
    async fn look(&self, segment: SegmentId) -> Result<Look> {
        self.inner.db.run(async |tx| look(tx, segment).await).await
    }

    /// Adds the living bodies of a segment to what is gathered, and writes what becomes full.
    async fn gather_living(
        &self,
        segment: SegmentId,
        bodies: &[BodyId],
        gathering: &mut Gathering,
    ) -> Result<()> {
        for ids in bodies.chunks(BODIES_TOGETHER) {
            let mut tx = self.inner.db.begin();
            let mut living = Vec::with_capacity(ids.len());
            for id in ids {
                let Some(value) = tx.get_snapshot(&keys::body(*id)).await? else { continue };
                let record = BodyRecord::decode(&value)?;
                if let Place::Segment(at, offset) = record.place
                    && at == segment
                {
                    living.push((offset, *id, record, owners(&mut tx, *id).await?));
                }
            }
            living.sort_by_key(|(offset, ..)| *offset);
            let range = |offset: u64, record: &BodyRecord| offset..offset + record.header.sealed_octets();
            let ranges: Vec<_> = living.iter().map(|(offset, _, record, _)| range(*offset, record)).collect();
            let sealed = self.inner.objects.get_ranges(ObjectName::Segment(segment), &ranges).await?;
            for ((offset, id, record, owners), sealed) in living.into_iter().zip(sealed) {
                let body = Found { id, record, owners, parts: vec![sealed] };
                gathering.push(Source::Packed(segment, offset), body);
                if self.is_full(gathering) {
                    self.write_segment(std::mem::replace(gathering, Gathering::new())).await?;
                }
            }
        }
        Ok(())
    }
}

async fn look(tx: &mut Transaction, segment: SegmentId) -> Result<Look> {
    let Some(value) = tx.get(&keys::segment(segment)).await? else {
        tx.clear(keys::waste(segment));
        return Ok(Look::Nothing);
    };
    // While it is being pointed at, what will live in it is not known.
    let name = ObjectName::Segment(segment);
    if tx.get(&name.key()).await?.is_some() {
        return Ok(Look::Nothing);
    }
    let (mut bodies, mut live_octets) = (Vec::new(), 0);
    let mut reader = tx.range(keys::segment_bodies(segment), RangeOptions::default());
    while let Some((key, value)) = reader.next().await? {
        bodies.push(keys::segment_body_of(&key)?);
        live_octets += u64::from_be_bytes(value[..].try_into().unwrap_or_default());
    }
    drop(reader);
    if bodies.is_empty() {
        tx.clear(keys::segment(segment));
        tx.clear(keys::waste(segment));
        tx.set(name.key(), Upload::Dead.encode());
        return Ok(Look::Doomed);
    }
    let record = SegmentRecord::decode(&value)?;
    Ok(if live_octets * 2 < record.body_octets { Look::Sparse(bodies) } else { Look::Nothing })
}
