//! Opening many bodies at once, as a FETCH of many messages does: their records in one transaction, those that
//! are neighbours in a segment in one request.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, Stream};

use super::objects::ObjectName;
use super::read::{Reader, Stored};
use super::record::{Place, SegmentId};
use super::store::Bodies;
use crate::Result;
use crate::limits::{
    BODIES_TOGETHER, BODIES_TOGETHER_OCTETS, BODY_LOADED_OCTETS, BODY_READ_AHEAD_OCTETS, SEGMENT_GAP_OCTETS,
};
use crate::types::BodyId;

/// A body whose record was read.
struct Opened {
    // Its place among the outcomes.
    at: usize,
    id: BodyId,
    stored: Stored,
}

impl Bodies {
    /// Opens bodies in the order given. Short ones come loaded, a bounded number of octets ahead of the reader;
    /// long ones stream when read. One that fails is an error in its place, and the others follow.
    pub fn read_many(&self, ids: Vec<BodyId>) -> impl Stream<Item = Result<Reader>> + Send + 'static {
        let state = (self.clone(), ids, 0, VecDeque::new());
        stream::unfold(state, |(bodies, ids, mut at, mut ready)| async move {
            if ready.is_empty() && at < ids.len() {
                let end = ids.len().min(at + BODIES_TOGETHER);
                let outcomes = bodies.open_together(&ids[at..end]).await;
                at += outcomes.len();
                ready.extend(outcomes);
            }
            ready.pop_front().map(|outcome| (outcome, (bodies, ids, at, ready)))
        })
    }

    /// Opens as many of the first as may be held loaded at once: at least one, if there is one.
    async fn open_together(&self, ids: &[BodyId]) -> Vec<Result<Reader>> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut packed: BTreeMap<SegmentId, Vec<Opened>> = BTreeMap::new();
        let (mut octets, mut tx) = (0, self.inner.db.begin());
        for (at, id) in ids.iter().copied().enumerate() {
            if let Some(plain) = self.inner.cache.whole(id) {
                octets += plain.len() as u64;
                outcomes.push(Ok(Reader::loaded_with(self.clone(), id, plain)));
            } else {
                let stored = match self.record(&mut tx, id).await {
                    Ok(record) => self.stored(id, record).await,
                    Err(error) => Err(error),
                };
                let opened = stored.map(|stored| Opened { at, id, stored });
                let (outcome, sealed) = self.open_or_defer(opened, &mut packed);
                octets += sealed;
                outcomes.push(outcome);
            }
            if octets >= BODIES_TOGETHER_OCTETS {
                break;
            }
        }
        for (segment, bodies) in packed {
            self.load_packed(segment, bodies, &mut outcomes).await;
        }
        outcomes
    }

    /// Opens what lies inline; what lies in a segment waits until its neighbours are known. Tells how many octets
    /// it will hold in memory.
    fn open_or_defer(
        &self,
        opened: Result<Opened>,
        packed: &mut BTreeMap<SegmentId, Vec<Opened>>,
    ) -> (Result<Reader>, u64) {
        let Opened { at, id, stored } = match opened {
            Ok(opened) => opened,
            Err(error) => return (Err(error), 0),
        };
        let sealed_octets = stored.header.sealed_octets();
        if sealed_octets > BODY_LOADED_OCTETS {
            return (Ok(Reader::stored_with(self.clone(), id, stored)), 0);
        }
        let size = stored.header.size;
        match &stored.place {
            Place::Inline(sealed) => {
                let plain = stored.open_whole(self, id, sealed);
                (plain.map(|plain| Reader::loaded_with(self.clone(), id, plain)), size)
            }
            Place::Segment(segment, _) => {
                packed.entry(*segment).or_default().push(Opened { at, id, stored });
                (Ok(Reader::loaded_with(self.clone(), id, Bytes::new())), size)
            }
            Place::Pieces | Place::Object => (Ok(Reader::stored_with(self.clone(), id, stored)), 0),
        }
    }

    /// Reads and opens bodies of one segment, neighbours together.
    async fn load_packed(
        &self,
        segment: SegmentId,
        mut bodies: Vec<Opened>,
        outcomes: &mut [Result<Reader>],
    ) {
        bodies.sort_by_key(|body| range_of(&body.stored).start);
        let ranges = merged(bodies.iter().map(|body| range_of(&body.stored)));
        let read = self.inner.objects.get_ranges(ObjectName::Segment(segment), &ranges).await;
        for body in bodies {
            let wanted = range_of(&body.stored);
            let found = read.as_ref().ok().and_then(|chunks| {
                let at = ranges.partition_point(|range| range.start <= wanted.start).checked_sub(1)?;
                let from = (wanted.start - ranges[at].start) as usize;
                chunks[at].get(from..from + (wanted.end - wanted.start) as usize)
            });
            outcomes[body.at] = match found {
                Some(sealed) => body
                    .stored
                    .open_whole(self, body.id, sealed)
                    .map(|plain| Reader::loaded_with(self.clone(), body.id, plain)),
                // The segment was rewritten or is out of reach: the reader finds out which.
                None => Ok(Reader::stored_with(self.clone(), body.id, body.stored)),
            };
        }
    }
}

/// Where in its segment a packed body lies.
fn range_of(stored: &Stored) -> Range<u64> {
    let start = if let Place::Segment(_, offset) = stored.place { offset } else { 0 };
    start..start + stored.header.sealed_octets()
}

/// Ascending ranges, with small gaps closed, none much longer than a request should be.
fn merged(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last)
                if range.start <= last.end + SEGMENT_GAP_OCTETS
                    && range.end <= last.start + BODY_READ_AHEAD_OCTETS =>
            {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}
