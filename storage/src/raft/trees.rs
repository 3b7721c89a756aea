//! The trees of a group's folder: the one that holds the state, the one that is being received, and those that were
//! replaced, as long as somebody reads them.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lsm_tree::AbstractTree;
use parking_lot::Mutex;

use super::log_store::{LogStore, ours};
use super::pipeline::Event;
use super::snapshot::remove_folder;
use crate::Result;
use crate::kv::store::inbox::Inbox;
use crate::kv::store::keeper::{Care, Keeper};
use crate::kv::store::tree::Store;

/// How the trees of a group are opened.
#[derive(Clone)]
pub(super) struct Trees {
    pub(super) folder: PathBuf,
    pub(super) cache_octets: u64,
    pub(super) memtable_octets: u64,
    pub(super) care: Care,
}

impl Trees {
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("tree-{number}"))
    }

    /// Removes all but one: what was not received whole, and what was replaced.
    pub(super) fn remove_others(&self, number: u64) -> Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some(found) = name.to_str().and_then(|name| name.strip_prefix("tree-")) else { continue };
            if found != number.to_string() {
                remove_folder(&self.folder.join(&name))?;
            }
        }
        Ok(())
    }

    pub(super) fn open(&self, number: u64, log: &LogStore, inbox: &Arc<Inbox<Event>>) -> Result<Keeper> {
        let tree = Store::open_tree(&self.path(number), self.cache_octets)?;
        let store = Arc::new(Store::new(tree, log.log().clone(), log.on_fatal(), self.memtable_octets));
        store.keep_log_after(log.held().purged.map_or(0, |purged| ours(&purged)));
        Keeper::start(store, inbox.clone(), self.care)
    }
}

/// Trees that were replaced, with their folders.
#[derive(Default)]
pub(super) struct Replaced(Mutex<Vec<(Weak<Store>, PathBuf)>>);

impl Replaced {
    pub(super) fn push(&self, store: &Arc<Store>) {
        let path = store.tree.tree_config().path.clone();
        self.0.lock().push((Arc::downgrade(store), path));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Removes the folders that nobody reads any more. Blocks. What cannot be removed is tried again.
    pub(super) fn remove_unread(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for (store, path) in all {
            if store.strong_count() == 0 {
                match remove_folder(&path) {
                    Ok(()) => continue,
                    Err(error) => tracing::warn!(%error, ?path, "a tree that was replaced stays"),
                }
            }
            self.0.lock().push((store, path));
        }
    }
}
