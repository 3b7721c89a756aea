//! What is staged and waits to be packed: counted for who looks after the server, and read for who packs.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::keys;
use super::pack::{Found, owners};
use super::record::Place;
use super::store::Bodies;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::{BODIES_TOGETHER, PACKED_TOGETHER};
use crate::types::BodyId;
use crate::{Error, Result};

/// What waits to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Bodies.
    pub bodies: u64,
    /// Their sealed octets.
    pub octets: u64,
}

impl Bodies {
    /// Counts what waits to be packed; walks over all of it.
    pub async fn waiting(&self) -> Result<Waiting> {
        let (mut waiting, mut left) = (Waiting::default(), keys::all_staged());
        loop {
            let page = self.page(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(waiting) };
            left.begin = KeyRange::key(last).end;
            waiting.bodies += page.len() as u64;
            waiting.octets += page.iter().map(|(_, value)| keys::staged_octets(value)).sum::<u64>();
        }
    }

    /// Whether a segment's worth is staged, by whichever node. Reads no further than that.
    pub(super) async fn is_enough_staged(&self) -> Result<bool> {
        let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
        let (mut tx, mut octets) = (self.inner.db.begin(), 0u64);
        let mut staged = tx.range(keys::all_staged(), options);
        while let Some((_, value)) = staged.next().await? {
            octets += keys::staged_octets(&value);
            if octets >= self.inner.config.segment_octets as u64 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next staged bodies, in the order of their keys: those that begin within a segment's worth, some of them read at
    /// once. Moves `left` on behind them.
    pub(super) async fn staged_page(&self, left: &mut KeyRange) -> Result<Vec<Found>> {
        let options =
            RangeOptions { limit: Some(BODIES_TOGETHER), snapshot: true, ..RangeOptions::default() };
        let mut staged = self.inner.db.begin().range(left.clone(), options).collect().await?;
        let (seen, begun) = (staged.len(), self.begun_within_a_segment(&staged));
        staged.truncate(begun);
        left.begin = match staged.last() {
            Some((last, _)) if begun < seen || seen == BODIES_TOGETHER => KeyRange::key(last).end,
            _ => left.end.clone(),
        };
        let ids: Vec<BodyId> =
            staged.iter().map(|(key, _)| keys::indexed_body(key)).collect::<Result<_>>()?;
        let each = ids.len().div_ceil(PACKED_TOGETHER).max(1);
        let reads: Vec<_> = ids.chunks(each).map(|ids| self.find_staged(ids)).collect();
        let found: Vec<Vec<Found>> = stream::iter(reads).buffered(PACKED_TOGETHER).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// How many of the first staged bodies begin within a segment's worth of octets, by what their keys tell.
    fn begun_within_a_segment(&self, staged: &[(Bytes, Bytes)]) -> usize {
        let mut octets = 0u64;
        let begun = staged.iter().take_while(|(_, value)| {
            let begins = octets < self.inner.config.segment_octets as u64;
            octets = octets.saturating_add(keys::staged_octets(value));
            begins
        });
        begun.count()
    }

    /// These bodies, one after another, as one transaction sees them.
    async fn find_staged(&self, ids: &[BodyId]) -> Result<Vec<Found>> {
        let (mut tx, mut found) = (self.inner.db.begin(), Vec::with_capacity(ids.len()));
        for id in ids {
            found.extend(self.found(&mut tx, *id).await?);
        }
        Ok(found)
    }

    /// One staged body; `None` if it has gone meanwhile, or is about to.
    async fn found(&self, tx: &mut Transaction, id: BodyId) -> Result<Option<Found>> {
        let record = match self.record(tx, id).await {
            Err(Error::NotFound(_)) => return Ok(None),
            record => record?,
        };
        let owners = owners(tx, id).await?;
        if owners.is_empty() {
            return Ok(None);
        }
        let snapshot = RangeOptions { snapshot: true, ..RangeOptions::default() };
        let parts = match &record.place {
            Place::Inline(octets) => vec![octets.clone()],
            Place::Pieces if record.header.size > self.inner.config.staging_octets as u64 => Vec::new(),
            Place::Pieces => {
                let pieces = tx.range(keys::pieces(id), snapshot).collect().await?;
                pieces.into_iter().map(|(_, piece)| piece).collect()
            }
            Place::Segment(..) | Place::Object => return Ok(None),
        };
        Ok(Some(Found { id, record, owners, parts }))
    }
}
