//! A bounded piece of a database, in the order of keys.

use bytes::Bytes;

use crate::kv::range::key_after;
use crate::kv::{Database, KeyRange, RangeOptions};
use crate::{Result, limits};

/// The first pairs of a range, and up to where they are all that is there.
pub(super) struct Page {
    pub(super) pairs: Vec<(Bytes, Bytes)>,
    /// First key of which nothing is known.
    pub(super) end: Bytes,
}

impl Page {
    /// Reads it at one version.
    pub(super) async fn read(db: &Database, range: &KeyRange) -> Result<Self> {
        let options =
            RangeOptions { limit: Some(limits::MOVE_PAGE_PAIRS), snapshot: true, ..RangeOptions::default() };
        db.run(async |tx| {
            let mut reader = tx.range(range.clone(), options);
            let (mut pairs, mut octets) = (Vec::new(), 0);
            let mut end = range.end.clone();
            while let Some((key, value)) = reader.next().await? {
                octets += key.len() + value.len();
                let is_full =
                    octets >= limits::MOVE_PAGE_OCTETS || pairs.len() + 1 == limits::MOVE_PAGE_PAIRS;
                pairs.push((key, value));
                if is_full {
                    end = pairs.last().map(|(key, _)| key_after(key)).unwrap_or_default();
                    break;
                }
            }
            Ok(Self { pairs, end })
        })
        .await
    }

    /// Forgets what lies at `end` or behind.
    pub(super) fn cut(&mut self, end: &Bytes) {
        let kept = self.pairs.partition_point(|(key, _)| key < end);
        self.pairs.truncate(kept);
        self.end = end.clone();
    }
}
