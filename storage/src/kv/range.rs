//! Ranges of keys, and how they are read.

use bytes::Bytes;

/// Keys from `begin` (included) to `end` (excluded).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// First key.
    pub begin: Bytes,
    /// First key no longer in the range.
    pub end: Bytes,
}

impl KeyRange {
    /// From `begin` to before `end`.
    pub fn new(begin: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { begin: begin.into(), end: end.into() }
    }

    /// The keys that start with `prefix`. `prefix` must not be empty or all `FF`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let kept = prefix.iter().rposition(|octet| *octet != 0xff).map_or(0, |at| at + 1);
        let mut end = prefix[..kept].to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { begin: Bytes::copy_from_slice(prefix), end: end.into() }
    }

    /// The one key.
    pub fn key(key: &[u8]) -> Self {
        let end = key_after(key);
        Self { begin: end.slice(..key.len()), end }
    }

    /// The key, if the range holds exactly one that there can be.
    pub fn as_key(&self) -> Option<&Bytes> {
        let (zero, head) = self.end.split_last()?;
        (*zero == 0 && head == self.begin).then_some(&self.begin)
    }

    /// Whether no key lies in the range.
    pub fn is_empty(&self) -> bool {
        self.begin >= self.end
    }

    /// Whether the key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.begin.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether any key lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.begin < other.end && other.begin < self.end && !self.is_empty() && !other.is_empty()
    }

    /// Octets of both ends.
    pub fn octets(&self) -> usize {
        self.begin.len() + self.end.len()
    }
}

/// The first key behind `key`.
pub fn key_after(key: &[u8]) -> Bytes {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after.into()
}

/// How a range is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct RangeOptions {
    /// Most pairs; `None` for all.
    pub limit: Option<usize>,
    /// From the end of the range backwards.
    pub reverse: bool,
    /// Without a read conflict.
    pub snapshot: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_behind_its_last_key() {
        assert_eq!(KeyRange::prefix(b"a\xff").end.as_ref(), b"b");
        assert!(KeyRange::prefix(b"ab").contains(b"ab\xff\xff"));
        assert!(!KeyRange::prefix(b"ab").contains(b"ac"));
    }

    #[test]
    fn a_key_is_a_range_of_one() {
        let range = KeyRange::key(b"ab");
        assert_eq!(range.as_key().map(AsRef::as_ref), Some(&b"ab"[..]));
        assert!(range.contains(b"ab") && !range.contains(b"ab\0"));
        assert_eq!(KeyRange::new(&b"a"[..], &b"b"[..]).as_key(), None);
    }

    #[test]
    fn empty_ranges_overlap_nothing() {
        let empty = KeyRange::new(&b"b"[..], &b"b"[..]);
        assert!(!empty.overlaps(&KeyRange::new(&b"a"[..], &b"c"[..])));
    }
}
