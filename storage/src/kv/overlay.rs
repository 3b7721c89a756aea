//! A transaction's own writes, laid over what it reads. Knows nothing of the engine beneath.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::atomic::Atomic;
use super::range::KeyRange;
use crate::{Error, Result};

/// What the transaction did to one key.
#[derive(Debug)]
pub(super) enum Entry {
    /// It has this value, whatever lies beneath.
    Value(Bytes),
    /// It is gone.
    Cleared,
    /// These operations, in order, are made on what lies beneath.
    Fold(SmallVec<[Atomic; 1]>),
    /// Its value is known only at the commit.
    Unreadable,
}

impl Entry {
    /// The key's value, given what lies beneath.
    pub(super) fn over(&self, beneath: Option<Bytes>) -> Result<Option<Bytes>> {
        match self {
            Self::Value(value) => Ok(Some(value.clone())),
            Self::Cleared => Ok(None),
            Self::Fold(operations) => Ok(operations
                .iter()
                .fold(beneath, |value, operation| Some(operation.apply(value.as_deref())))),
            Self::Unreadable => Err(Error::Invalid("read of a value that this transaction stamps".into())),
        }
    }
}

/// All that the transaction did.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    entries: BTreeMap<Bytes, Entry>,
    // Begin to end; disjoint, and no two touch. Entries lie over them.
    cleared: BTreeMap<Bytes, Bytes>,
}

impl Overlay {
    pub(super) fn set(&mut self, key: Bytes, value: Bytes) {
        self.entries.insert(key, Entry::Value(value));
    }

    pub(super) fn clear(&mut self, key: Bytes) {
        self.entries.insert(key, Entry::Cleared);
    }

    pub(super) fn stamp(&mut self, key: Bytes) {
        self.entries.insert(key, Entry::Unreadable);
    }

    pub(super) fn fold(&mut self, key: Bytes, operation: Atomic) {
        let cleared = self.is_cleared(&key);
        let entry = match self.entries.get_mut(&key) {
            Some(Entry::Fold(operations)) => return operations.push(operation),
            Some(Entry::Unreadable) => return,
            Some(Entry::Value(value)) => Entry::Value(operation.apply(Some(value))),
            Some(Entry::Cleared) => Entry::Value(operation.apply(None)),
            None if cleared => Entry::Value(operation.apply(None)),
            None => Entry::Fold(smallvec![operation]),
        };
        self.entries.insert(key, entry);
    }

    pub(super) fn clear_range(&mut self, range: &KeyRange) {
        if range.is_empty() {
            return;
        }
        let inside: Vec<Bytes> = self.within(range).map(|(key, _)| key.clone()).collect();
        for key in inside {
            self.entries.remove(&key);
        }
        let KeyRange { mut begin, mut end } = range.clone();
        while let Some((first, last)) = self.cleared.range(..=end.clone()).next_back()
            && *last >= begin
        {
            let first = first.clone();
            let last = self.cleared.remove(&first).expect("just found");
            begin = begin.min(first);
            end = end.max(last);
        }
        self.cleared.insert(begin, end);
    }

    /// What was done to the key by name.
    pub(super) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Whether the key lies in a cleared range.
    pub(super) fn is_cleared(&self, key: &[u8]) -> bool {
        let before = self.cleared.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(_, end)| key < end.as_ref())
    }

    /// The entry next in direction within the range.
    pub(super) fn next(
        &self,
        begin: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
    ) -> Option<(&Bytes, &Entry)> {
        if self.entries.is_empty() || is_void(begin, end) {
            return None;
        }
        let mut entries = self.entries.range::<[u8], _>((begin, end));
        if reverse { entries.next_back() } else { entries.next() }
    }

    /// The part of the range, next in direction, that no cleared range hides.
    pub(super) fn uncleared(&self, range: &KeyRange, reverse: bool) -> Option<KeyRange> {
        let KeyRange { mut begin, mut end } = range.clone();
        if reverse {
            let before = |key: &Bytes| self.cleared.range::<Bytes, _>(..key).next_back();
            if let Some((first, last)) = before(&end)
                && *last >= end
            {
                end = first.clone();
            }
            if let Some((_, last)) = before(&end) {
                begin = begin.max(last.clone());
            }
        } else {
            if let Some((_, last)) = self.cleared.range::<Bytes, _>(..=&begin).next_back() {
                begin = begin.max(last.clone());
            }
            if let Some((first, _)) = self.cleared.range::<Bytes, _>(&begin..).next() {
                end = end.min(first.clone());
            }
        }
        (begin < end).then_some(KeyRange { begin, end })
    }

    fn within(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.entries.range::<Bytes, _>(&range.begin..&range.end)
    }
}

/// Whether the bounds hold no key: `BTreeMap::range` panics on some of these.
fn is_void(begin: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (begin, end) {
        (Bound::Included(begin), Bound::Excluded(end)) => begin >= end,
        (Bound::Excluded(begin), Bound::Excluded(end)) => begin >= end,
        (Bound::Included(begin) | Bound::Excluded(begin), Bound::Included(end)) => begin > end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(begin: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(begin, end)
    }

    #[test]
    fn cleared_ranges_merge_where_they_touch() {
        let mut overlay = Overlay::default();
        for (begin, end) in [("b", "d"), ("f", "h"), ("d", "f"), ("x", "y"), ("a", "z")] {
            overlay.clear_range(&range(begin, end));
        }
        assert_eq!(overlay.cleared.len(), 1);
        assert!(overlay.is_cleared(b"a") && overlay.is_cleared(b"y") && !overlay.is_cleared(b"z"));
    }

    #[test]
    fn gaps_between_cleared_ranges_are_found_both_ways() {
        let mut overlay = Overlay::default();
        overlay.clear_range(&range("b", "d"));
        overlay.clear_range(&range("f", "h"));
        let whole = range("a", "z");
        assert_eq!(overlay.uncleared(&whole, false), Some(range("a", "b")));
        assert_eq!(overlay.uncleared(&range("b", "z"), false), Some(range("d", "f")));
        assert_eq!(overlay.uncleared(&whole, true), Some(range("h", "z")));
        assert_eq!(overlay.uncleared(&range("a", "g"), true), Some(range("d", "f")));
        assert_eq!(overlay.uncleared(&range("b", "d"), true), None);
        assert_eq!(overlay.uncleared(&range("b", "c"), false), None);
    }

    #[test]
    fn operations_fold_over_earlier_writes() {
        let mut overlay = Overlay::default();
        let key = || Bytes::from_static(b"k");
        let read = |overlay: &Overlay, base| {
            overlay.entry(b"k").expect("written").over(base).expect("readable").map(|value| value[0])
        };
        overlay.fold(key(), Atomic::Add(2));
        overlay.fold(key(), Atomic::Max(7));
        assert_eq!(read(&overlay, Some(Bytes::from_static(&[9]))), Some(11));
        assert_eq!(read(&overlay, None), Some(7));
        overlay.clear_range(&range("a", "z"));
        overlay.fold(key(), Atomic::Add(3));
        assert_eq!(read(&overlay, Some(Bytes::from_static(&[9]))), Some(3));
    }
}
