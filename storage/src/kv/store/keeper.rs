//! The tree with the threads that keep it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::inbox::Inbox;
use super::tree::Store;
use super::upkeep::{Bell, Upkeep, compact};
use crate::Result;

/// A store and its threads, which end with [`Keeper::stop`].
pub(crate) struct Keeper {
    pub(crate) store: Arc<Store>,
    pub(crate) bell: Arc<Bell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How a store is kept.
#[derive(Clone, Copy)]
pub(crate) struct Care {
    /// How long a version can be read at.
    pub(crate) life: Duration,
    /// How soon a log file that is only kept for large values is looked through again.
    pub(crate) value_look: Duration,
    /// Whether all that the log holds counts as committed, so that it is applied before anything else.
    pub(crate) replays: bool,
}

impl Keeper {
    /// Starts the threads of a store whose files hold what it has applied so far.
    pub(crate) fn start<E: Send + 'static>(
        store: Arc<Store>,
        inbox: Arc<Inbox<E>>,
        care: Care,
    ) -> Result<Self> {
        let bell = Arc::<Bell>::default();
        let mut upkeep = Upkeep {
            persisted: store.applied().index,
            store: store.clone(),
            inbox,
            bell: bell.clone(),
            life: care.life,
            seen: VecDeque::new(),
            looks: BTreeMap::new(),
            first_look: care.value_look,
        };
        if care.replays {
            store.replay(|| upkeep.flush_while_replaying())?;
        }
        upkeep.seen.push_back((Instant::now(), store.visible()));
        let (compacted, compaction_bell) = (store.clone(), bell.clone());
        let threads = vec![
            spawn("kv-upkeep", move || upkeep.run())?,
            spawn("kv-compact", move || compact(&compacted, &compaction_bell))?,
        ];
        Ok(Self { store, bell, threads: Mutex::new(threads) })
    }

    /// Ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        self.bell.close();
        self.threads.lock().drain(..).for_each(join);
    }
}

/// Its threads hold the store: without them it would never be dropped.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for the end of a thread.
pub(crate) fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Ok(std::thread::Builder::new().name(name.into()).spawn(body)?)
}
