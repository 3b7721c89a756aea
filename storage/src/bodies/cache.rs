//! Opened frames, within a bound of memory.

use bytes::Bytes;

use crate::types::BodyId;

/// What an entry costs beside its octets.
const ENTRY_OCTETS: usize = 150;

/// An opened frame.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) plain: Bytes,
    pub(super) last: bool,
}

/// Frames by body and number; the least useful go first.
pub(super) struct FrameCache(moka::sync::Cache<(BodyId, u32), Frame>);

impl FrameCache {
    /// Of at most so many octets.
    pub(super) fn new(octets: u64) -> Self {
        let weigh = |_: &(BodyId, u32), frame: &Frame| (frame.plain.len() + ENTRY_OCTETS) as u32;
        Self(moka::sync::Cache::builder().max_capacity(octets).weigher(weigh).build())
    }

    pub(super) fn frame(&self, id: BodyId, number: u32) -> Option<Frame> {
        self.0.get(&(id, number))
    }

    pub(super) fn contains(&self, id: BodyId, number: u32) -> bool {
        self.0.contains_key(&(id, number))
    }

    /// A whole body, if it is of one frame and that one is here.
    pub(super) fn whole(&self, id: BodyId) -> Option<Bytes> {
        self.0.get(&(id, 0)).filter(|frame| frame.last).map(|frame| frame.plain)
    }

    pub(super) fn insert(&self, id: BodyId, number: u32, frame: Frame) {
        self.0.insert((id, number), frame);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}
