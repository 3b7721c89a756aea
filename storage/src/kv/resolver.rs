//! The conflict window: what was written at which recent version, so that a transaction that read
//! before is refused. Knows nothing of values.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::engine::{Commit, Mutation, Version};
use super::range::KeyRange;
use crate::{Error, Result, limits};

/// Recent writes. Reads before its floor cannot be judged any more.
pub(crate) struct Window {
    floor: u64,
    /// The last version that wrote the key.
    points: BTreeMap<Bytes, u64>,
    /// Ranges written, ascending by version.
    ranges: VecDeque<(u64, KeyRange)>,
    /// Which keys each version wrote, ascending.
    history: VecDeque<(u64, Vec<Bytes>)>,
}

impl Window {
    /// Knows all that is written after `floor`.
    pub(crate) fn new(floor: Version) -> Self {
        Self { floor: floor.0, points: BTreeMap::new(), ranges: VecDeque::new(), history: VecDeque::new() }
    }

    /// `Conflict` if anything that the transaction read was written since; `TooOld` if it read before
    /// the floor.
    pub(crate) fn check(&self, commit: &Commit) -> Result<()> {
        let Some(Version(read)) = commit.read_version else { return Ok(()) };
        if read < self.floor {
            return Err(Error::TooOld);
        }
        if commit.read_conflicts.iter().any(|range| self.was_written(range, read)) {
            return Err(Error::Conflict);
        }
        Ok(())
    }

    /// Takes in what a survivor writes.
    pub(crate) fn record(&mut self, Version(version): Version, commit: &Commit) {
        let mut keys = Vec::with_capacity(commit.mutations.len());
        for mutation in &commit.mutations {
            match mutation {
                Mutation::Set(key, _) | Mutation::Clear(key) => keys.push(key.clone()),
                Mutation::Add(key, _) | Mutation::Max(key, _) | Mutation::Min(key, _) => {
                    keys.push(key.clone())
                }
                Mutation::SetVersionstampedValue { key, .. } => keys.push(key.clone()),
                Mutation::ClearRange(range) => self.ranges.push_back((version, range.clone())),
                Mutation::SetVersionstampedKey { key, offset, .. } => {
                    self.ranges.push_back((version, stamped_range(key, *offset)));
                }
            }
        }
        for range in &commit.write_conflicts {
            match range.as_key() {
                Some(key) => keys.push(key.clone()),
                None => self.ranges.push_back((version, range.clone())),
            }
        }
        for key in &keys {
            self.points.insert(key.clone(), version);
        }
        self.history.push_back((version, keys));
        while self.points.len() + self.ranges.len() > limits::WINDOW_KEYS && self.history.len() > 1 {
            let oldest = self.history.front().map_or(self.floor, |(version, _)| *version);
            self.forget(Version(oldest));
        }
    }

    /// Forgets what was written up to `floor`: transactions that read before it are too old from now on.
    pub(crate) fn forget(&mut self, Version(floor): Version) {
        self.floor = self.floor.max(floor);
        while let Some((version, keys)) = self.history.pop_front_if(|(version, _)| *version <= floor) {
            for key in keys {
                if self.points.get(&key).is_some_and(|last| *last == version) {
                    self.points.remove(&key);
                }
            }
        }
        while self.ranges.pop_front_if(|(version, _)| *version <= floor).is_some() {}
    }

    /// What was taken in behind `applied` was never committed, and nobody will ever read at its versions: its keys
    /// count as written at `applied`, so that who reads now does not conflict with it for good. Who read before may do so
    /// needlessly: when they were written before is not known any more.
    pub(crate) fn take_back(&mut self, Version(applied): Version) {
        self.points.values_mut().for_each(|version| *version = applied.min(*version));
        self.ranges.iter_mut().for_each(|(version, _)| *version = applied.min(*version));
        self.history.iter_mut().for_each(|(version, _)| *version = applied.min(*version));
    }

    fn was_written(&self, range: &KeyRange, since: u64) -> bool {
        let point = match range.as_key() {
            Some(key) => self.points.get(key).is_some_and(|version| *version > since),
            None => {
                !range.is_empty()
                    && self
                        .points
                        .range::<Bytes, _>(&range.begin..&range.end)
                        .any(|(_, version)| *version > since)
            }
        };
        let recent = self.ranges.iter().rev().take_while(|(version, _)| *version > since);
        point || recent.map(|(_, written)| written).any(|written| written.overlaps(range))
    }
}

/// All keys that a versionstamped one can become: a reader of the range where it appears conflicts.
fn stamped_range(key: &Bytes, offset: usize) -> KeyRange {
    let mut end = key[..offset].to_vec();
    end.extend_from_slice(&[0xff; 11]);
    KeyRange::new(key.slice(..offset), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(read: u64, reads: &[KeyRange], writes: &'static [&'static str]) -> Commit {
        let set = |key: &&'static str| Mutation::Set(Bytes::from_static(key.as_bytes()), Bytes::new());
        Commit {
            read_version: Some(Version(read)),
            read_conflicts: reads.to_vec(),
            write_conflicts: Vec::new(),
            mutations: writes.iter().map(set).collect(),
        }
    }

    #[test]
    fn reads_before_a_write_conflict_and_reads_after_it_do_not() {
        let mut window = Window::new(Version(0));
        window.record(Version(5), &commit(0, &[], &["b"]));
        let key = [KeyRange::key(b"b")];
        let range = [KeyRange::new("a", "c")];
        assert!(matches!(window.check(&commit(4, &key, &[])), Err(Error::Conflict)));
        assert!(matches!(window.check(&commit(4, &range, &[])), Err(Error::Conflict)));
        assert!(window.check(&commit(5, &key, &[])).is_ok());
        assert!(window.check(&commit(4, &[KeyRange::new("c", "d")], &[])).is_ok());
    }

    #[test]
    fn what_is_taken_back_conflicts_only_with_who_read_before() {
        let mut window = Window::new(Version(0));
        window.record(Version(5), &commit(0, &[], &["b"]));
        window.record(Version(6), &commit(0, &[], &["b", "c"]));
        window.take_back(Version(5));
        let keys = [KeyRange::key(b"b"), KeyRange::new("c", "d")];
        assert!(window.check(&commit(5, &keys, &[])).is_ok());
        assert!(matches!(window.check(&commit(4, &keys, &[])), Err(Error::Conflict)));
        window.forget(Version(5));
        assert!(window.points.is_empty() && window.history.is_empty());
    }

    #[test]
    fn what_is_forgotten_makes_reads_too_old() {
        let mut window = Window::new(Version(0));
        window.record(Version(5), &commit(0, &[], &["b"]));
        window.forget(Version(5));
        assert!(matches!(window.check(&commit(4, &[], &[])), Err(Error::TooOld)));
        assert!(window.points.is_empty() && window.history.is_empty());
    }
}
