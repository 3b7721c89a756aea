//! How calls begin and end.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use parking_lot::Mutex;
use sterna_storage::limits::CALL_OCTETS;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};

use super::*;
use crate::limits;

/// Never answers, and tells that it was asked.
#[derive(Default)]
pub(super) struct Silent {
    asked: Notify,
}

#[async_trait]
impl Answers for Silent {
    async fn answer(&self, _: NodeId, _: Lane, _: Bytes) -> Bytes {
        self.asked.notify_one();
        std::future::pending().await
    }

    async fn misses(&self, _: NodeId) {}
}

/// Writes down the order in which calls come.
#[derive(Default)]
struct Scribe {
    seen: Mutex<Vec<u64>>,
}

#[async_trait]
impl Answers for Scribe {
    async fn answer(&self, _: NodeId, _: Lane, request: Bytes) -> Bytes {
        let number = u64::from_be_bytes(request[..8].try_into().expect("eight octets"));
        self.seen.lock().push(number);
        // Answered in any order.
        tokio::task::yield_now().await;
        request.slice(..8)
    }

    async fn misses(&self, _: NodeId) {}
}

/// Counts how many are in hand at once.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Answers for Crowd {
    async fn answer(&self, _: NodeId, _: Lane, _: Bytes) -> Bytes {
        let now = 1 + self.now.fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(now, Ordering::Relaxed);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::Relaxed);
        Bytes::new()
    }

    async fn misses(&self, _: NodeId) {}
}

/// Passes octets on between clients and a node, until it is cut.
struct Wire {
    address: SocketAddr,
    cut: Drain,
    accepted: Arc<AtomicUsize>,
}

