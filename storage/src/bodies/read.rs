//! Reading a body: the frames that a range touches, each verified, as a stream.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::cache::Frame;
use super::crypt::{BodyKey, FrameNumber};
use super::frame::{self, FRAME_OCTETS, plain_octets};
use super::keys;
use super::objects::ObjectName;
use super::record::{BodyRecord, Header, Place, piece_count};
use super::segment::OWN_OFFSET;
use super::store::Bodies;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::{BODY_PIECE_OCTETS, BODY_READ_AHEAD_OCTETS};
use crate::types::BodyId;
use crate::{Error, Result};

/// An open body. Cheap to clone; it stays readable as long as the body is referred to.
#[derive(Clone)]
pub struct Reader {
    bodies: Bodies,
    id: BodyId,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Loaded(Bytes),
    Stored(Arc<Stored>),
}

/// What opening a body's frames takes.
pub(super) struct Stored {
    pub(super) header: Header,
    pub(super) place: Place,
    // Where each frame starts among the sealed octets, and where the last one ends.
    starts: Vec<u64>,
    key: BodyKey,
}

impl Bodies {
    /// Opens a body. `NotFound` if it is gone, or its domain's key was erased.
    pub async fn open_body(&self, id: BodyId) -> Result<Reader> {
        if let Some(octets) = self.inner.cache.whole(id) {
            return Ok(Reader::loaded_with(self.clone(), id, octets));
        }
        let record = self.record(&mut self.inner.db.begin(), id).await?;
        let stored = self.stored(id, record).await?;
        Ok(Reader { bodies: self.clone(), id, content: Content::Stored(Arc::new(stored)) })
    }

    /// The body's record, as the transaction sees it, without a conflict.
    pub(super) async fn record(&self, tx: &mut Transaction, id: BodyId) -> Result<BodyRecord> {
        match tx.get_snapshot(&keys::body(id)).await? {
            Some(value) => BodyRecord::decode(&value),
            None => Err(Error::NotFound(format!("body {id}").into())),
        }
    }

    /// Opens the body's key.
    pub(super) async fn stored(&self, id: BodyId, record: BodyRecord) -> Result<Stored> {
        let domain = self.inner.domains.opening(record.header.domain).await?;
        let key = domain.open_body_key(id, &record.header.key)?;
        let mut starts = Vec::with_capacity(record.header.frames.len() + 1);
        starts.push(0);
        starts.extend(record.header.frames.iter().scan(0, |end, length| {
            *end += u64::from(*length);
            Some(*end)
        }));
        Ok(Stored { header: record.header, place: record.place, starts, key })
    }

    /// Sealed octets of a body. `NotFound` where it no longer lies in that place.
    pub(super) async fn sealed(&self, id: BodyId, place: &Place, range: Range<u64>) -> Result<Bytes> {
        let objects = &self.inner.objects;
        match place {
            Place::Inline(octets) => Ok(octets.slice(range.start as usize..range.end as usize)),
            Place::Pieces => pieces(&mut self.inner.db.begin(), id, range).await,
            Place::Segment(segment, offset) => {
                objects.get(ObjectName::Segment(*segment), offset + range.start..offset + range.end).await
            }
            Place::Object => {
                objects.get(ObjectName::Body(id), OWN_OFFSET + range.start..OWN_OFFSET + range.end).await
            }
        }
    }
}

/// A range of a body that is staged in pieces. `NotFound` if pieces are missing.
async fn pieces(tx: &mut Transaction, id: BodyId, range: Range<u64>) -> Result<Bytes> {
    let piece = BODY_PIECE_OCTETS as u64;
    let (first, end) = (range.start / piece, u64::from(piece_count(range.end)));
    let keys = KeyRange::new(keys::piece(id, first as u32), keys::piece(id, end as u32));
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let mut octets = BytesMut::with_capacity(((end - first) * piece) as usize);
    let mut reader = tx.range(keys, options);
    while let Some((_, value)) = reader.next().await? {
        octets.extend_from_slice(&value);
    }
    let skipped = (range.start - first * piece) as usize;
    let wanted = (range.end - range.start) as usize;
    if octets.len() < skipped + wanted {
        return Err(Error::NotFound(format!("staged pieces of body {id}").into()));
    }
    Ok(octets.freeze().slice(skipped..skipped + wanted))
}

