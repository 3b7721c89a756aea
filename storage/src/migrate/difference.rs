//! What must be written to a target so that it holds what the source holds: a merge of both in the order of keys.

use std::cmp::Ordering;

use bytes::Bytes;

/// The writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// What is missing or has another value.
    pub(super) set: Vec<(Bytes, Bytes)>,
    /// What the source does not have.
    pub(super) cleared: Vec<Bytes>,
}

impl Difference {
    /// Between two ascending lists of pairs.
    pub(super) fn between(source: &[(Bytes, Bytes)], target: &[(Bytes, Bytes)]) -> Self {
        let mut difference = Self::default();
        let (mut wanted, mut found) = (source.iter().peekable(), target.iter().peekable());
        loop {
            let order = match (wanted.peek(), found.peek()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((wanted, _)), Some((found, _))) => wanted.cmp(found),
            };
            let pair = if order.is_le() { wanted.next() } else { None };
            let other = if order.is_ge() { found.next() } else { None };
            match (pair, other) {
                (None, Some((key, _))) => difference.cleared.push(key.clone()),
                (Some(pair), other) if Some(pair) != other => difference.set.push(pair.clone()),
                _ => {}
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.cleared.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn pairs(map: &BTreeMap<Vec<u8>, u8>) -> Vec<(Bytes, Bytes)> {
        map.iter().map(|(key, value)| (key.clone().into(), vec![*value].into())).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_makes_both_equal_and_is_the_least(
            source in btree_map(proptest::collection::vec(0..4u8, 1..4), 0..3u8, 0..30),
            target in btree_map(proptest::collection::vec(0..4u8, 1..4), 0..3u8, 0..30),
        ) {
            let difference = Difference::between(&pairs(&source), &pairs(&target));
            let mut made = target.clone();
            for key in &difference.cleared {
                prop_assert!(made.remove(&key[..]).is_some());
            }
            for (key, value) in &difference.set {
                prop_assert!(target.get(&key[..]) != Some(&value[0]));
                made.insert(key.to_vec(), value[0]);
            }
            prop_assert_eq!(&made, &source);
            prop_assert_eq!(difference.is_empty(), source == target);
        }
    }
}
