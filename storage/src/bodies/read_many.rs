//! Opening many bodies at once, as a FETCH of many messages does: their records in one transaction, those that
//! are neighbours in a segment in one request.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use super::objects::ObjectName;
use super::read::{Reader, Stored};
use super::record::{Place, SegmentId};
use super::store::Bodies;
use crate::kv::Transaction;
use crate::limits::{
    BODIES_TOGETHER, BODY_LOADED_OCTETS, BODY_READ_AHEAD_OCTETS, SEGMENT_GAP_OCTETS, SEGMENTS_TOGETHER,
};
use crate::types::BodyId;
use crate::{Error, Result};

/// A body whose record was read.
struct Opened {
    // Its place among the outcomes.
    at: usize,
    id: BodyId,
    stored: Stored,
}

/// How a body was found.
enum Found {
    /// In memory.
    Loaded(Bytes),
    /// Where its record says.
    Stored(Box<Stored>),
    /// Not.
    Failed(Error),
}

impl Found {
    /// Octets that it takes in memory once it is loaded; 0 for one that is to be streamed.
    fn octets(&self) -> u64 {
        match self {
            Self::Loaded(plain) => plain.len() as u64,
            Self::Stored(stored) if is_loaded(stored) => stored.header.size,
            Self::Stored(_) | Self::Failed(_) => 0,
        }
    }
}

/// Whether the body is read whole together with others.
fn is_loaded(stored: &Stored) -> bool {
    stored.header.size <= BODY_LOADED_OCTETS && matches!(stored.place, Place::Inline(_) | Place::Segment(..))
}

impl Bodies {
    /// Opens bodies in the order given. Short ones come loaded, `ahead_octets` of them (or one of them) at a
    /// time, and more only when the reader has taken those; long ones stream when read. One that fails is an
    /// error in its place, and the others follow.
    pub fn read_many(
        &self,
        ids: Vec<BodyId>,
        ahead_octets: u64,
    ) -> impl Stream<Item = Result<Reader>> + Send + use<> {
        let state = (self.clone(), ids, 0, VecDeque::new());
        stream::unfold(state, move |(bodies, ids, mut at, mut ready)| async move {
            if ready.is_empty() && at < ids.len() {
                let end = ids.len().min(at + BODIES_TOGETHER);
                let outcomes = bodies.open_together(&ids[at..end], ahead_octets).await;
                at += outcomes.len();
                ready.extend(outcomes);
            }
            ready.pop_front().map(|outcome| (outcome, (bodies, ids, at, ready)))
        })
    }

    /// Opens as many of the first as may be held loaded at once: at least one, if there is one.
    async fn open_together(&self, ids: &[BodyId], ahead_octets: u64) -> Vec<Result<Reader>> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut packed: BTreeMap<SegmentId, Vec<Opened>> = BTreeMap::new();
        let (mut octets, mut tx) = (0, self.inner.db.begin());
        for (at, id) in ids.iter().copied().enumerate() {
            // What is at hand already is never waited for: others of this thread get their turn here.
            tokio::task::coop::consume_budget().await;
            let found = self.find(&mut tx, id).await;
            octets += found.octets();
            if at > 0 && octets > ahead_octets {
                break;
            }
            outcomes.push(match found {
                Found::Loaded(plain) => Ok(Reader::loaded_with(self.clone(), id, plain)),
                Found::Stored(stored) => self.open_or_defer(Opened { at, id, stored: *stored }, &mut packed),
                Found::Failed(error) => Err(error),
            });
        }
        let loading = packed.into_iter().map(|(segment, bodies)| self.load_packed(segment, bodies));
        let mut loaded = stream::iter(loading).buffer_unordered(SEGMENTS_TOGETHER);
        while let Some(readers) = loaded.next().await {
            for (at, reader) in readers {
                outcomes[at] = reader;
            }
        }
        outcomes
    }

    async fn find(&self, tx: &mut Transaction, id: BodyId) -> Found {
        if let Some(plain) = self.inner.cache.whole(id) {
            return Found::Loaded(plain);
        }
        let stored = match self.record(tx, id).await {
            Ok(record) => self.stored(id, record).await,
            Err(error) => Err(error),
        };
        stored.map_or_else(Found::Failed, |stored| Found::Stored(Box::new(stored)))
    }

    /// Opens what lies inline; what lies in a segment waits until its neighbours are known.
    fn open_or_defer(&self, opened: Opened, packed: &mut BTreeMap<SegmentId, Vec<Opened>>) -> Result<Reader> {
        let Opened { id, stored, .. } = &opened;
        match &stored.place {
            Place::Inline(sealed) if is_loaded(stored) => {
                let plain = stored.open_whole(self, *id, sealed)?;
                Ok(Reader::loaded_with(self.clone(), *id, plain))
            }
            Place::Segment(segment, _) if is_loaded(stored) => {
                let placeholder = Reader::loaded_with(self.clone(), *id, Bytes::new());
                packed.entry(*segment).or_default().push(opened);
                Ok(placeholder)
            }
            _ => Ok(Reader::stored_with(self.clone(), *id, opened.stored)),
        }
    }

    /// Reads and opens bodies of one segment, neighbours together: each with its place among the outcomes.
    async fn load_packed(&self, segment: SegmentId, mut bodies: Vec<Opened>) -> Vec<(usize, Result<Reader>)> {
        bodies.sort_by_key(|body| range_of(&body.stored).start);
        let ranges = merged(bodies.iter().map(|body| range_of(&body.stored)));
        let read = self.inner.objects.get_ranges(ObjectName::Segment(segment), &ranges).await;
        let opened = bodies.into_iter().map(|Opened { at, id, stored }| {
            let wanted = range_of(&stored);
            let found = read.as_ref().ok().and_then(|chunks| {
                let chunk = ranges.partition_point(|range| range.start <= wanted.start).checked_sub(1)?;
                let from = (wanted.start - ranges[chunk].start) as usize;
                chunks[chunk].get(from..from + (wanted.end - wanted.start) as usize)
            });
            let reader = match found {
                Some(sealed) => stored
                    .open_whole(self, id, sealed)
                    .map(|plain| Reader::loaded_with(self.clone(), id, plain)),
                // The segment was rewritten or is out of reach: the reader finds out which.
                None => Ok(Reader::stored_with(self.clone(), id, stored)),
            };
            (at, reader)
        });
        opened.collect()
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