impl Stored {
    /// Opens one frame, whose sealed octets are given.
    pub(super) fn open_frame(&self, number: u32, sealed: &[u8]) -> Result<Frame> {
        let last = number as usize + 1 == self.header.frames.len();
        let octets = plain_octets(self.header.size, number);
        frame::open(&self.key, FrameNumber { number, last }, sealed, octets)
            .map(|plain| Frame { plain, last })
    }

    /// Where frames lie among the sealed octets.
    pub(super) fn sealed_range(&self, frames: Range<u32>) -> Range<u64> {
        self.starts[frames.start as usize]..self.starts[frames.end as usize]
    }

    /// Opens a whole body whose sealed octets are given.
    pub(super) fn open_whole(&self, bodies: &Bodies, id: BodyId, sealed: &[u8]) -> Result<Bytes> {
        let count = self.header.frames.len() as u32;
        if count == 1 {
            let frame = self.open_frame(0, sealed)?;
            bodies.inner.cache.insert(id, 0, frame.clone());
            return Ok(frame.plain);
        }
        let mut whole = BytesMut::with_capacity(self.header.size as usize);
        for number in 0..count {
            let range = self.sealed_range(number..number + 1);
            whole.extend_from_slice(
                &self.open_frame(number, &sealed[range.start as usize..range.end as usize])?.plain,
            );
        }
        Ok(whole.freeze())
    }
}

impl Reader {
    pub(super) fn loaded_with(bodies: Bodies, id: BodyId, octets: Bytes) -> Self {
        Self { bodies, id, content: Content::Loaded(octets) }
    }

    pub(super) fn stored_with(bodies: Bodies, id: BodyId, stored: Stored) -> Self {
        Self { bodies, id, content: Content::Stored(Arc::new(stored)) }
    }

    /// Which body.
    pub fn id(&self) -> BodyId {
        self.id
    }

    /// Octets of the body.
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Loaded(octets) => octets.len() as u64,
            Content::Stored(stored) => stored.header.size,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole body, if it is in memory already.
    pub fn loaded(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Loaded(octets) => Some(octets),
            Content::Stored(_) => None,
        }
    }

    /// The octets of the range as far as the body has them, in chunks of at most 64 KiB. `Corrupt` where what
    /// is stored is not what was written.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        self.read_ahead(range, BODY_READ_AHEAD_OCTETS)
    }

    /// As [`Self::read`], with at most so many octets in memory ahead of their use: up to
    /// [`BODY_READ_AHEAD_OCTETS`], and 64 KiB at least.
    pub fn read_ahead(&self, range: Range<u64>, ahead_octets: u64) -> BoxStream<'static, Result<Bytes>> {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        if range.is_empty() {
            return stream::empty().boxed();
        }
        match &self.content {
            Content::Loaded(octets) => {
                let octets = octets.slice(range.start as usize..range.end as usize);
                stream::once(async { Ok(octets) }).boxed()
            }
            Content::Stored(stored) => {
                let ahead_octets = ahead_octets.min(BODY_READ_AHEAD_OCTETS);
                let cursor = Cursor::new(self.bodies.clone(), self.id, stored.clone(), range, ahead_octets);
                stream::try_unfold(cursor, Cursor::step).boxed()
            }
        }
    }

    /// The octets of the range as far as the body has them, in one piece: for ranges known to be small.
    pub async fn read_all(&self, range: Range<u64>) -> Result<Bytes> {
        in_one_piece(self.read(range)).await
    }
}

