//! Reads a range in steps, the transaction's own writes merged in. Holds one bounded chunk at a time.

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;

use super::engine::ChunkLimit;
use super::range::{KeyRange, RangeOptions, key_after};
use super::transaction::Transaction;
use crate::{Result, limits};

/// A range read under way. What was given so far is what later commits by others conflict with: a
/// reader that stops early depends on nothing behind the place where it stopped.
#[must_use = "a reader reads nothing until asked"]
pub struct RangeReader<'t> {
    transaction: &'t mut Transaction,
    range: KeyRange,
    options: RangeOptions,
    given: usize,
    // The key passed last, given or not; everything up to it in direction is done.
    passed: Option<Bytes>,
    ended: bool,
    // What the engine has not been asked for yet, and what it gave, next pair last.
    unread: Option<KeyRange>,
    chunk: Vec<(Bytes, Bytes)>,
}

impl<'t> RangeReader<'t> {
    pub(super) fn new(transaction: &'t mut Transaction, range: KeyRange, options: RangeOptions) -> Self {
        let unread = (!range.is_empty()).then(|| range.clone());
        Self { transaction, range, options, given: 0, passed: None, ended: false, unread, chunk: Vec::new() }
    }

    /// The next pair in the order asked for; `None` at the end or once the limit is reached.
    pub async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        while !self.ended && self.options.limit.is_none_or(|limit| self.given < limit) {
            if self.chunk.is_empty() && self.unread.is_some() {
                self.fetch().await?;
                continue;
            }
            let Some((key, value)) = self.merge_one()? else {
                self.ended = true;
                break;
            };
            self.passed = Some(key.clone());
            if let Some(value) = value {
                self.given += 1;
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }

    /// All that is left, in memory: for ranges known to be small, or with a limit.
    pub async fn collect(mut self) -> Result<Vec<(Bytes, Bytes)>> {
        let mut pairs = Vec::new();
        while let Some(pair) = self.next().await? {
            pairs.push(pair);
        }
        Ok(pairs)
    }

    /// The next key of either side, and its value if it has one.
    fn merge_one(&mut self) -> Result<Option<(Bytes, Option<Bytes>)>> {
        let (mut begin, mut end) =
            (Bound::Included(&self.range.begin[..]), Bound::Excluded(&self.range.end[..]));
        match &self.passed {
            Some(passed) if self.options.reverse => end = Bound::Excluded(passed),
            Some(passed) => begin = Bound::Excluded(passed),
            None => {}
        }
        let Some((key, entry)) = self.transaction.overlay.next(begin, end, self.options.reverse) else {
            return Ok(self.chunk.pop().map(|(key, value)| (key, Some(value))));
        };
        let order = self.chunk.last().map_or(Ordering::Greater, |(beneath, _)| {
            if self.options.reverse { key.cmp(beneath) } else { beneath.cmp(key) }
        });
        // `order`: how the engine's next key stands to ours in reading direction.
        let beneath = match order {
            Ordering::Less => return Ok(self.chunk.pop().map(|(key, value)| (key, Some(value)))),
            Ordering::Equal => self.chunk.pop().map(|(_, value)| value),
            Ordering::Greater => None,
        };
        Ok(Some((key.clone(), entry.over(beneath)?)))
    }

    /// Asks the engine for the next chunk that no own clear hides.
    async fn fetch(&mut self) -> Result<()> {
        let Some(unread) = self.unread.take() else { return Ok(()) };
        let reverse = self.options.reverse;
        let Some(part) = self.transaction.overlay.uncleared(&unread, reverse) else { return Ok(()) };
        let wanted = self.options.limit.map_or(usize::MAX, |limit| limit - self.given);
        let limit = ChunkLimit {
            pairs: wanted.min(limits::RANGE_CHUNK_PAIRS),
            octets: limits::RANGE_CHUNK_OCTETS,
            reverse,
        };
        let chunk = self.transaction.read_chunk(part.clone(), limit).await?;
        let last = chunk.pairs.last().filter(|_| chunk.more).map(|(key, _)| key.clone());
        let rest = match (reverse, last) {
            (false, Some(last)) => KeyRange::new(key_after(&last), unread.end),
            (false, None) => KeyRange::new(part.end, unread.end),
            (true, Some(last)) => KeyRange::new(unread.begin, last),
            (true, None) => KeyRange::new(unread.begin, part.begin),
        };
        self.unread = (!rest.is_empty()).then_some(rest);
        self.chunk = chunk.pairs;
        self.chunk.reverse();
        Ok(())
    }
}

impl Drop for RangeReader<'_> {
    fn drop(&mut self) {
        if self.options.snapshot || self.range.is_empty() {
            return;
        }
        let range = match &self.passed {
            _ if self.ended => self.range.clone(),
            Some(passed) if self.options.reverse => KeyRange::new(passed.clone(), self.range.end.clone()),
            Some(passed) => KeyRange::new(self.range.begin.clone(), key_after(passed)),
            None => return,
        };
        self.transaction.add_read_conflict(range);
    }
}
