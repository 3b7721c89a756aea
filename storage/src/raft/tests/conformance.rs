//! The suite of the transaction interface on groups, from every kind of node; histories while the leader is killed and
//! moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Cluster, NodeId, wait_until};
use crate::kv::conformance::history::{self, tests::Forgetful};
use crate::kv::conformance::run_all;
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, OwnCopy, Version, Watch};
use crate::kv::{Engine, KeyRange};
use crate::{Error, Result};

/// How often the leader moves during a history.
const MOVES: u64 = 30;
/// How often it is cut off.
const CUTS: u64 = 5;

/// How often an engine is asked that says that the group has no leader: voters may be short of a processor.
const TRIES: u32 = 6;

/// An engine with the cluster that it belongs to.
struct Owned {
    engine: Arc<dyn Engine>,
    cluster: Cluster,
}

#[async_trait]
impl Engine for Owned {
    async fn read_version(&self) -> Result<Version> {
        patiently(|| self.engine.read_version()).await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        patiently(|| self.engine.get(at, key)).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        patiently(|| self.engine.range(at, range.clone(), limit)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        patiently(|| self.engine.commit(commit.clone())).await
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    fn transaction_life(&self) -> Duration {
        self.engine.transaction_life()
    }

    fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
        self.engine.copy()
    }

    async fn close(&self) {
        self.engine.close().await;
        futures::future::join_all(self.cluster.groups.values().map(|group| group.close())).await;
    }
}

async fn patiently<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> Result<T> {
    let mut outcome = ask().await;
    for _ in 1..TRIES {
        if !matches!(outcome, Err(Error::Unavailable(_))) {
            break;
        }
        outcome = ask().await;
    }
    outcome
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Leader,
    Follower,
    Learner,
    Outside,
}

async fn run_from(voters: u64, place: Place) {
    let seeds = AtomicU64::new(0);
    let make = |life: Duration| -> BoxFuture<'static, Arc<dyn Engine>> {
        let seed = seeds.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut cluster = Cluster::living(voters, seed, life).await;
            let engine: Arc<dyn Engine> = match place {
                Place::Leader => cluster.groups[&cluster.leader().await].clone(),
                Place::Follower => cluster.groups[&cluster.follower().await].clone(),
                Place::Learner => cluster.learner().await,
                Place::Outside => cluster.remote(),
            };
            match place {
                Place::Outside => assert!(engine.copy().is_none()),
                // A voter hears a moment later that it is one.
                _ => wait_until(|| engine.copy().is_some()).await,
            }
            Arc::new(Owned { engine, cluster }) as Arc<dyn Engine>
        })
    };
    run_all(&make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_voter_conforms() {
    run_from(1, Place::Leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voters_conform_at_the_leader() {
    run_from(3, Place::Leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voters_conform_at_a_follower() {
    run_from(3, Place::Follower).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_conforms() {
    run_from(1, Place::Learner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voters_conform_from_outside() {
    run_from(3, Place::Outside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_caught_too_when_it_drops_conflicts() {
    let mut caught = 0;
    for seed in 0..4 {
        let cluster = Cluster::of(3, seed).await;
        let engines: Vec<Arc<dyn Engine>> = cluster
            .groups
            .values()
            .map(|group| Arc::new(Forgetful(group.clone())) as Arc<dyn Engine>)
            .collect();
        caught += usize::from(history::check_together(&engines, seed).await.is_err());
    }
    assert!(caught > 0);
}

/// Runs a history from all nodes and from outside, while `disturb` does what it does.
async fn check_disturbed<D>(cluster: &Cluster, seed: u64, disturb: D)
where
    D: Future<Output = ()>,
{
    let mut engines: Vec<Arc<dyn Engine>> =
        cluster.groups.values().map(|group| group.clone() as Arc<dyn Engine>).collect();
    engines.push(cluster.remote());
    let checked = tokio::select! {
        checked = history::check_together(&engines, seed) => checked,
        () = disturb => unreachable!("it does not end before the history"),
    };
    if let Err(violation) = checked {
        let states: Vec<_> = cluster.groups.values().map(|group| group.status()).collect();
        panic!("seed {seed}: {violation}\n{states:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_hold_while_the_leader_moves() {
    for seed in 0..3 {
        let cluster = Cluster::of(3, seed).await;
        cluster.net.set_faults(Duration::from_millis(3), 0);
        let moves = async {
            for next in seed..seed + MOVES {
                let to = NodeId(1 + next % 3);
                // An election in between is no failure.
                if let Err(error) = cluster.groups[&to].transfer(to).await {
                    assert!(error.is_temporary(), "{error}");
                }
            }
            std::future::pending().await
        };
        check_disturbed(&cluster, seed, moves).await;
        cluster.assert_equal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_hold_while_leaders_are_cut_off_and_answers_are_lost() {
    for seed in 0..3 {
        let cluster = Cluster::of(3, seed).await;
        cluster.net.set_faults(Duration::from_millis(3), 10);
        let cuts = async {
            for _ in 0..CUTS {
                let leader = cluster.leader().await;
                // Between two cuts the history goes on.
                let version = cluster.groups[&leader].status().version;
                wait_until(|| cluster.groups[&leader].status().version.0 > version.0 + 5).await;
                let term = cluster.groups[&leader].status().term;
                let others = cluster.others(leader);
                if cluster.net.random(2) == 0 {
                    cluster.net.cut_off(leader, &others);
                } else {
                    others.iter().for_each(|other| cluster.net.cut_way(leader, *other));
                }
                let follower = &cluster.groups[&others[0]];
                wait_until(|| follower.status().term > term).await;
                cluster.net.heal();
                wait_until(|| cluster.groups[&leader].status().term > term).await;
            }
            std::future::pending().await
        };
        check_disturbed(&cluster, seed, cuts).await;
        cluster.net.heal();
        cluster.net.set_faults(Duration::ZERO, 0);
        cluster.assert_equal().await;
    }
}
