//! One optimistic transaction: reads at one version, sees its own writes, commits or conflicts.

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
    pub fn new(begin: Bytes, end: Bytes) -> Self {
        Self { begin, end }
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
        let mut end = Vec::with_capacity(key.len() + 1);
        end.extend_from_slice(key);
        end.push(0);
        Self { begin: Bytes::copy_from_slice(key), end: end.into() }
    }

    /// Whether the key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.begin.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether any key lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.begin < other.end && other.begin < self.end
    }
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
