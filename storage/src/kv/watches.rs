//! Who waits for a change of which key. Shared by the engines of one process.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::engine::{Version, Watch};
use super::range::KeyRange;
use super::store::entry::{Batch, Write};
use super::store::tree::Store;
use crate::{Error, Result, limits};

#[derive(Default)]
pub(crate) struct Watches {
    keys: Mutex<HashMap<Bytes, Arc<Notify>>>,
}

/// A place in the register; gives it up when dropped.
pub(crate) struct Registered {
    watches: Arc<Watches>,
    key: Bytes,
    changed: Arc<Notify>,
}

impl Watches {
    /// From now on, a change of the key ends [`Registered::changed`].
    pub(crate) fn register(self: &Arc<Self>, key: Bytes) -> Result<Registered> {
        let mut keys = self.keys.lock();
        if keys.len() >= limits::WATCHED_KEYS && !keys.contains_key(&key) {
            return Err(Error::Overloaded(format!("{} watched keys", limits::WATCHED_KEYS).into()));
        }
        let changed = keys.entry(key.clone()).or_default().clone();
        Ok(Registered { watches: self.clone(), key, changed })
    }

    /// Wakes those who watch the key.
    pub(crate) fn key_changed(&self, key: &[u8]) {
        let keys = self.keys.lock();
        if let Some(changed) = keys.get(key) {
            changed.notify_waiters();
        }
    }

    /// Wakes those who watch a key of the range.
    pub(crate) fn range_changed(&self, range: &KeyRange) {
        if let Some(key) = range.as_key() {
            return self.key_changed(key);
        }
        let keys = self.keys.lock();
        keys.iter().filter(|(key, _)| range.contains(key)).for_each(|(_, changed)| changed.notify_waiters());
    }

    /// Wakes those who watch what the entry wrote.
    pub(crate) fn batch_applied(&self, batch: &Batch) {
        if self.is_empty() {
            return;
        }
        for write in batch.transactions.iter().flatten() {
            match write {
                Write::Set(key, ..) | Write::SetInline(key, _) | Write::Clear(key) => self.key_changed(key),
                Write::Add(key, _) | Write::Max(key, _) | Write::Min(key, _) => self.key_changed(key),
                Write::ClearRange(range) => self.range_changed(range),
            }
        }
    }

    /// Whether nobody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.lock().is_empty()
    }

    /// Wakes everybody: the engine closes.
    pub(crate) fn all_changed(&self) {
        self.keys.lock().values().for_each(|changed| changed.notify_waiters());
    }
}

impl Registered {
    /// Ends at the first change after this was called.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut keys = self.watches.keys.lock();
        // This and the register's own are the last two.
        if Arc::strong_count(&self.changed) <= 2 {
            keys.remove(&self.key);
        }
    }
}

/// Ends once the key's value in the store is, or may be, another than at that version.
pub(crate) fn watch(
    watches: &Arc<Watches>,
    store: impl Fn() -> Arc<Store> + Send + 'static,
    key: Bytes,
    at: Version,
) -> Watch {
    let registered = watches.register(key.clone());
    Box::pin(async move {
        let registered = registered?;
        let mut changed = std::pin::pin!(registered.changed());
        changed.as_mut().enable();
        let is_unchanged = {
            let store = store();
            let now = Version(store.visible());
            let before_and_after = (store.get(at, &key), store.get(now, &key));
            matches!(before_and_after, (Ok(before), Ok(after)) if before == after)
        };
        if is_unchanged {
            changed.await;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_keys_are_bounded() {
        let watches = Arc::new(Watches::default());
        let key = |number: usize| Bytes::from(number.to_be_bytes().to_vec());
        let register = |number: usize| watches.register(key(number));
        let held: Vec<_> = (0..limits::WATCHED_KEYS).map(|number| register(number).expect("room")).collect();
        assert!(matches!(register(limits::WATCHED_KEYS), Err(Error::Overloaded(_))));
        register(0).expect("a key that is watched already");
        drop(held);
        assert!(watches.is_empty());
        register(limits::WATCHED_KEYS).expect("room again");
    }
}
