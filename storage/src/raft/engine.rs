//! The transaction interface on a node that keeps the group: reads are local at versions that the leader confirmed,
//! commits go to the leader. Where this node's voter does not serve, it asks the others like a node that has none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::call::{Answer, Call};
use super::group::Group;
use super::machine::Progress;
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Engine, OwnCopy, Version, Watch};
use crate::kv::range::KeyRange;
use crate::kv::watches::watch;
use crate::{Error, Result, limits};

impl Group {
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether this voter was found to lag a while ago: others are asked first.
    pub(super) fn lags(&self) -> bool {
        self.lags_until.lock().is_some_and(|until| until > Instant::now())
    }

    /// Waits for a while until so much is applied here. `None` if this voter lags, which is remembered for a while.
    pub(super) async fn reached(&self, is_enough: impl FnMut(&Progress) -> bool) -> Option<Progress> {
        let mut progress = self.state.progress.subscribe();
        let has_others = self.remote.knows_voters();
        let patience = if has_others { limits::LAG_PATIENCE } else { limits::READ_PATIENCE };
        let reached = tokio::time::timeout(patience, progress.wait_for(is_enough)).await;
        let reached = reached.ok().and_then(|reached| reached.ok().map(|progress| *progress));
        let lags_until = (reached.is_none() && has_others).then(|| Instant::now() + limits::LAG_REMEMBERED);
        *self.lags_until.lock() = lags_until;
        reached
    }

    /// Whether the version is applied here, or soon is.
    async fn reaches(&self, Version(version): Version) -> bool {
        self.state.store().visible() >= version
            || self.reached(|progress| progress.version >= version).await.is_some()
    }

    /// As the engine does, of this voter alone. `None` if it lags.
    pub(super) async fn get_here(&self, at: Version, key: &[u8]) -> Result<Option<Option<Bytes>>> {
        if self.reaches(at).await { self.state.store().get(at, key).map(Some) } else { Ok(None) }
    }

    /// As the engine does, of this voter alone. `None` if it lags.
    pub(super) async fn range_here(
        &self,
        at: Version,
        range: &KeyRange,
        limit: ChunkLimit,
    ) -> Result<Option<Chunk>> {
        if self.reaches(at).await { self.state.store().range(at, range, limit).map(Some) } else { Ok(None) }
    }

    /// As the engine does, of this voter alone. `None` if it lags.
    pub(super) fn read_version_here(&self) -> BoxFuture<'_, Result<Option<Version>>> {
        let route = self.route.clone();
        let round = move || {
            let route = route.clone();
            async move {
                match route.leader(&Call::ReadIndex(()), limits::READ_PATIENCE).await? {
                    Answer::ReadIndex(next) => Ok(next),
                    _ => Err(mistaken()),
                }
            }
        };
        Box::pin(async move {
            let next = self.reads.join(round).await?;
            let reached = self.reached(|progress| progress.next >= next).await;
            Ok(reached.map(|progress| Version(progress.version)))
        })
    }
}

/// An answer to another question.
pub(super) fn mistaken() -> Error {
    Error::Corrupt("an answer to another question".into())
}

#[async_trait]
impl Engine for Group {
    async fn read_version(&self) -> Result<Version> {
        self.check_open()?;
        if self.is_serving()
            && !self.lags()
            && let Some(version) = self.read_version_here().await?
        {
            return Ok(version);
        }
        self.remote.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.check_open()?;
        if self.is_serving()
            && !self.lags()
            && let Some(value) = self.get_here(at, key).await?
        {
            return Ok(value);
        }
        self.remote.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.check_open()?;
        if self.is_serving()
            && !self.lags()
            && let Some(chunk) = self.range_here(at, &range, limit).await?
        {
            return Ok(chunk);
        }
        self.remote.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.check_open()?;
        if !self.is_serving() {
            return self.remote.commit(commit).await;
        }
        match self.route.leader(&Call::Commit(commit), limits::COMMIT_PATIENCE).await? {
            Answer::Committed(committed) => {
                // Who watches here, or reads without asking for a version, sees what it wrote.
                if !self.reaches(committed.version).await {
                    tracing::debug!("a commit is not visible here yet");
                }
                Ok(committed)
            }
            _ => Err(mistaken()),
        }
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        if !self.is_serving() {
            return self.remote.watch(key, at);
        }
        let (state, mut is_over) = (self.state.clone(), self.state.is_over.subscribe());
        let watch = watch(&self.state.watches, move || state.store(), key, at);
        Box::pin(async move {
            tokio::select! {
                outcome = watch => outcome,
                _ = is_over.wait_for(|is_over| *is_over) => Ok(()),
            }
        })
    }

    fn transaction_life(&self) -> Duration {
        self.config.transaction_life
    }

    fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
        let here = self.route.here.get()?.upgrade()?;
        if here.may_be_told().is_ok() { Some(here) } else { None }
    }

    async fn close(&self) {
        Group::close(self).await;
    }
}
