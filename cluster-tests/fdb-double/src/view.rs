//! What a transaction sees: the store at its read version, its own writes over it; key selectors and
//! ranges over both.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::errors::{self, Code};
use crate::history::{History, Value};
use crate::overlay::Overlay;

/// The end of the keys that users may have.
pub(crate) const END: &[u8] = b"\xff";

/// Keys and values.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A store at a version, under a transaction's writes (if it is to see them).
pub(crate) struct View<'v> {
    pub(crate) history: &'v History,
    pub(crate) at: i64,
    pub(crate) overlay: Option<&'v Overlay>,
}

/// Describes a key by its place: the last key that is less than (`or_equal`: or equal to) this one, and
/// from there so many keys on.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) key: Vec<u8>,
    pub(crate) or_equal: bool,
    pub(crate) offset: i32,
}

/// Most that one range read gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) pairs: usize,
    pub(crate) octets: usize,
}

impl Limits {
    /// From what the C interface is given. `SMALL` and so on are sizes that the client library chooses.
    pub(crate) fn new(pairs: i32, octets: i32, mode: i32, iteration: i32) -> Result<Self, Code> {
        const ITERATOR: [usize; 10] =
            [4096, 6144, 9216, 13_824, 20_736, 31_104, 46_656, 69_984, 80_000, 120_000];
        if pairs < 0 || octets < 0 {
            return Err(errors::RANGE_LIMITS_INVALID);
        }
        let of_mode = match mode {
            -1 if iteration <= 0 => return Err(errors::CLIENT_INVALID_OPERATION),
            -1 => ITERATOR[(iteration as usize).min(ITERATOR.len()) - 1],
            0 if pairs == 0 => return Err(errors::EXACT_MODE_WITHOUT_LIMITS),
            0 => usize::MAX,
            1 => 256,
            2 => 1000,
            3 => 4096,
            -2 | 4 => 80_000,
            _ => return Err(errors::CLIENT_INVALID_OPERATION),
        };
        let or_none = |limit: i32| if limit == 0 { usize::MAX } else { limit as usize };
        Ok(Self { pairs: or_none(pairs), octets: of_mode.min(or_none(octets)) })
    }
}

impl View<'_> {
    /// The key's value.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Code> {
        let beneath = self.history.value(self.at, key).map(|value| &value[..]);
        match self.overlay {
            Some(overlay) => overlay.value(key, beneath),
            None => Ok(beneath.map(<[u8]>::to_vec)),
        }
    }

    /// The pairs of the range in order, as far as `visit` wants them.
    fn scan(
        &self,
        (begin, end): (&[u8], &[u8]),
        reverse: bool,
        visit: impl FnMut(&[u8], Vec<u8>) -> bool,
    ) -> Result<(), Code> {
        let nothing = Overlay::default();
        let beneath = self.history.pairs(self.at, (begin, end));
        let overlay = self.overlay.unwrap_or(&nothing);
        if overlay.is_unreadable((begin, end)) {
            return Err(errors::ACCESSED_UNREADABLE);
        }
        let own = overlay.keys((begin, end));
        if reverse {
            let order = |one: &[u8], other: &[u8]| other.cmp(one);
            merge(overlay, (beneath.rev().peekable(), own.rev().peekable()), order, visit)
        } else {
            let order = |one: &[u8], other: &[u8]| one.cmp(other);
            merge(overlay, (beneath.peekable(), own.peekable()), order, visit)
        }
    }

    /// The key that is meant: the empty one before the first, [`END`] behind the last.
    pub(crate) fn resolve(&self, selector: &Selector) -> Result<Vec<u8>, Code> {
        let Selector { key, or_equal, offset } = selector;
        let border = if *or_equal { crate::history::after(key) } else { key.clone() };
        let reverse = *offset < 1;
        let (range, mut left) = if reverse {
            ((&b""[..], &border[..]), 1 - i64::from(*offset))
        } else {
            ((&border[..], END), i64::from(*offset))
        };
        let mut found = if reverse { Vec::new() } else { END.to_vec() };
        self.scan(range, reverse, |key, _| {
            left -= 1;
            if left == 0 {
                found = key.to_vec();
            }
            left > 0
        })?;
        Ok(found)
    }

    /// The next pairs of the range, and whether a limit ended them. Who is told `more` may find none.
    pub(crate) fn range(
        &self,
        range: (&[u8], &[u8]),
        limits: Limits,
        reverse: bool,
    ) -> Result<(Pairs, bool), Code> {
        let (mut pairs, mut octets, mut more) = (Vec::new(), 0, false);
        self.scan(range, reverse, |key, value| {
            octets += key.len() + value.len();
            pairs.push((key.to_vec(), value));
            more = pairs.len() >= limits.pairs || octets >= limits.octets;
            !more
        })?;
        Ok((pairs, more))
    }
}

