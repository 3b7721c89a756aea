//! The engine: opens the folder, recovers, and hands commits and reads to their places.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::pipeline::{Inbox, Pending, Pipeline};
use super::store::Store;
use super::upkeep::{Bell, Upkeep, compact};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, Mutation, Version, Watch};
use crate::kv::range::KeyRange;
use crate::kv::watches::Watches;
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
    store: Arc<Store>,
    inbox: Arc<Inbox>,
    bell: Arc<Bell>,
    watches: Arc<Watches>,
    // The commit pipeline's first.
    threads: Arc<Mutex<VecDeque<JoinHandle<()>>>>,
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
        let lock = lock_folder(&config.path)?;
        let tree = Store::open_tree(&config.path.join("tree"), config.cache_octets)?;
        let persisted = tree.2.index;
        let on_fatal = log.on_fatal.clone();
        let log = Arc::new(Log::open(log::Config { first_needed: persisted + 1, ..log })?);
        let store = Arc::new(Store::new(tree, log, on_fatal, config.memtable_octets));
        let (inbox, bell, watches) =
            (Arc::<Inbox>::default(), Arc::<Bell>::default(), Arc::<Watches>::default());
        let mut upkeep = Upkeep {
            store: store.clone(),
            inbox: inbox.clone(),
            bell: bell.clone(),
            life: config.transaction_life,
            seen: VecDeque::new(),
            persisted,
            looks: BTreeMap::new(),
            first_look: config.value_look,
        };
        store.replay(|| upkeep.flush_while_replaying())?;
        upkeep.seen.push_back((Instant::now(), store.visible()));
        let ring = bell.clone();
        let wake = Box::new(move || ring.ring());
        let pipeline = Pipeline::new(inbox.clone(), store.clone(), watches.clone(), wake);
        let (compacted, compaction_bell) = (store.clone(), bell.clone());
        let threads = VecDeque::from([
            spawn("kv-commit", move || pipeline.run())?,
            spawn("kv-upkeep", move || upkeep.run())?,
            spawn("kv-compact", move || compact(&compacted, &compaction_bell))?,
        ]);
        let parts = Parts { store, inbox, bell, watches, threads: Arc::new(Mutex::new(threads)) };
        Ok(Arc::new(Self { parts, life: config.transaction_life, _lock: lock }))
    }

    /// Flushes all that is in memory, soon.
    #[cfg(test)]
    pub(super) fn seal(&self) {
        self.parts.store.seal();
        self.parts.bell.ring();
    }

    #[cfg(test)]
    pub(super) fn log_files(&self) -> usize {
        self.parts.store.log.segments().len()
    }

    #[cfg(test)]
    pub(super) fn persisted_tables(&self) -> usize {
        lsm_tree::AbstractTree::table_count(&self.parts.store.tree)
    }

    /// A range to be cleared is counted before it is taken in: see [`limits::CLEAR_RANGE_KEYS`].
    fn check_clears(&self, commit: &Commit) -> Result<()> {
        for mutation in &commit.mutations {
            let Mutation::ClearRange(range) = mutation else { continue };
            if self.parts.store.count(range, limits::CLEAR_RANGE_KEYS + 1)? > limits::CLEAR_RANGE_KEYS {
                let text = format!("clear_range of more than {} keys", limits::CLEAR_RANGE_KEYS);
                return Err(Error::TooLarge(text.into()));
            }
        }
        Ok(())
    }
}

impl Parts {
    /// Ends the threads, commits in flight first: they may wait for a flush. Blocks.
    fn stop(&self) {
        self.inbox.close();
        let mut threads = self.threads.lock();
        if let Some(pipeline) = threads.pop_front() {
            join(pipeline);
        }
        self.bell.close();
        threads.drain(..).for_each(join);
        self.store.log.close();
        self.watches.all_changed();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.parts.stop();
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Ok(std::thread::Builder::new().name(name.into()).spawn(body)?)
}

fn lock_folder(path: &Path) -> Result<fs::File> {
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::Unavailable(format!("{} is open in another process", path.display()).into()))
        }
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// What a transaction takes of the commit queue's budget.
fn octets_of(commit: &Commit) -> usize {
    let of = |mutation: &Mutation| match mutation {
        Mutation::Set(key, value) => key.len() + value.len(),
        Mutation::SetVersionstampedKey { key, value, .. } => key.len() + value.len(),
        Mutation::SetVersionstampedValue { key, value, .. } => key.len() + value.len(),
        Mutation::ClearRange(range) => range.octets(),
        Mutation::Clear(key) | Mutation::Add(key, _) | Mutation::Max(key, _) | Mutation::Min(key, _) => {
            key.len() + 8
        }
    };
    let ranges = commit.read_conflicts.iter().chain(&commit.write_conflicts).map(KeyRange::octets);
    commit.mutations.iter().map(of).sum::<usize>() + ranges.sum::<usize>() + 32 * (1 + commit.mutations.len())
}

#[async_trait]
impl Engine for Local {
    async fn read_version(&self) -> Result<Version> {
        Ok(Version(self.parts.store.visible()))
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.parts.store.get(at, key)
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.parts.store.range(at, &range, limit)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.check_clears(&commit)?;
        let (done, outcome) = oneshot::channel();
        let octets = octets_of(&commit);
        self.parts.inbox.push(Pending { commit, inline: false, octets, done })?;
        outcome.await.unwrap_or(Err(Error::CommitUnknown))
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        let (store, registered) = (self.parts.store.clone(), self.parts.watches.register(key.clone()));
        Box::pin(async move {
            let registered = registered?;
            let mut changed = std::pin::pin!(registered.changed());
            changed.as_mut().enable();
            let now = Version(store.visible());
            let is_unchanged = match (store.get(at, &key), store.get(now, &key)) {
                (Ok(before), Ok(after)) => before == after,
                _ => false,
            };
            if is_unchanged {
                changed.await;
            }
            Ok(())
        })
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
