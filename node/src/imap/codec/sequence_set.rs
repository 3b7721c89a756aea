//! Sequence sets (RFC 9051 §9 `sequence-set`): as clients write them, and resolved against a mailbox.

use std::fmt;
use std::num::NonZeroU32;

use sterna_storage::types::{Uid, UidSet};

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceNumber {
    /// A message sequence number or UID.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Last,
}

impl SequenceNumber {
    fn resolve(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Last => last,
        }
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Last => f.write_str("*"),
        }
    }
}

/// What a client names: numbers, or `$` for what its last SEARCH saved (RFC 5182).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`.
    Saved,
    /// Ranges in the client's order; the ends of each in either order.
    Ranges(Vec<(SequenceNumber, SequenceNumber)>),
}

impl SequenceSet {
    /// The ranges as ascending, disjoint pairs with `*` replaced by `last`; `$` gives none.
    /// Sequence numbers have the same shape as UIDs, so that one set type serves both.
    pub fn resolve(&self, last: u32) -> UidSet {
        let Self::Ranges(ranges) = self else { return UidSet::new() };
        let mut pairs: Vec<(u32, u32)> = ranges
            .iter()
            .map(|(first, second)| (first.resolve(last), second.resolve(last)))
            .map(|(first, second)| (first.min(second), first.max(second)))
            .collect();
        // Ascending insertion is constant time each: a hostile order must not cost a quadratic number of steps.
        pairs.sort_unstable();
        let mut set = UidSet::new();
        for (low, high) in pairs {
            // In an empty mailbox `*` is 0, which is no message.
            if let (Some(low), Some(high)) = (Uid::new(low.max(1)), Uid::new(high)) {
                set.insert_range(low..=high);
            }
        }
        set
    }

    /// Whether every number is in `1..=last`. In an empty mailbox, ranges up to `*` are too, and name
    /// nothing: RFC 9051 §9 `seq-number` would rather refuse them, but clients ask for `1:*` of
    /// whatever they open.
    pub fn is_within(&self, last: u32) -> bool {
        let Self::Ranges(ranges) = self else { return true };
        if last == 0 {
            let is_open = |number: &SequenceNumber| *number == SequenceNumber::Last;
            return ranges.iter().all(|(first, second)| is_open(first) || is_open(second));
        }
        let within = |number: SequenceNumber| (1..=last).contains(&number.resolve(last));
        ranges.iter().all(|(first, second)| within(*first) && within(*second))
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ranges(ranges) = self else { return f.write_str("$") };
        for (position, (first, last)) in ranges.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}:{last}")?;
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
    use crate::imap::codec::cursor::Cursor;

    fn set(text: &str) -> SequenceSet {
        Cursor::new(text.as_bytes()).sequence_set().expect("valid")
    }

    #[test]
    fn the_examples_of_rfc_9051_section_9() {
        assert_eq!(set("2,4:7,9,12:*").resolve(15).to_string(), "2,4:7,9,12:15");
        assert_eq!(set("*:4,5:7").resolve(10).to_string(), "4:10");
        assert_eq!(set("3291:*").resolve(17).to_string(), "17:3291");
        assert_eq!(set("1:*").resolve(0).to_string(), "1");
        assert!(set("1:*").is_within(0) && set("*").is_within(0) && !set("1").is_within(0));
        assert!(!set("11").is_within(10) && set("*").is_within(1));
    }

    proptest! {
        #[test]
        fn resolves_as_a_plain_set_does(
            ranges in prop::collection::vec((0u32..60, 0u32..60), 1..12), last in 1u32..80
        ) {
            let end = |value: u32| NonZeroU32::new(value).map_or(SequenceNumber::Last, SequenceNumber::Number);
            let written = SequenceSet::Ranges(ranges.iter().map(|(a, b)| (end(*a), end(*b))).collect());
            let mut model = BTreeSet::new();
            for (a, b) in ranges {
                let (a, b) = (if a == 0 { last } else { a }, if b == 0 { last } else { b });
                model.extend(a.min(b)..=a.max(b));
            }
            let resolved: Vec<u32> = written.resolve(last).iter().map(Uid::get).collect();
            prop_assert_eq!(resolved, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(set(&written.to_string()), written);
        }
    }
}
