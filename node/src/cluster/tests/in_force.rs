//! What a node tells of how far it has taken in the directory.

use std::collections::BTreeSet;

use sterna_storage::raft::Groups;
use tokio::sync::watch;

use super::*;
use crate::cluster::in_force::{Answering, Progress, Standing};
use crate::limits;

/// Node 1 listens; node 2, which is at version 9, asks it.
struct Pair {
    caller: Caller,
    members: Members,
    own: Progress,
    other: Progress,
}

impl Pair {
    async fn new() -> Self {
        let realm = Realm::new().await;
        let (own, other) = (Progress::default(), Progress::default());
        own.set(watch::Sender::new(9).subscribe());
        let node = realm.start(1, Arc::new(Answering::new(Arc::new(Groups::default()), other.clone())));
        let mut members = only(node.node, node.address);
        members.addresses.insert(NodeId(2), "localhost:1".parse().expect("an address"));
        Self { caller: caller(realm.live(2), &node), members, own, other }
    }

    async fn standing(&self, version: u64, patience: Duration) -> Standing {
        Standing::asked(&self.caller, &self.members, (NodeId(2), &self.own), version, patience).await
    }
}

#[track_caller]
fn assert_behind(standing: &Standing, told: &[(u64, &str)]) {
    assert_eq!(standing.nodes, 2);
    let is_so = standing.behind.len() == told.len()
        && standing
            .behind
            .iter()
            .zip(told)
            .all(|((node, reason), (expected, text))| node.0 == *expected && reason.contains(text));
    assert!(is_so, "{standing:?}");
}

#[tokio::test]
async fn a_node_tells_once_it_has_taken_the_change_in() {
    let pair = Pair::new().await;
    assert_behind(&pair.standing(9, PATIENCE).await, &[(1, "is starting")]);
    let version = watch::Sender::new(8);
    pair.other.set(version.subscribe());
    assert_behind(&pair.standing(8, PATIENCE).await, &[]);
    let mut asked = std::pin::pin!(pair.standing(9, PATIENCE));
    assert!(futures::poll!(&mut asked).is_pending());
    version.send_replace(9);
    assert_behind(&asked.await, &[]);
}

#[tokio::test]
async fn a_node_that_lags_says_so_in_time() {
    let pair = Pair::new().await;
    let version = watch::Sender::new(8);
    pair.other.set(version.subscribe());
    let (begun, limit) = (std::time::Instant::now(), limits::IN_FORCE_WAIT);
    assert_behind(&pair.standing(9, limit).await, &[(1, "node 1 has not taken it in yet")]);
    assert!(begun.elapsed() >= limits::IN_FORCE_HELD, "it waited");
    // This node itself may be the one.
    version.send_replace(10);
    assert_behind(&pair.standing(10, limit).await, &[(2, "node 2 has not taken it in yet")]);
}

#[tokio::test]
async fn whoever_is_away_or_answers_something_else_is_named() {
    let mut pair = Pair::new().await;
    pair.other.set(watch::Sender::new(9).subscribe());
    pair.members.addresses.insert(NodeId(3), "localhost:2".parse().expect("an address"));
    let standing = pair.standing(9, PATIENCE).await;
    assert_eq!(standing.nodes, 3);
    let named: BTreeSet<u64> = standing.behind.iter().map(|(node, _)| node.0).collect();
    assert_eq!(named, BTreeSet::from([3]), "{standing:?}");
    let realm = Realm::new().await;
    let echo = realm.start(1, Arc::new(Echo));
    let (asking, members) = (caller(realm.live(2), &echo), only(echo.node, echo.address));
    let standing = Standing::asked(&asking, &members, (NodeId(2), &pair.own), 9, PATIENCE).await;
    assert!(standing.behind[0].1.contains("something else"), "{standing:?}");
}
