//! The transaction interface on a node that keeps nothing of the group: every read and commit is a call to a voter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::call::{Answer, Call, Get, GetRange};
use super::engine::mistaken;
use super::exchange::Exchange;
use super::rounds::Rounds;
use super::route::Route;
use super::transport::{NodeId, Transport};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, Version, Watch};
use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

/// How long a watch that no voter takes lasts.
const PAUSE: Duration = Duration::from_secs(1);

/// The engine of a node that is no member of the group.
pub struct Remote {
    route: Arc<Route>,
    reads: Arc<Rounds<Version>>,
    watched: Arc<AtomicUsize>,
    life: Duration,
    is_closed: AtomicBool,
}

impl Remote {
    /// Of the group of that name, of which these nodes are voters. `node` is this one.
    pub fn new(
        group: impl Into<String>,
        node: NodeId,
        voters: Vec<NodeId>,
        transport: Arc<dyn Transport>,
        transaction_life: Duration,
    ) -> Self {
        let exchange = Exchange { transport, group: group.into(), node, incarnation: 0 };
        let remote = Self::over(Arc::new(exchange), transaction_life);
        remote.set_voters(voters);
        remote
    }

    pub(super) fn over(exchange: Arc<Exchange>, life: Duration) -> Self {
        Self {
            route: Arc::new(Route::new(exchange, Vec::new())),
            reads: Arc::default(),
            watched: Arc::default(),
            life,
            is_closed: AtomicBool::new(false),
        }
    }

    /// The group's voters are others now.
    pub fn set_voters(&self, voters: Vec<NodeId>) {
        self.route.set_voters(voters);
    }

    /// Whether there is anybody to ask.
    pub(super) fn knows_voters(&self) -> bool {
        self.route.knows_voters()
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }
}

/// A place among the watches; given up when dropped.
struct Watching(Arc<AtomicUsize>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl Engine for Remote {
    async fn read_version(&self) -> Result<Version> {
        self.check_open()?;
        let route = self.route.clone();
        let round = move || {
            let route = route.clone();
            async move {
                match route.any(&Call::ReadVersion(()), limits::READ_PATIENCE).await? {
                    Answer::Version(version) => Ok(version),
                    _ => Err(mistaken()),
                }
            }
        };
        self.reads.join(round).await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.check_open()?;
        let call = Call::Get(Get { at, key: Bytes::copy_from_slice(key) });
        match self.route.any(&call, limits::READ_PATIENCE).await? {
            Answer::Value(value) => Ok(value),
            _ => Err(mistaken()),
        }
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.check_open()?;
        let call = Call::Range(GetRange { at, range, limit });
        match self.route.any(&call, limits::READ_PATIENCE).await? {
            Answer::Chunk(chunk) => Ok(chunk),
            _ => Err(mistaken()),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.check_open()?;
        match self.route.leader(&Call::Commit(commit), limits::COMMIT_PATIENCE).await? {
            Answer::Committed(committed) => Ok(committed),
            _ => Err(mistaken()),
        }
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        let watching = Watching(self.watched.clone());
        let count = self.watched.fetch_add(1, Ordering::AcqRel);
        let route = self.route.clone();
        Box::pin(async move {
            let _watching = watching;
            if count >= limits::WATCHED_KEYS {
                return Err(Error::Overloaded(format!("{} watched keys", limits::WATCHED_KEYS).into()));
            }
            let call = Call::Watch(Get { at, key });
            loop {
                let patience = limits::WATCH_HELD + limits::READ_PATIENCE;
                match route.any(&call, patience).await {
                    Ok(Answer::Watched(false)) => {}
                    Ok(_) => return Ok(()),
                    Err(_) => {
                        // Nobody can tell: a hint to look now and then costs little.
                        tokio::time::sleep(PAUSE).await;
                        return Ok(());
                    }
                }
            }
        })
    }

    fn transaction_life(&self) -> Duration {
        self.life
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}
