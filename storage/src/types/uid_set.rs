//! A set of UIDs as ascending, disjoint, non-adjacent ranges: the form in which clients name them
//! and in which replies list them.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Uid;

/// A set of UIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct UidSet {
    // Invariant: ascending, disjoint, and with a gap of at least one between neighbours.
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Every UID there can be.
    pub fn all() -> Self {
        Self { ranges: vec![(1, u32::MAX)] }
    }

    /// Adds one UID.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid..=uid);
    }

    /// Adds all of a range, in whichever order its ends are given.
    pub fn insert_range(&mut self, range: RangeInclusive<Uid>) {
        let (start, end) = (range.start().get(), range.end().get());
        let (mut low, mut high) = (start.min(end), start.max(end));
        if let Some(last) = self.ranges.last_mut()
            && low >= last.0
            && low <= last.1.saturating_add(1)
        {
            last.1 = last.1.max(high);
            return;
        }
        let first = self.ranges.partition_point(|range| range.1.saturating_add(1) < low);
        let after = self.ranges.partition_point(|range| range.0 <= high.saturating_add(1));
        if first < after {
            low = low.min(self.ranges[first].0);
            high = high.max(self.ranges[after - 1].1);
        }
        self.ranges.splice(first..after, [(low, high)]);
    }

    /// Whether the UID is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < uid.get());
        self.ranges.get(at).is_some_and(|range| range.0 <= uid.get())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.1 - range.0) + 1).sum()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<Uid>> + '_ {
        let uid = |value| Uid::new(value).expect("a range never holds 0");
        self.ranges.iter().map(move |range| uid(range.0)..=uid(range.1))
    }

    /// Every UID, ascending. May be four billion: bound them by a mailbox first.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|range| (range.0..=range.1).filter_map(Uid::new))
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        set.extend(uids);
        set
    }
}

impl Extend<Uid> for UidSet {
    fn extend<I: IntoIterator<Item = Uid>>(&mut self, uids: I) {
        uids.into_iter().for_each(|uid| self.insert(uid));
    }
}

/// The sequence-set syntax of RFC 9051 §9: `1:4,7`.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (low, high)) in self.ranges.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            if low == high {
                write!(f, "{comma}{low}")?;
            } else {
                write!(f, "{comma}{low}:{high}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(ranges in prop::collection::vec((1u32..200, 1u32..200), 0..20)) {
            let mut set = UidSet::new();
            let mut model = BTreeSet::new();
            for (start, end) in ranges {
                set.insert_range(Uid::new(start).expect("not 0")..=Uid::new(end).expect("not 0"));
                model.extend(start.min(end)..=start.max(end));
            }
            prop_assert_eq!(set.iter().map(Uid::get).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), model.len() as u64);
            for value in 1..210 {
                prop_assert_eq!(set.contains(Uid::new(value).expect("not 0")), model.contains(&value));
            }
            for pair in set.ranges.windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0);
            }
        }
    }
}
