//! The store: every key's values by version, and which ranges each recent version wrote.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::atomic::Operation;
use crate::errors::{self, Code};

/// Keys from the first to before the second.
pub(crate) type Range = (Vec<u8>, Vec<u8>);
/// A value; shared by the versions and views that hold it.
pub(crate) type Value = Arc<[u8]>;

/// One write of a commit.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Set(Vec<u8>, Vec<u8>),
    Clear(Vec<u8>),
    ClearRange(Range),
    Atomic(Vec<u8>, Operation, Vec<u8>),
    /// The ten octets at that place of the key become the versionstamp.
    StampedKey(Vec<u8>, usize, Vec<u8>),
    /// Those of the value.
    StampedValue(Vec<u8>, Vec<u8>, usize),
}

/// What is handed in.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) read_version: i64,
    pub(crate) read_conflicts: Vec<Range>,
    pub(crate) write_conflicts: Vec<Range>,
    pub(crate) mutations: Vec<Mutation>,
}

/// All versions of all keys.
pub(crate) struct History {
    version: i64,
    // Version 0 was then; one version a microsecond, as in a cluster.
    began: Instant,
    keys: BTreeMap<Vec<u8>, Vec<(i64, Option<Value>)>>,
    recent: VecDeque<Written>,
}

/// What one commit wrote.
struct Written {
    version: i64,
    ranges: Vec<Range>,
    keys: Vec<Vec<u8>>,
}

impl Default for History {
    fn default() -> Self {
        Self { version: 1, began: Instant::now(), keys: BTreeMap::new(), recent: VecDeque::new() }
    }
}

impl History {
    fn clock(&self) -> i64 {
        self.began.elapsed().as_micros() as i64
    }

    /// A version that sees every commit so far.
    pub(crate) fn read_version(&mut self) -> i64 {
        self.version = self.version.max(self.clock());
        self.version
    }

    /// A version behind all that were read at.
    pub(crate) fn next_version(&mut self) -> i64 {
        self.version = (self.version + 1).max(self.clock());
        self.version
    }

    /// Whether the version can be read at.
    pub(crate) fn check(&self, at: i64, life: Duration) -> Result<(), Code> {
        match () {
            () if at < self.oldest(life) => Err(errors::TRANSACTION_TOO_OLD),
            () if at > self.version.max(self.clock()) => Err(errors::FUTURE_VERSION),
            () => Ok(()),
        }
    }

    fn oldest(&self, life: Duration) -> i64 {
        self.version.max(self.clock()) - life.as_micros() as i64
    }

    /// The key's value at the version.
    pub(crate) fn value(&self, at: i64, key: &[u8]) -> Option<&Value> {
        self.keys.get(key).and_then(|values| value_at(values, at))
    }

    /// The keys of a range that have values at the version; from either end.
    pub(crate) fn pairs(
        &self,
        at: i64,
        (begin, end): (&[u8], &[u8]),
    ) -> impl DoubleEndedIterator<Item = (&[u8], &Value)> {
        use std::ops::Bound::{Excluded, Included};
        // An inverted range holds nothing.
        let end = end.max(begin);
        let within = self.keys.range::<[u8], _>((Included(begin), Excluded(end)));
        within.filter_map(move |(key, values)| Some((key.as_slice(), value_at(values, at)?)))
    }

    /// Whether the commit may not take place at the version.
    pub(crate) fn refusal(&self, commit: &Commit, life: Duration) -> Option<Code> {
        if commit.read_version < self.oldest(life) {
            return Some(errors::TRANSACTION_TOO_OLD);
        }
        let later = self.recent.iter().rev().take_while(|written| written.version > commit.read_version);
        let conflict = later
            .flat_map(|written| &written.ranges)
            .any(|written| commit.read_conflicts.iter().any(|read| written.0 < read.1 && read.0 < written.1));
        conflict.then_some(errors::NOT_COMMITTED)
    }

