//! A replicated group as one node keeps it: opened from a folder, closed in order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver;
use openraft::{Raft, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle as Task;

use super::consensus::Types;
use super::ending::Ending;
use super::exchange::Exchange;
use super::identity::{self, Identity};
use super::leadership::{self, Tending};
use super::log_store::LogStore;
use super::machine::{Machine, State};
use super::network::Links;
use super::pipeline::Pipeline;
use super::reception::Reception;
use super::remote::Remote;
use super::rounds::Rounds;
use super::route::Route;
use super::sending::Sending;
use super::transport::{NodeId, Transport};
use super::trees::Trees;
use crate::kv::store::keeper::{Care, join, spawn};
use crate::{Error, Result, folder, limits, log};

/// How a group is kept on a node.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The group's name, the same on every node.
    pub name: String,
    /// Its folder on this node, made if need be. One process at a time.
    pub path: PathBuf,
    /// This node.
    pub node: NodeId,
    /// Memory for what was read from the tree's files.
    pub cache_octets: u64,
    /// Memory for what is not yet in the tree's files; a few times as much is in use under load.
    pub memtable_octets: u64,
    /// Size that each file of the log is preallocated at.
    pub log_segment_octets: u64,
    /// Octets of the log that are kept for voters that lag behind; one that lags further receives the whole state.
    pub log_kept_octets: u64,
    /// How long a read version is good for.
    pub transaction_life: Duration,
    /// How soon a log file that is only kept for large values is looked through again for live ones.
    pub value_look: Duration,
    /// When voters miss their leader.
    pub timing: Timing,
}

/// When voters miss their leader. The same on every node.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often a leader lets its followers know.
    pub heartbeat: Duration,
    /// A follower that has heard nothing for the longest election timeout, and then for some time between the two,
    /// stands for election. Above the worst stall of a disk.
    pub election_min: Duration,
    /// See [`Timing::election_min`].
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(700),
            election_max: Duration::from_millis(1000),
        }
    }
}

impl GroupConfig {
    /// With the defaults of a server.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, node: NodeId) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            node,
            cache_octets: 24 * 1024 * 1024,
            memtable_octets: 16 * 1024 * 1024,
            log_segment_octets: limits::LOG_SEGMENT_OCTETS,
            log_kept_octets: limits::RAFT_LOG_KEPT_OCTETS,
            transaction_life: limits::TRANSACTION_LIFE,
            value_look: Duration::from_secs(60),
            timing: Timing::default(),
        }
    }

    fn consensus(&self) -> Result<Arc<openraft::Config>> {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let config = openraft::Config {
            cluster_name: self.name.clone(),
            heartbeat_interval: millis(self.timing.heartbeat),
            election_timeout_min: millis(self.timing.election_min),
            election_timeout_max: millis(self.timing.election_max),
            enable_pre_vote: Some(true),
            // A leader that restarts does not know what was committed: it stands for election like everybody.
            enable_leader_restore: Some(false),
            // The tree is the snapshot; the log is purged when we say so, and a voter lags too far when what it
            // needs is purged.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            replication_lag_threshold: u64::MAX,
            max_payload_entries: limits::RAFT_SENT_ENTRIES,
            max_append_entries: Some(limits::RAFT_APPENDED_ENTRIES),
            ..openraft::Config::default()
        };
        let checked = config.validate().map_err(|error| Error::Invalid(error.to_string().into()))?;
        Ok(Arc::new(checked))
    }
}

