//! The engine: opens the folder, recovers, and hands commits and reads to their places.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::pipeline::{Durable, Pipeline};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, Version, Watch};
use crate::kv::range::KeyRange;
use crate::kv::store::inbox::{Inbox, Pending, Refused};
use crate::kv::store::keeper::{Care, Keeper, join, spawn};
use crate::kv::store::tree::Store;
use crate::kv::watches::{Watches, watch};
use crate::log::{self, Log};
use crate::{Error, Result, folder, limits};

/// How the engine is kept.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Its folder, made if need be. One process at a time.
    pub path: PathBuf,
    /// Memory for what was read from the tree's files.
    pub cache_octets: u64,
    /// Memory for what is not yet in the tree's files; a few times as much is in use under load.
    pub memtable_octets: u64,
    /// Size that each file of the log is preallocated at.
    pub log_segment_octets: u64,
    /// How long a read version is good for.
    pub transaction_life: Duration,
    /// How soon a log file that is only kept for large values is looked through again for live ones;
    /// doubled each time.
    pub value_look: Duration,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data"),
            cache_octets: 24 * 1024 * 1024,
            memtable_octets: 16 * 1024 * 1024,
            log_segment_octets: limits::LOG_SEGMENT_OCTETS,
            transaction_life: limits::TRANSACTION_LIFE,
            value_look: Duration::from_secs(60),
        }
    }
}

/// The engine. Dropping it without [`Engine::close`] loses nothing that was acknowledged.
pub struct Local {
    parts: Parts,
    life: Duration,
    // Held as long as the engine lives.
    _lock: fs::File,
}

#[derive(Clone)]
struct Parts {
    keeper: Arc<Keeper>,
    inbox: Arc<Inbox<Durable>>,
    watches: Arc<Watches>,
    pipeline: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Local {
    /// Opens the folder and recovers: the tree's files, then what the log holds beyond them. `Unavailable`
    /// if another process has it open; `Corrupt` if something acknowledged is lost.
    pub async fn open(config: LocalConfig) -> Result<Arc<Self>> {
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(config)).await;
        opened.map_err(|error| Error::Unavailable(format!("opening the store: {error}").into()))?
    }

    fn open_blocking(config: LocalConfig) -> Result<Arc<Self>> {
        let log = log::Config {
            segment_octets: config.log_segment_octets,
            ..log::Config::new(config.path.join("log"))
        };
        Self::open_with(config, log)
    }

    /// As [`Local::open`], with another log beneath: for tests of its faults.
    pub(super) fn open_with(config: LocalConfig, log: log::Config) -> Result<Arc<Self>> {
        folder::make(&config.path)?;
        let lock = folder::lock(&config.path)?;
        let tree = Store::open_tree(&config.path.join("tree"), config.cache_octets)?;
        let first_needed = tree.2.index + 1;
        let on_fatal = log.on_fatal.clone();
        let log = Arc::new(Log::open(log::Config { first_needed, ..log })?);
        let store = Arc::new(Store::new(tree, log, on_fatal, config.memtable_octets));
        let (inbox, watches) = (Arc::<Inbox<Durable>>::default(), Arc::<Watches>::default());
        let care = Care { life: config.transaction_life, value_look: config.value_look, replays: true };
        let keeper = Arc::new(Keeper::start(store.clone(), inbox.clone(), care)?);
        let bell = keeper.bell.clone();
        let wake = Box::new(move || bell.ring());
        let pipeline = Pipeline::new(inbox.clone(), store, watches.clone(), wake);
        let pipeline = Arc::new(Mutex::new(Some(spawn("kv-commit", move || pipeline.run())?)));
        let parts = Parts { keeper, inbox, watches, pipeline };
        Ok(Arc::new(Self { parts, life: config.transaction_life, _lock: lock }))
    }

    /// Flushes all that is in memory, soon.
    #[cfg(test)]
    pub(super) fn seal(&self) {
        self.parts.keeper.store.seal();
        self.parts.keeper.bell.ring();
    }

    #[cfg(test)]
    pub(super) fn log_files(&self) -> usize {
        self.parts.keeper.store.log.segments().len()
    }

    #[cfg(test)]
    pub(super) fn persisted_tables(&self) -> usize {
        lsm_tree::AbstractTree::table_count(&self.parts.keeper.store.tree)
    }
}

impl Parts {
    /// Ends the threads, commits in flight first: they may wait for a flush. Blocks.
    fn stop(&self) {
        self.inbox.close();
        if let Some(pipeline) = self.pipeline.lock().take() {
            join(pipeline);
        }
        self.keeper.stop();
        self.keeper.store.log.close();
        self.watches.all_changed();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.parts.stop();
    }
}

#[async_trait]
impl Engine for Local {
    async fn read_version(&self) -> Result<Version> {
        Ok(Version(self.parts.keeper.store.visible()))
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.parts.keeper.store.get(at, key)
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.parts.keeper.store.range(at, &range, limit)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.parts.keeper.store.check_clears(&commit)?;
        let (pending, outcome) = Pending::new(commit);
        self.parts.inbox.push(pending)?;
        match outcome.await {
            Ok(Ok(committed)) => Ok(committed),
            Ok(Err(Refused::Error(error))) => Err(error),
            Ok(Err(Refused::NotLeader)) | Err(_) => Err(Error::CommitUnknown),
        }
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        let keeper = self.parts.keeper.clone();
        watch(&self.parts.watches, move || keeper.store.clone(), key, at)
    }

    fn transaction_life(&self) -> Duration {
        self.life
    }

    async fn close(&self) {
        let parts = self.parts.clone();
        if tokio::task::spawn_blocking(move || parts.stop()).await.is_err() {
            tracing::error!("closing the store panicked");
        }
    }
}