/// Goes through both in one order, each key once.
fn merge<'m>(
    overlay: &Overlay,
    (mut beneath, mut own): (
        Peekable<impl Iterator<Item = (&'m [u8], &'m Value)>>,
        Peekable<impl Iterator<Item = &'m [u8]>>,
    ),
    order: impl Fn(&[u8], &[u8]) -> Ordering,
    mut visit: impl FnMut(&[u8], Vec<u8>) -> bool,
) -> Result<(), Code> {
    loop {
        let turn = match (beneath.peek(), own.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((key, _)), Some(written)) => order(key, written),
        };
        let under = if turn == Ordering::Greater { None } else { beneath.next() };
        let over = if turn == Ordering::Less { None } else { own.next() };
        let key = under.map(|(key, _)| key).or(over).expect("one of the two was next");
        let value = overlay.value(key, under.map(|(_, value)| &value[..]))?;
        if value.is_some_and(|value| !visit(key, value)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Commit, Mutation};

    fn store(keys: &[&str]) -> (History, i64) {
        let mut history = History::default();
        let mutations = keys.iter().map(|key| Mutation::Set(key.as_bytes().to_vec(), vec![7])).collect();
        let version = history.next_version();
        history.apply(version, 0, Commit { mutations, ..Commit::default() });
        (history, version)
    }

    #[test]
    fn selectors_count_keys_from_their_place() {
        let (history, at) = store(&["b", "d", "f"]);
        let view = View { history: &history, at, overlay: None };
        let resolve = |key: &str, or_equal, offset| {
            view.resolve(&Selector { key: key.into(), or_equal, offset }).expect("resolves")
        };
        // First greater or equal, first greater, last less, last less or equal.
        assert_eq!((resolve("d", false, 1), resolve("d", true, 1)), (b"d".to_vec(), b"f".to_vec()));
        assert_eq!((resolve("d", false, 0), resolve("d", true, 0)), (b"b".to_vec(), b"d".to_vec()));
        assert_eq!((resolve("a", false, 3), resolve("c", false, 2)), (b"f".to_vec(), b"f".to_vec()));
        assert_eq!((resolve("z", false, 1), resolve("a", true, 0)), (END.to_vec(), Vec::new()));
        assert_eq!(resolve("f", true, -1), b"d".to_vec());
    }

    #[test]
    fn ranges_merge_own_writes_and_stop_at_limits() {
        let (history, at) = store(&["b", "d", "f"]);
        let mut overlay = Overlay::default();
        overlay.push(&Mutation::Clear(b"b".to_vec()));
        overlay.push(&Mutation::Set(b"c".to_vec(), vec![1]));
        let view = View { history: &history, at, overlay: Some(&overlay) };
        let read = |pairs, octets, reverse| {
            let (found, more) = view.range((b"a", b"z"), Limits { pairs, octets }, reverse).expect("reads");
            (
                found.into_iter().map(|(key, _)| String::from_utf8(key).expect("text")).collect::<String>(),
                more,
            )
        };
        assert_eq!(read(9, 99, false), ("cdf".into(), false));
        assert_eq!(read(9, 99, true), ("fdc".into(), false));
        assert_eq!(read(2, 99, false), ("cd".into(), true));
        assert_eq!(read(9, 1, true), ("f".into(), true));
        assert_eq!(Limits::new(0, 0, 0, 1).err(), Some(errors::EXACT_MODE_WITHOUT_LIMITS));
        assert_eq!(Limits::new(0, 500, 3, 1).expect("valid").octets, 500);
    }
}
