//! A transaction's own writes, as its reads see them: `set` and `clear` replace, an atomic operation is
//! carried out over what is beneath, and what holds a versionstamp cannot be read.

use std::collections::BTreeMap;

use crate::errors::{self, Code};
use crate::history::{Mutation, Range};

/// Own writes by key.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    keys: BTreeMap<Vec<u8>, Own>,
    cleared: Vec<Range>,
    // Where a versionstamped key may come to stand.
    unreadable: Vec<Range>,
}

/// What was done to one key.
#[derive(Debug, Default)]
struct Own {
    // Whether nothing beneath counts any more.
    covers: bool,
    stamped: bool,
    writes: Vec<Mutation>,
}

impl Overlay {
    /// Takes a write in.
    pub(crate) fn push(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Set(key, _) | Mutation::Clear(key) => {
                let own = self.own(key);
                own.covers = true;
                own.writes = vec![mutation.clone()];
            }
            Mutation::Atomic(key, ..) => self.own(key).writes.push(mutation.clone()),
            Mutation::StampedValue(key, ..) => self.own(key).stamped = true,
            Mutation::StampedKey(key, at, _) => {
                let with = |octet: u8| {
                    let mut key = key.clone();
                    key[*at..at + 10].fill(octet);
                    key
                };
                self.unreadable.push((with(0), crate::history::after(&with(0xff))));
            }
            Mutation::ClearRange(range) => {
                self.keys.retain(|key, own| own.stamped || !contains(range, key));
                for (_, own) in self.keys.iter_mut().filter(|(key, _)| contains(range, key)) {
                    *own = Own { covers: true, stamped: true, writes: Vec::new() };
                }
                self.cleared.push(range.clone());
            }
        }
    }

    fn own(&mut self, key: &[u8]) -> &mut Own {
        let covers = self.is_cleared(key);
        self.keys.entry(key.to_vec()).or_insert_with(|| Own { covers, ..Own::default() })
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared.iter().any(|range| contains(range, key))
    }

    /// Whether a read of the key depends on what is beneath.
    pub(crate) fn reads_beneath(&self, key: &[u8]) -> bool {
        self.keys.get(key).map_or_else(|| !self.is_cleared(key), |own| !own.covers)
    }

    /// What the key holds, given what is beneath.
    pub(crate) fn value(&self, key: &[u8], beneath: Option<&[u8]>) -> Result<Option<Vec<u8>>, Code> {
        if self.unreadable.iter().any(|range| contains(range, key)) {
            return Err(errors::ACCESSED_UNREADABLE);
        }
        let Some(own) = self.keys.get(key) else {
            return Ok(beneath.filter(|_| !self.is_cleared(key)).map(<[u8]>::to_vec));
        };
        if own.stamped {
            return Err(errors::ACCESSED_UNREADABLE);
        }
        let mut value = beneath.filter(|_| !own.covers).map(<[u8]>::to_vec);
        for write in &own.writes {
            value = match write {
                Mutation::Set(_, value) => Some(value.clone()),
                Mutation::Atomic(_, operation, operand) => operation.apply(value.as_deref(), operand),
                _ => None,
            };
        }
        Ok(value)
    }

    /// The keys of a range that were written by name; from either end.
    pub(crate) fn keys(&self, (begin, end): (&[u8], &[u8])) -> impl DoubleEndedIterator<Item = &[u8]> {
        use std::ops::Bound::{Excluded, Included};
        let end = end.max(begin);
        self.keys.range::<[u8], _>((Included(begin), Excluded(end))).map(|(key, _)| key.as_slice())
    }

    /// Whether a read of the whole range meets a place where a versionstamped key may come to stand.
    pub(crate) fn is_unreadable(&self, (begin, end): (&[u8], &[u8])) -> bool {
        self.unreadable.iter().any(|range| range.0.as_slice() < end && begin < range.1.as_slice())
    }
}

fn contains(range: &Range, key: &[u8]) -> bool {
    range.0.as_slice() <= key && key < range.1.as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::Operation;

    #[test]
    fn own_writes_hide_change_or_lock_what_is_beneath() {
        let mut overlay = Overlay::default();
        let seen = |overlay: &Overlay, key: &str| overlay.value(key.as_bytes(), Some(&[1]));
        overlay.push(&Mutation::Atomic(b"n".to_vec(), Operation::Add, vec![2]));
        assert_eq!((seen(&overlay, "n"), overlay.reads_beneath(b"n")), (Ok(Some(vec![3])), true));
        overlay.push(&Mutation::ClearRange((b"m".to_vec(), b"o".to_vec())));
        assert_eq!((seen(&overlay, "n"), overlay.reads_beneath(b"n")), (Ok(None), false));
        overlay.push(&Mutation::Atomic(b"n".to_vec(), Operation::Add, vec![2]));
        assert_eq!((seen(&overlay, "n"), overlay.reads_beneath(b"n")), (Ok(Some(vec![2])), false));
        overlay.push(&Mutation::StampedValue(b"v".to_vec(), vec![0; 10], 0));
        overlay.push(&Mutation::Set(b"v".to_vec(), b"x".to_vec()));
        assert_eq!(seen(&overlay, "v"), Err(errors::ACCESSED_UNREADABLE));
        overlay.push(&Mutation::StampedKey([b"k".as_slice(), &[0; 10]].concat(), 1, Vec::new()));
        assert_eq!(seen(&overlay, "k12345"), Err(errors::ACCESSED_UNREADABLE));
        assert!(overlay.is_unreadable((b"a", b"l")) && !overlay.is_unreadable((b"l", b"z")));
    }
}
