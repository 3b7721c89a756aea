//! A tree that is filled with a whole state of another store, in the order of its keys.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyTree, SequenceNumberCounter};

use super::tree::{Applied, Store, encode_applied, item_number, trouble};
use super::values;
use crate::Result;
use crate::kv::engine::Version;

/// Flushed runs after which they are compacted.
const RUNS: usize = 8;

/// The tree, which nobody reads before [`Import::finish`].
pub(crate) struct Import {
    tree: AnyTree,
    counter: SequenceNumberCounter,
    version: u64,
    memtable_octets: u64,
}

impl Import {
    /// Begins a tree in an empty folder, for a state at that version.
    pub(crate) fn begin(path: &Path, memtable_octets: u64, Version(version): Version) -> Result<Self> {
        let (tree, counter, _) = Store::open_tree(path, 0)?;
        Ok(Self { tree, counter, version, memtable_octets })
    }

    /// Takes pairs in. Values stand in the tree whatever their length: the log does not have them.
    pub(crate) fn add(&mut self, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        let mut memtable = 0;
        for (key, value) in pairs {
            memtable = self.tree.insert(&key[..], values::inline(value), item_number(self.version)).1;
        }
        if memtable >= self.memtable_octets { self.flush() } else { Ok(()) }
    }

    /// Writes where the state stands, and what the engine keeps beside it. The tree is on disk when this returns.
    pub(crate) fn finish(mut self, (index, term): (u64, u64), beside: (&[u8], &[u8])) -> Result<()> {
        let applied = Applied { index, term, version: self.version, ..Applied::default() };
        let number = item_number(self.version);
        self.tree.insert(beside.0, values::inline(beside.1), number);
        self.tree.insert(values::APPLIED, encode_applied(&applied), number);
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.counter.set(item_number(self.version) + 1);
        if self.tree.rotate_memtable().is_some() {
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, 0).map_err(trouble)?;
        }
        if self.tree.l0_run_count() > RUNS {
            self.counter.set(item_number(self.version) + 1);
            let strategy = Arc::new(lsm_tree::compaction::Leveled::default());
            self.tree.compact(strategy, 0).map_err(trouble)?;
        }
        Ok(())
    }
}