/// The octets of a stream; those of a single chunk are not copied.
pub(crate) async fn in_one_piece(mut chunks: BoxStream<'static, Result<Bytes>>) -> Result<Bytes> {
    let Some(first) = chunks.try_next().await? else { return Ok(Bytes::new()) };
    let Some(second) = chunks.try_next().await? else { return Ok(first) };
    let mut octets = BytesMut::from(&first[..]);
    octets.extend_from_slice(&second);
    while let Some(chunk) = chunks.try_next().await? {
        octets.extend_from_slice(&chunk);
    }
    Ok(octets.freeze())
}

/// A range read under way.
struct Cursor {
    bodies: Bodies,
    id: BodyId,
    stored: Arc<Stored>,
    // As of the last time that the record was read.
    place: Place,
    range: Range<u64>,
    frames: Range<u32>,
    ready: VecDeque<Bytes>,
    // What one request may bring along, sealed as well as unpacked.
    ahead_octets: u64,
}

impl Cursor {
    fn new(bodies: Bodies, id: BodyId, stored: Arc<Stored>, range: Range<u64>, ahead_octets: u64) -> Self {
        let frame = FRAME_OCTETS as u64;
        let frames = (range.start / frame) as u32..range.end.div_ceil(frame) as u32;
        let (place, ready) = (stored.place.clone(), VecDeque::new());
        Self { bodies, id, place, stored, range, frames, ready, ahead_octets }
    }

    async fn step(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            if let Some(octets) = self.ready.pop_front() {
                return Ok(Some((octets, self)));
            }
            if self.frames.is_empty() {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    /// Makes the next frame ready, and those behind it that one request brings along.
    async fn fill(&mut self) -> Result<()> {
        let first = self.frames.start;
        if let Some(frame) = self.bodies.inner.cache.frame(self.id, first) {
            self.push(first, &frame.plain);
            return Ok(());
        }
        let mut until = first + 1;
        // What is read ahead is held unpacked, and a text may unpack to hundreds of times its length.
        while until < self.frames.end
            && u64::from(until - first) < self.ahead_octets / FRAME_OCTETS as u64
            && self.stored.starts[until as usize + 1] - self.stored.starts[first as usize]
                <= self.ahead_octets
            && !self.bodies.inner.cache.contains(self.id, until)
        {
            until += 1;
        }
        let range = self.stored.sealed_range(first..until);
        let sealed = self.fetch(range.clone()).await?;
        for number in first..until {
            let frame = self.stored.sealed_range(number..number + 1);
            let at = (frame.start - range.start) as usize..(frame.end - range.start) as usize;
            let frame = self.stored.open_frame(number, &sealed[at])?;
            self.push(number, &frame.plain);
            self.bodies.inner.cache.insert(self.id, number, frame);
        }
        Ok(())
    }

    /// What of the frame lies in the range. It is the next one.
    fn push(&mut self, number: u32, plain: &Bytes) {
        let start = u64::from(number) * FRAME_OCTETS as u64;
        let from = self.range.start.saturating_sub(start) as usize;
        let to = (self.range.end - start).min(plain.len() as u64) as usize;
        self.ready.push_back(plain.slice(from..to));
        self.frames.start = number + 1;
    }

    /// Where the body has moved meanwhile (packed, or its segment rewritten), its record tells once where to.
    async fn fetch(&mut self, range: Range<u64>) -> Result<Bytes> {
        match self.bodies.sealed(self.id, &self.place, range.clone()).await {
            Err(Error::NotFound(missing)) => {
                let record = self.bodies.record(&mut self.bodies.inner.db.begin(), self.id).await?;
                if record.place == self.place {
                    return Err(Error::Corrupt(format!("body {}: {missing} is missing", self.id).into()));
                }
                self.place = record.place;
                self.bodies.sealed(self.id, &self.place, range).await
            }
            sealed => sealed,
        }
    }
}
