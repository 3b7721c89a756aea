//! The naive engine as the stores above may meet one: it takes its time over each call, so that callers cross, and
//! once told to it does not say how some of its commits ended, or is away after them. What it does follows from a seed.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::engine::{Chunk, ChunkLimit, Commit};
use super::{Committed, Engine, KeyRange, Memory, Version, Watch};
use crate::{Error, Result};

pub(crate) struct Unsteady {
    engine: Arc<Memory>,
    whims: Mutex<Whims>,
}

struct Whims {
    random: StdRng,
    // Most turns that a call leaves to others.
    turns: u32,
    // Commits in a hundred of which nobody is told how they ended, and how many of those are lost.
    doubtful: (u32, u32),
    // How the next commits end, before those of which the dice decide.
    next: VecDeque<End>,
    // Transactions that cannot begin after each of those.
    away: u32,
    failing: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Told,
    // Carried out, or not, and nobody is told.
    Unknown { done: bool },
}

impl Unsteady {
    /// Steady until told otherwise.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let (random, next) = (StdRng::seed_from_u64(seed), VecDeque::new());
        let whims = Whims { random, turns: 0, doubtful: (0, 0), next, away: 0, failing: 0 };
        Arc::new(Self { engine: Memory::new(), whims: Mutex::new(whims) })
    }

    /// From now on each call leaves up to so many turns to others.
    pub(crate) fn linger(&self, turns: u32) {
        self.whims.lock().turns = turns;
    }

    /// From now on it does not tell how so many in a hundred commits ended; of a hundred of those so many were not
    /// carried out.
    pub(crate) fn doubt(&self, in_a_hundred: u32, lost_in_a_hundred: u32) {
        self.whims.lock().doubtful = (in_a_hundred, lost_in_a_hundred);
    }

    /// So the next commits end, and after each the engine is away for so many transactions. Now it is not.
    pub(crate) fn end_next(&self, ends: impl IntoIterator<Item = End>, away: u32) {
        let mut whims = self.whims.lock();
        whims.next = ends.into_iter().collect();
        (whims.away, whims.failing) = (away, 0);
    }

    /// How many of those are still to come.
    pub(crate) fn ends_left(&self) -> usize {
        self.whims.lock().next.len()
    }

    fn check(&self) -> Result<()> {
        let mut whims = self.whims.lock();
        if whims.failing == 0 {
            return Ok(());
        }
        whims.failing -= 1;
        Err(Error::Unavailable("the engine".into()))
    }

    async fn pause(&self) {
        let turns = {
            let mut whims = self.whims.lock();
            let most = whims.turns;
            whims.random.random_range(0..=most)
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    fn end(&self) -> End {
        let mut whims = self.whims.lock();
        if let Some(end) = whims.next.pop_front() {
            whims.failing = whims.away;
            return end;
        }
        let (doubtful, lost) = whims.doubtful;
        let [first, second]: [u32; 2] = std::array::from_fn(|_| whims.random.random_range(0..100));
        if first < doubtful { End::Unknown { done: second >= lost } } else { End::Told }
    }
}

#[async_trait]
impl Engine for Unsteady {
    async fn read_version(&self) -> Result<Version> {
        self.pause().await;
        self.check()?;
        self.engine.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.pause().await;
        self.engine.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.pause().await;
        self.engine.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.pause().await;
        let end = self.end();
        if let End::Unknown { done: false } = end {
            return Err(Error::CommitUnknown);
        }
        let outcome = self.engine.commit(commit).await;
        self.pause().await;
        match end {
            End::Told => outcome,
            End::Unknown { .. } => outcome.and(Err(Error::CommitUnknown)),
        }
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}