/// A group on this node: a voter, a learner, or not a member yet. An [`crate::kv::Engine`].
pub struct Group {
    pub(super) config: GroupConfig,
    pub(super) identity: Identity,
    pub(super) raft: Raft<Types, Machine>,
    pub(super) state: Arc<State>,
    pub(super) log: LogStore,
    pub(super) route: Arc<Route>,
    /// Asks other voters where this one does not serve.
    pub(super) remote: Arc<Remote>,
    pub(super) reads: Arc<Rounds<u64>>,
    pub(super) reception: Reception,
    /// Another folder than this one is the group's member under this node's id.
    pub(super) is_displaced: AtomicBool,
    /// It was found to be far behind: until then others are asked.
    pub(super) lags_until: Mutex<Option<Instant>>,
    pub(super) is_closed: AtomicBool,
    /// Whoever changes its members.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
    /// Whoever closes it.
    closing: tokio::sync::Mutex<()>,
    pipeline: Mutex<Option<JoinHandle<()>>>,
    tasks: Mutex<Vec<Task<()>>>,
    runtime: Handle,
    /// Until it has ended.
    ending: Mutex<Option<Ending>>,
}

impl Group {
    /// Opens the folder, and takes part in the group once its members call. `Unavailable` if another process has the
    /// folder; `Invalid` if it is another group's or node's; `Corrupt` if something that this voter promised is lost:
    /// it must not vote any more, and joins again with an empty folder under a new id.
    pub async fn open(config: GroupConfig, transport: Arc<dyn Transport>) -> Result<Arc<Self>> {
        let log = log::Config::new(config.path.join("log"));
        Self::open_with(config, transport, log).await
    }

    /// As [`Group::open`], with another log beneath: for tests of its faults.
    pub(super) async fn open_with(
        config: GroupConfig,
        transport: Arc<dyn Transport>,
        log: log::Config,
    ) -> Result<Arc<Self>> {
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || Parts::open(&opening, log)).await;
        let parts =
            opened.map_err(|error| Error::Unavailable(format!("opening a group: {error}").into()))??;
        let Parts { identity, log, state, ending } = parts;
        match Self::start(config, transport, identity, (state, log)).await {
            Ok(group) => {
                *group.ending.lock() = Some(ending);
                Ok(group)
            }
            Err(error) => {
                ending.end().await;
                Err(error)
            }
        }
    }

    async fn start(
        config: GroupConfig,
        transport: Arc<dyn Transport>,
        identity: Identity,
        (state, log): (Arc<State>, LogStore),
    ) -> Result<Arc<Self>> {
        let exchange = Arc::new(Exchange {
            transport,
            group: config.name.clone(),
            node: config.node,
            incarnation: identity.incarnation,
        });
        let (machine, sending) = (Machine::new(state.clone(), log.clone()), Arc::<Sending>::default());
        let links = Links { exchange: exchange.clone(), sending: sending.clone() };
        let raft = Raft::new(config.node.0, config.consensus()?, links, log.clone(), machine).await;
        let raft = raft.map_err(|error| Error::Corrupt(format!("group {}: {error}", config.name).into()))?;
        let runtime = Handle::current();
        let pipeline = match Pipeline::start(state.clone(), raft.clone(), runtime.clone()) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                shut_down(&raft).await;
                return Err(error);
            }
        };
        let tending = Tending {
            raft: raft.clone(),
            state: state.clone(),
            log: log.clone(),
            sending,
            kept_octets: config.log_kept_octets,
        };
        let tasks =
            vec![tokio::spawn(leadership::follow(raft.clone(), state.clone())), tokio::spawn(tending.run())];
        let group = Arc::new(Self {
            route: Arc::new(Route::new(exchange.clone(), Vec::new())),
            remote: Arc::new(Remote::over(exchange, config.transaction_life)),
            identity,
            raft,
            state,
            log,
            reads: Arc::default(),
            reception: Reception::default(),
            is_displaced: AtomicBool::new(false),
            lags_until: Mutex::default(),
            is_closed: AtomicBool::new(false),
            changing: Arc::default(),
            closing: tokio::sync::Mutex::default(),
            pipeline: Mutex::new(Some(pipeline)),
            tasks: Mutex::new(tasks),
            runtime,
            ending: Mutex::default(),
            config,
        });
        group.route.here.get_or_init(|| Arc::downgrade(&group));
        group.tasks.lock().push(tokio::spawn(leadership::know(Arc::downgrade(&group))));
        Ok(group)
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The leader, as far as this node knows.
    pub fn current_leader(&self) -> Option<NodeId> {
        self.raft.metrics().borrow_watched().current_leader.map(NodeId)
    }

    /// A node that is no member yet asks among these for the group; who its voters are it learns once it is one.
    pub fn seek_among(&self, nodes: Vec<NodeId>) {
        if self.raft.metrics().borrow_watched().membership_config.voter_ids().next().is_none() {
            self.point_to(nodes);
        }
    }

    pub(super) fn point_to(&self, voters: Vec<NodeId>) {
        let others = voters.iter().copied().filter(|voter| *voter != self.config.node).collect();
        self.remote.set_voters(others);
        self.route.set_voters(voters);
    }

    /// Whether what is read here is the group's: this folder is a member's, and nothing failed.
    pub(super) fn is_serving(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let is_member = metrics.membership_config.get_node(&self.config.node.0).is_some();
        is_member && metrics.running_state.is_ok() && !self.is_displaced.load(Ordering::Acquire)
    }

    /// Hands the leadership over, finishes what is under way, and ends. Where it is given up half way, the next call or the
    /// drop goes on.
    pub async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let _closing = self.closing.lock().await;
        if self.ending.lock().is_none() {
            return;
        }
        self.hand_over().await;
        self.state.inbox.close();
        let thread = self.pipeline.lock().take();
        let mut joined = tokio::task::spawn_blocking(move || thread.into_iter().for_each(join));
        // What is under way without a majority never ends by itself.
        let is_over = tokio::time::timeout(limits::CLOSE_PATIENCE, &mut joined).await.is_ok();
        shut_down(&self.raft).await;
        if !is_over && joined.await.is_err() {
            tracing::error!("closing a group panicked");
        }
        self.tasks.lock().drain(..).for_each(|task| task.abort());
        let ending = self.ending.lock().take();
        if let Some(ending) = ending {
            ending.end().await;
        }
    }
}

