//! Who answers whom: bad calls, nodes that refuse, voters that lag, groups that close.

use bytes::Bytes;
use futures::FutureExt;

use super::*;
use crate::kv::engine::{ChunkLimit, Commit, Mutation, Version};
use crate::kv::{Engine, KeyRange};
use crate::raft::call::{Answer, Call, Envelope, Get, GetRange};
use crate::raft::{Answers, Lane};
use crate::{folder, limits};

async fn ask(cluster: &Cluster, to: NodeId, lane: Lane, call: Call) -> Answer {
    let request = Envelope { group: "mail".into(), to: 0, from: 0, call }.encode();
    let answer = cluster.net.of(NodeId(100)).call(to, lane, request, PATIENCE.into()).await.expect("answers");
    Answer::decode(&answer).expect("an answer")
}

fn bad_calls() -> Vec<Call> {
    let key = |length: usize| Bytes::from(vec![b'k'; length]);
    let set = |key: Bytes, octets: usize| Mutation::Set(key, vec![0; octets].into());
    let clear = |begin: Bytes, end: Bytes| Mutation::ClearRange(KeyRange { begin, end });
    let mutations = [
        vec![set(Bytes::new(), 1)],
        vec![set(key(70_000), 1)],
        vec![set(key(limits::KEY_OCTETS + 1), 1)],
        vec![set(Bytes::from_static(b"\xffm"), 1)],
        vec![set(key(1), limits::VALUE_OCTETS + 1)],
        vec![set(key(1), limits::VALUE_OCTETS); 120],
        vec![Mutation::Add(Bytes::new(), 1)],
        vec![Mutation::Clear(key(70_000))],
        vec![clear(Bytes::new(), key(1))],
        vec![clear(key(1), key(70_000))],
        vec![clear(key(1), Bytes::from_static(b"\xff\xff"))],
        vec![Mutation::SetVersionstampedKey { key: key(12), offset: 3, value: key(1) }],
    ];
    let commit = |mutations| Call::Commit(Commit { mutations, ..Commit::default() });
    let mut calls: Vec<Call> = mutations.into_iter().map(commit).collect();
    let at = Version(1);
    for key in [Bytes::new(), key(70_000)] {
        calls.push(Call::Get(Get { at, key: key.clone() }));
        calls.push(Call::Watch(Get { at, key }));
    }
    let limit = ChunkLimit { pairs: 10, octets: 1000, reverse: false };
    calls.push(Call::Range(GetRange { at, range: KeyRange { begin: key(1), end: key(70_000) }, limit }));
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_no_node_makes_are_refused_and_stop_no_voter() {
    let cluster = Cluster::of(3, 1).await;
    let leader = cluster.leader().await;
    for call in bad_calls() {
        let text = format!("{call:?}");
        let answer = ask(&cluster, leader, Lane::Transactions, call).await;
        let is_refused = matches!(answer, Answer::Failed(Error::Invalid(_) | Error::TooLarge(_)));
        assert!(is_refused, "{answer:?} to {}", &text[..text.len().min(300)]);
    }
    let answer = ask(&cluster, leader, Lane::Votes, Call::ReadVersion(())).await;
    assert!(matches!(answer, Answer::Failed(Error::Invalid(_))), "{answer:?} on another lane");
    count_surely(&cluster.database(leader), 1).await;
    cluster.assert_equal().await;
    for group in cluster.groups.values() {
        assert_eq!(group.status().trouble, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_goes_on_where_a_node_certainly_did_nothing() {
    let cluster = Cluster::of(3, 1).await;
    // A node whose group is not open yet.
    cluster.net.add(NodeId(9), Arc::new(Groups::default()));
    let mut voters = vec![NodeId(9)];
    voters.extend(cluster.groups.keys());
    // Of four nodes the hundredth asks the first first.
    let outside = Remote::new("mail", NodeId(100), voters, cluster.net.of(NodeId(100)), cluster.life);
    let set = Mutation::Set(Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    let commit = Commit { mutations: vec![set], ..Commit::default() };
    outside.commit(commit).await.expect("commits");
}

/// Takes every call and answers none: as a process that stands still.
struct Still;

#[async_trait::async_trait]
impl Answers for Still {
    async fn answer(&self, _: NodeId, _: Lane, _: Bytes) -> Bytes {
        std::future::pending().await
    }

    async fn misses(&self, _: NodeId) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_stands_still_costs_a_node_that_is_none_one_wait() {
    let cluster = Cluster::of(3, 1).await;
    cluster.net.add(NodeId(9), Arc::new(Still));
    let mut voters = vec![NodeId(9)];
    voters.extend(cluster.groups.keys());
    // Of four nodes the hundredth asks the first first.
    let reader = Remote::new("mail", NodeId(100), voters.clone(), cluster.net.of(NodeId(100)), cluster.life);
    reader.read_version().await.expect("another voter answers");
    let begun = Instant::now();
    for _ in 0..10 {
        reader.read_version().await.expect("it is remembered");
    }
    assert!(begun.elapsed() < limits::CALL_PATIENCE, "{:?}", begun.elapsed());
    let writer = Remote::new("mail", NodeId(100), voters, cluster.net.of(NodeId(100)), cluster.life);
    let set = Mutation::Set(Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    let commit = Commit { mutations: vec![set], ..Commit::default() };
    let first = writer.commit(commit.clone()).await;
    assert!(matches!(first, Err(Error::CommitUnknown)), "{first:?}");
    let begun = Instant::now();
    writer.commit(commit).await.expect("others are asked");
    assert!(begun.elapsed() < limits::CALL_PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lags_asks_the_others() {
    let cluster = Cluster::of(3, 1).await;
    let behind = cluster.follower().await;
    let leader = cluster.leader().await;
    count_surely(&cluster.database(leader), 1).await;
    cluster.assert_equal().await;
    cluster.net.stall_log(Some(behind));
    count_surely(&cluster.database(leader), 2).await;
    let group = &cluster.groups[&behind];
    for _ in 0..2 {
        let read = cluster.database(behind).run(async |tx| tx.get(b"count").await).await;
        let found = read.expect("the others know").expect("there");
        assert_eq!(u64::from_le_bytes(found[..].try_into().expect("eight octets")), 2);
        assert!(group.lags(), "it is remembered");
    }
    cluster.net.stall_log(None);
    wait_until(|| !group.lags()).await;
    assert_eq!(counted(&cluster.database(behind)).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_was_given_up_is_taken_up_again() {
    let mut cluster = Cluster::of(1, 1).await;
    let node = NodeId(1);
    let path = cluster.config(node).path;
    count_surely(&cluster.database(node), 1).await;
    let group = cluster.groups[&node].clone();
    assert!(group.close().now_or_never().is_none(), "it takes a while");
    assert!(folder::lock(&path).is_err());
    group.close().await;
    assert!(folder::lock(&path).is_ok());
    // Nobody who is late changes the folder.
    let late = group.log.change(|held| held.tree = 9).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    cluster.kill(node);
    drop(group);
    let group = cluster.open(node).await.expect("opens");
    assert!(group.close().now_or_never().is_none(), "it takes a while");
    cluster.kill(node);
    drop(group);
    cluster.open(node).await.expect("opens");
    cluster.leader().await;
    assert_eq!(counted(&cluster.database(node)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_fails_leaves_the_folder_to_the_next() {
    let mut cluster = Cluster::of(1, 1).await;
    let node = NodeId(1);
    cluster.groups[&node].close().await;
    cluster.kill(node);
    let timing = Timing { heartbeat: TIMING.election_max * 2, ..TIMING };
    let config = GroupConfig { timing, ..cluster.config(node) };
    let path = config.path.clone();
    let failed = Group::open(config, cluster.net.of(node)).await;
    assert!(matches!(failed, Err(Error::Invalid(_))), "{:?}", failed.err());
    assert!(folder::lock(&path).is_ok());
    cluster.open(node).await.expect("opens");
}
