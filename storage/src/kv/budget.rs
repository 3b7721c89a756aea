//! What a transaction may hold, the same for every engine and for whoever hands a commit in: its maker here, or another
//! node.

use super::engine::{Commit, Mutation};
use super::key::subspace;
use super::range::KeyRange;
use crate::{Error, Result, limits};

/// What one mutation or conflict range adds to a transaction beside its octets.
pub(crate) const OVERHEAD_OCTETS: usize = 16;

impl Mutation {
    /// What it takes of a transaction's budget.
    pub(crate) fn octets(&self) -> usize {
        let octets = match self {
            Self::Set(key, value) => key.len() + value.len(),
            Self::SetVersionstampedKey { key, value, .. } => key.len() + value.len(),
            Self::SetVersionstampedValue { key, value, .. } => key.len() + value.len(),
            Self::Clear(key) => key.len(),
            Self::ClearRange(range) => range.octets(),
            Self::Add(key, _) | Self::Max(key, _) | Self::Min(key, _) => key.len() + size_of::<u64>(),
        };
        octets + OVERHEAD_OCTETS
    }

    /// `TooLarge` or `Invalid` if no transaction may hold it.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Set(key, value) => check_value(value).and_then(|()| check_key(key)),
            Self::SetVersionstampedKey { key, offset, value } => {
                check_value(value).and_then(|()| check_key(key)).and_then(|()| check_stamp(key, *offset))
            }
            Self::SetVersionstampedValue { key, value, offset } => {
                check_value(value).and_then(|()| check_key(key)).and_then(|()| check_stamp(value, *offset))
            }
            Self::ClearRange(range) => check_key(&range.begin).and_then(|()| check_end(&range.end)),
            Self::Clear(key) | Self::Add(key, _) | Self::Max(key, _) | Self::Min(key, _) => check_key(key),
        }
    }
}

impl Commit {
    /// `TooLarge` or `Invalid` if no [`super::Transaction`] made it.
    pub(crate) fn check(&self) -> Result<()> {
        self.mutations.iter().try_for_each(Mutation::check)?;
        let conflicts = self.read_conflicts.iter().chain(&self.write_conflicts);
        let conflicts = conflicts.map(|range| range.octets() + OVERHEAD_OCTETS);
        check_total(self.mutations.iter().map(Mutation::octets).chain(conflicts).sum())
    }
}

/// Of a whole transaction.
pub(crate) fn check_total(octets: usize) -> Result<()> {
    check_length("transaction", octets, limits::TRANSACTION_OCTETS)
}

/// A key that is read or written.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    match key.first() {
        None => Err(Error::Invalid("empty key".into())),
        Some(&subspace::ENGINE) => Err(Error::Invalid("key in the engine's own subspace".into())),
        Some(_) => check_length("key", key.len(), limits::KEY_OCTETS),
    }
}

/// A range that is read: neither end is longer than one can be.
pub(crate) fn check_read(range: &KeyRange) -> Result<()> {
    check_end_length(&range.begin).and_then(|()| check_end_length(&range.end))
}

/// The end of a range may be the first key of the engine's.
fn check_end(end: &[u8]) -> Result<()> {
    check_end_length(end)?;
    match end {
        [subspace::ENGINE, _, ..] => Err(Error::Invalid("range into the engine's own subspace".into())),
        _ => Ok(()),
    }
}

/// The end of a range may be one octet longer than a key.
fn check_end_length(end: &[u8]) -> Result<()> {
    check_length("end of a range", end.len(), limits::KEY_OCTETS + 1)
}

fn check_value(value: &[u8]) -> Result<()> {
    check_length("value", value.len(), limits::VALUE_OCTETS)
}

fn check_stamp(octets: &[u8], offset: usize) -> Result<()> {
    match offset.checked_add(10) {
        Some(end) if end <= octets.len() => Ok(()),
        _ => Err(Error::Invalid("versionstamp outside of its key or value".into())),
    }
}

fn check_length(what: &str, octets: usize, bound: usize) -> Result<()> {
    if octets <= bound {
        return Ok(());
    }
    Err(Error::TooLarge(format!("{what} of {octets} octets, at most {bound}").into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_commit_that_no_transaction_makes_is_refused() {
        let key = |length: usize| Bytes::from(vec![b'k'; length]);
        let of = |mutations: Vec<Mutation>| Commit { mutations, ..Commit::default() };
        let set = |key: Bytes, octets: usize| Mutation::Set(key, vec![0; octets].into());
        let clear = |begin: Bytes, end: Bytes| Mutation::ClearRange(KeyRange { begin, end });
        let allowed =
            [set(key(limits::KEY_OCTETS), limits::VALUE_OCTETS), clear(key(1), key(limits::KEY_OCTETS + 1))];
        of(allowed.to_vec()).check().expect("the longest there are");
        let invalid = [
            set(Bytes::new(), 1),
            set(Bytes::from_static(b"\xffa"), 1),
            Mutation::Add(Bytes::new(), 1),
            clear(Bytes::new(), key(1)),
            clear(key(1), Bytes::from_static(b"\xff\x01")),
            Mutation::SetVersionstampedKey { key: key(9), offset: 0, value: key(1) },
            Mutation::SetVersionstampedValue { key: key(1), offset: 1, value: key(10) },
        ];
        for mutation in invalid {
            let refused = of(vec![mutation.clone()]).check();
            assert!(matches!(refused, Err(Error::Invalid(_))), "{mutation:?}: {refused:?}");
        }
        let large = [
            of(vec![Mutation::Clear(key(70_000))]),
            of(vec![set(key(1), limits::VALUE_OCTETS + 1)]),
            of(vec![clear(key(1), key(limits::KEY_OCTETS + 2))]),
            of(vec![set(key(1), limits::VALUE_OCTETS); 101]),
            Commit { read_conflicts: vec![KeyRange::new("a", key(10_000_000))], ..Commit::default() },
        ];
        for commit in large {
            let refused = commit.check();
            assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
        }
    }
}