impl Wire {
    async fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, cut) = (listener.local_addr().expect("bound"), Drain::new());
        let accepted = Arc::new(AtomicUsize::new(0));
        let (tasks, count) = (cut.clone(), accepted.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = tasks.started() => return,
                    accepted = listener.accept() => accepted,
                };
                let (mut near, _) = accepted.expect("a connection");
                count.fetch_add(1, Ordering::Relaxed);
                let cut = tasks.clone();
                tasks.spawn(async move {
                    let mut far = TcpStream::connect(node).await.expect("listening");
                    tokio::select! {
                        () = cut.started() => {}
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { address, cut, accepted }
    }
}

/// Tells whom it misses, for as long as it does.
struct Host {
    missed: mpsc::UnboundedSender<(NodeId, oneshot::Receiver<()>)>,
}

#[async_trait]
impl Answers for Host {
    async fn answer(&self, _: NodeId, _: Lane, request: Bytes) -> Bytes {
        request
    }

    async fn misses(&self, node: NodeId) {
        let (_missing, until) = oneshot::channel();
        self.missed.send((node, until)).expect("the test listens");
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_node_that_leaves_is_missed_until_it_is_back() {
    let realm = Realm::new().await;
    let (missed, mut told) = mpsc::unbounded_channel();
    let node = realm.start(1, Arc::new(Host { missed }));
    let wire = Wire::to(node.address).await;
    let peers = Peers::new(only(NodeId(1), wire.address));
    let caller = Caller::new(realm.live(7), peers.clone(), Incarnation::random());
    call(&caller, "here").await.expect("answered");
    assert!(told.is_empty());
    assert!(wire.cut.run(PATIENCE).await);
    let (who, until) = told.recv().await.expect("told");
    assert_eq!(who, NodeId(7));
    peers.replace(only(NodeId(1), node.address));
    while call(&caller, "again").await.is_err() {
        tokio::task::yield_now().await;
    }
    until.await.expect_err("it is back");
}

#[tokio::test]
async fn a_call_that_is_cut_in_the_middle_is_lost_and_the_next_one_is_not_sent() {
    let realm = Realm::new().await;
    let silent = Arc::new(Silent::default());
    let node = realm.start(1, silent.clone());
    let wire = Wire::to(node.address).await;
    let peers = Peers::new(only(NodeId(1), wire.address));
    let caller = Caller::new(realm.live(7), peers.clone(), Incarnation::random());
    let cut = async {
        silent.asked.notified().await;
        assert!(wire.cut.run(PATIENCE).await);
    };
    let (outcome, ()) = tokio::join!(call(&caller, "half way"), cut);
    assert_lost(outcome);
    assert_not_sent(call(&caller, "nobody there").await, "refused");
    assert_not_sent(call(&caller, "left alone for a moment").await, "refused");
    // The same node elsewhere: nothing is waited for.
    let elsewhere = realm.start(1, Arc::new(Echo));
    peers.replace(only(NodeId(1), elsewhere.address));
    assert_eq!(call(&caller, "moved").await.expect("an answer"), "7 Log moved");
}

#[tokio::test]
async fn a_node_comes_back_under_its_address() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let caller = caller(realm.live(7), &node);
    call(&caller, "first life").await.expect("an answer");
    assert!(node.drain.run(PATIENCE).await);
    while call(&caller, "gone").await.is_ok() {}
    let _again = realm.start_at(1, Arc::new(Echo), node.address);
    while let Err(error) = call(&caller, "second life").await {
        assert!(matches!(error, CallError::NotSent(..)), "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn patience_ends_lost_where_it_was_sent_and_not_sent_where_it_was_not() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Silent::default()));
    let caller = caller(realm.live(7), &node);
    let asked = |patience_ms| {
        caller.call(NodeId(1), Lane::Log, Bytes::from_static(b"x"), Duration::from_millis(patience_ms).into())
    };
    assert_lost(asked(300).await);
    // All places are taken: one more waits here, and gives up before any of them.
    let crowd = futures::future::join_all((0..limits::CALLS_IN_FLIGHT).map(|_| asked(3_000)));
    let (crowd, one_more) = tokio::join!(crowd, asked(300));
    assert_not_sent(one_more, "could not be sent");
    crowd.into_iter().for_each(assert_lost);
    let too_long = caller.call(NodeId(1), Lane::Log, vec![0; CALL_OCTETS + 1].into(), PATIENCE.into()).await;
    assert_not_sent(too_long, "at most");
    assert_not_sent(
        caller.call(NodeId(9), Lane::Log, Bytes::new(), PATIENCE.into()).await,
        "no node of this cluster",
    );
}

#[tokio::test]
async fn the_longest_call_goes_both_ways_beside_small_ones() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Whole));
    let caller = caller(realm.live(7), &node);
    let long: Bytes = (0..CALL_OCTETS).map(|at| at as u8).collect();
    let send = |request: Bytes| caller.call(NodeId(1), Lane::Snapshots, request, PATIENCE.into());
    let (first, second, small) = tokio::join!(send(long.clone()), send(long.clone()), send("small".into()));
    assert!(first.expect("an answer") == long && second.expect("an answer") == long);
    assert_eq!(small.expect("an answer"), "small");
}

/// Gives back what it is given.
struct Whole;

#[async_trait]
impl Answers for Whole {
    async fn answer(&self, _: NodeId, _: Lane, request: Bytes) -> Bytes {
        request
    }

    async fn misses(&self, _: NodeId) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_come_in_their_order() {
    let realm = Realm::new().await;
    let scribe = Arc::new(Scribe::default());
    let node = realm.start(1, scribe.clone());
    let caller = caller(realm.live(7), &node);
    let request = |number: u64| {
        // Some are long, so that those behind them are whole before they are.
        let rest = if number.is_multiple_of(100) { 200_000 } else { 8 };
        let mut octets = number.to_be_bytes().to_vec();
        octets.resize(8 + rest, 0);
        caller.call(NodeId(1), Lane::Log, octets.into(), PATIENCE.into())
    };
    let mut answers: FuturesOrdered<_> = (0..10_000).map(request).collect();
    let mut expected = 0u64;
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.expect("an answer"), expected.to_be_bytes().to_vec());
        expected += 1;
    }
    assert_eq!(expected, 10_000);
    assert!(scribe.seen.lock().iter().copied().eq(0..10_000), "in their order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_are_bounded() {
    let realm = Realm::new().await;
    let crowd = Arc::new(Crowd::default());
    let node = realm.start(1, crowd.clone());
    let caller = caller(realm.live(7), &node);
    let mut calls: FuturesUnordered<_> = (0..2_000).map(|_| call(&caller, "")).collect();
    while let Some(outcome) = calls.next().await {
        outcome.expect("an answer");
    }
    let most = crowd.most.load(Ordering::Relaxed);
    assert!((2..=limits::CALLS_IN_FLIGHT).contains(&most), "{most}");
}

/// Answers after a moment that some callers do not wait for.
struct Late;

#[async_trait]
impl Answers for Late {
    async fn answer(&self, _: NodeId, _: Lane, request: Bytes) -> Bytes {
        tokio::time::sleep(Duration::from_millis(u64::from(request[0]))).await;
        request
    }

    async fn misses(&self, _: NodeId) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_that_are_given_up_leave_the_connection_whole() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Late));
    let wire = Wire::to(node.address).await;
    let peers = Peers::new(only(NodeId(1), wire.address));
    let caller = Caller::new(realm.live(7), peers, Incarnation::random());
    call(&caller, "\0").await.expect("an answer");
    let brief = Duration::from_millis(50);
    let ask = |number: usize| {
        // Around the moment at which their callers give up.
        let request = vec![40 + (number % 20) as u8];
        caller.call(NodeId(1), Lane::Log, request.into(), brief.into())
    };
    let ended = futures::future::join_all((0..4_000).map(ask)).await;
    assert!(ended.iter().any(Result::is_err));
    call(&caller, "\0").await.expect("an answer");
    assert_eq!(wire.accepted.load(Ordering::Relaxed), 1, "on the first connection");
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Silent::default()));
    let caller = caller(realm.live(7), &node);
    let quarter = Bytes::from(vec![0; CALL_OCTETS]);
    let refused = AtomicU64::new(0);
    let calls = (0..8).map(|_| async {
        let outcome =
            caller.call(NodeId(1), Lane::Log, quarter.clone(), Duration::from_millis(500).into()).await;
        if matches!(&outcome, Err(CallError::NotSent(_, told)) if told.contains("too many calls")) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    });
    let ended = futures::future::join_all(calls).await;
    assert!(ended.iter().all(Result::is_err));
    assert!(refused.into_inner() >= 2, "{ended:?}");
}