    /// Carries the commit out at the version, as the `order`th of its batch.
    pub(crate) fn apply(&mut self, version: i64, order: u16, commit: Commit) {
        let stamp = stamp(version, order);
        let mut written = Written { version, ranges: commit.write_conflicts, keys: Vec::new() };
        for mutation in commit.mutations {
            let (key, value) = match mutation {
                Mutation::Set(key, value) => (key, Some(value)),
                Mutation::Clear(key) => (key, None),
                Mutation::Atomic(key, operation, operand) => {
                    let value = operation.apply(self.value(version, &key).map(|value| &value[..]), &operand);
                    (key, value)
                }
                Mutation::StampedKey(mut key, at, value) => {
                    key[at..at + stamp.len()].copy_from_slice(&stamp);
                    written.ranges.push((key.clone(), after(&key)));
                    (key, Some(value))
                }
                Mutation::StampedValue(key, mut value, at) => {
                    value[at..at + stamp.len()].copy_from_slice(&stamp);
                    (key, Some(value))
                }
                Mutation::ClearRange((begin, end)) => {
                    let within = self.pairs(version, (&begin, &end));
                    let keys: Vec<Vec<u8>> = within.map(|(key, _)| key.to_vec()).collect();
                    for key in keys {
                        self.write(version, key.clone(), None);
                        written.keys.push(key);
                    }
                    continue;
                }
            };
            self.write(version, key.clone(), value);
            written.keys.push(key);
        }
        self.recent.push_back(written);
    }

    fn write(&mut self, version: i64, key: Vec<u8>, value: Option<Vec<u8>>) {
        let values = self.keys.entry(key).or_default();
        let value = value.map(Value::from);
        match values.last_mut() {
            Some(last) if last.0 == version => last.1 = value,
            _ => values.push((version, value)),
        }
    }

    /// Lets go of what nobody can read any more.
    pub(crate) fn forget(&mut self, life: Duration) {
        let oldest = self.oldest(life);
        while let Some(written) = self.recent.pop_front_if(|written| written.version < oldest) {
            for key in written.keys {
                let Some(values) = self.keys.get_mut(&key) else { continue };
                let seen = values.iter().rposition(|(version, _)| *version <= oldest).unwrap_or(0);
                values.drain(..seen);
                if matches!(values.as_slice(), [(version, None)] if *version <= oldest) {
                    self.keys.remove(&key);
                }
            }
        }
    }
}

fn value_at(values: &[(i64, Option<Value>)], at: i64) -> Option<&Value> {
    values.iter().rfind(|(version, _)| *version <= at)?.1.as_ref()
}

/// The first key behind this one.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Ten octets that no other commit has.
pub(crate) fn stamp(version: i64, order: u16) -> [u8; 10] {
    let mut stamp = [0; 10];
    stamp[..8].copy_from_slice(&version.to_be_bytes());
    stamp[8..].copy_from_slice(&order.to_be_bytes());
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(3600);

    fn set(history: &mut History, key: &str, value: &str) -> i64 {
        let version = history.next_version();
        let range = (key.into(), after(key.as_bytes()));
        let mutations = vec![Mutation::Set(key.into(), value.into())];
        history.apply(version, 0, Commit { write_conflicts: vec![range], mutations, ..Commit::default() });
        version
    }

    #[test]
    fn a_version_sees_what_was_there() {
        let mut history = History::default();
        let first = set(&mut history, "a", "1");
        let second = set(&mut history, "a", "2");
        assert!(second > first);
        assert_eq!(history.value(first, b"a").map(|value| &value[..]), Some(&b"1"[..]));
        assert_eq!(history.value(second, b"a").map(|value| &value[..]), Some(&b"2"[..]));
        assert_eq!(history.value(first - 1, b"a"), None);
        history.forget(Duration::ZERO);
        assert_eq!(history.check(first, Duration::ZERO), Err(errors::TRANSACTION_TOO_OLD));
        assert_eq!(history.check(second + 3_600_000_000, LIFE), Err(errors::FUTURE_VERSION));
    }

    #[test]
    fn who_read_what_was_written_since_conflicts() {
        let mut history = History::default();
        let read_version = set(&mut history, "a", "1");
        set(&mut history, "b", "1");
        let reading = |begin: &str, end: &str| Commit {
            read_version,
            read_conflicts: vec![(begin.into(), end.into())],
            ..Commit::default()
        };
        assert_eq!(history.refusal(&reading("a", "b"), LIFE), None);
        assert_eq!(history.refusal(&reading("a", "c"), LIFE), Some(errors::NOT_COMMITTED));
        assert_eq!(history.refusal(&reading("b\0", "c"), LIFE), None);
        let old = Commit { read_version: -1, ..Commit::default() };
        assert_eq!(history.refusal(&old, Duration::ZERO), Some(errors::TRANSACTION_TOO_OLD));
    }
}
