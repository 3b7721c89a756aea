//! What a member keeps is read there without the others, and nothing is committed from it.

use bytes::Bytes;

use super::*;
use crate::kv::engine::{ChunkLimit, Commit, Mutation, OwnCopy};
use crate::kv::{Engine, KeyRange};

/// Above what the tree keeps itself.
const LARGE_OCTETS: usize = 20_000;

async fn count_in(copy: &dyn OwnCopy) -> u64 {
    let value = copy.get(b"count").await.expect("reads");
    value.map_or(0, |value| u64::from_le_bytes(value[..].try_into().expect("eight octets")))
}

async fn assert_unavailable<T>(outcome: impl Future<Output = Result<T>>) {
    let outcome = outcome.await.map(|_| ());
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
}

/// Twenty numbers, and a value that stands in the log alone.
async fn fill(cluster: &Cluster) {
    for number in 0..20 {
        count_surely(&cluster.database(NodeId(1 + number % 3)), number).await;
    }
    let large = async |tx: &mut Transaction| {
        tx.set("large", vec![7; LARGE_OCTETS]);
        Ok(())
    };
    cluster.database(NodeId(1)).run_repeatable(large).await.expect("commits");
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learners_copy_tells_what_was_committed_when_the_voters_are_lost() {
    let mut cluster = Cluster::of(3, 1).await;
    let learner = cluster.learner().await;
    let copy = learner.copy().expect("a member's");
    fill(&cluster).await;
    let voters = [NodeId(1), NodeId(2), NodeId(3)];
    voters.iter().for_each(|voter| cluster.kill(*voter));
    assert_eq!(count_in(copy.as_ref()).await, 20);
    let limit = ChunkLimit { pairs: 100, octets: usize::MAX, reverse: false };
    assert_eq!(copy.range(KeyRange::prefix(b"k"), limit).await.expect("reads").pairs.len(), 20);
    assert_eq!(copy.get(b"large").await.expect("reads"), Some(vec![7; LARGE_OCTETS].into()));
    let set = Mutation::Set(Bytes::from_static(b"count"), Bytes::new());
    let blind = Commit { mutations: vec![set], ..Commit::default() };
    let here = cluster.database(NodeId(4));
    tokio::join!(
        assert_unavailable(learner.commit(blind)),
        assert_unavailable(count_once(&here, 20)),
        assert_unavailable(learner.read_version()),
    );
    assert_eq!(count_in(copy.as_ref()).await, 20, "nothing was changed");
    for voter in &voters[..2] {
        cluster.open(*voter).await.expect("opens");
    }
    count_surely(&here, 20).await;
    let begun = Instant::now();
    while count_in(copy.as_ref()).await < 21 {
        assert!(begun.elapsed() < PATIENCE, "it goes on by itself");
        tokio::time::sleep(STEP).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_what_it_had_gives_no_copy() {
    let mut cluster = Cluster::of(3, 2).await;
    fill(&cluster).await;
    let lost = cluster.follower().await;
    let copy = cluster.groups[&lost].copy().expect("a member's");
    cluster.groups[&lost].close().await;
    assert!(cluster.groups[&lost].copy().is_none());
    assert!(matches!(copy.get(b"count").await, Err(Error::Closed)));
    drop(copy);
    cluster.kill(lost);
    let path = cluster.config(lost).path;
    std::fs::remove_dir_all(path).expect("removed");
    let empty = cluster.open(lost).await.expect("opens");
    assert!(empty.copy().is_none(), "no member yet");
    wait_until(|| empty.status().trouble.is_some()).await;
    assert!(empty.copy().is_none(), "another folder is the member");
}