async fn shut_down(raft: &Raft<Types, Machine>) {
    if let Err(error) = raft.shutdown().await {
        tracing::warn!(%error, "a group did not shut down in order");
    }
}

/// What opening a folder gives.
pub(super) struct Parts {
    pub(super) identity: Identity,
    pub(super) log: LogStore,
    pub(super) state: Arc<State>,
    pub(super) ending: Ending,
}

impl Parts {
    /// Blocks.
    pub(super) fn open(config: &GroupConfig, log: log::Config) -> Result<Self> {
        folder::make(&config.path)?;
        let lock = folder::lock(&config.path)?;
        let identity = identity::open(&config.path, &config.name, config.node)?;
        let log = log::Config { segment_octets: config.log_segment_octets, ..log };
        let log = LogStore::open(&config.path, log)?;
        let care = Care { life: config.transaction_life, value_look: config.value_look, replays: false };
        let trees = Trees {
            folder: config.path.clone(),
            cache_octets: config.cache_octets,
            memtable_octets: config.memtable_octets,
            care,
        };
        let state = State::open(trees, &log)?;
        let ending = Ending::new(state.clone(), log.clone(), lock);
        Ok(Self { identity, log, state, ending })
    }
}

/// A group that is dropped without [`Group::close`] ends as if its process were killed, on a thread of its own: also when
/// the runtime ends with it.
impl Drop for Group {
    fn drop(&mut self) {
        let Some(ending) = self.ending.lock().take() else { return };
        self.state.inbox.close();
        let (raft, tasks) = (self.raft.clone(), std::mem::take(&mut *self.tasks.lock()));
        let (runtime, pipeline) = (self.runtime.clone(), self.pipeline.lock().take());
        let ended = spawn("raft-end", move || {
            runtime.block_on(shut_down(&raft));
            tasks.into_iter().for_each(|task| task.abort());
            pipeline.into_iter().for_each(join);
            ending.end_here();
        });
        if let Err(error) = ended {
            tracing::error!(%error, "a group that was dropped goes on until its process ends");
        }
    }
}

/// The group, as long as someone else holds it.
pub(super) type Shared = Weak<Group>;
