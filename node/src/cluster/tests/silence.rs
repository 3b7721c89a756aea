//! Who falls silent, or never says a word: noticed in time, and at nobody else's cost.

use sterna_storage::limits::CALL_OCTETS;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::calls::Silent;
use super::*;
use crate::limits;

#[tokio::test]
async fn a_peer_that_never_reads_costs_its_own_calls_alone() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    // It takes connections and is silent: as a process that stands still.
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut members = only(NodeId(1), node.address);
    members.addresses.extend(only(NodeId(2), deaf.local_addr().expect("bound")).addresses);
    let caller = Caller::new(realm.live(7), Peers::new(members), Incarnation::random());
    let brief = Duration::from_millis(200);
    let silent = caller.call(NodeId(2), Lane::Log, vec![0; CALL_OCTETS].into(), brief.into()).await;
    assert_not_sent(silent, "within 200ms");
    // What may wait long for its answer need not wait long to be sent.
    let patience = Patience { sending: brief, answer: PATIENCE };
    assert_not_sent(caller.call(NodeId(2), Lane::Log, Bytes::new(), patience).await, "within 200ms");
    // Once it could not be reached, nobody waits for the next attempt.
    assert_not_sent(caller.call(NodeId(2), Lane::Log, Bytes::new(), PATIENCE.into()).await, "no answer");
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(limits::DIAL_PAUSE_FIRST * 2).await;
        assert_not_sent(caller.call(NodeId(2), Lane::Log, Bytes::new(), PATIENCE.into()).await, "no answer");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    call(&caller, "meanwhile").await.expect("an answer");
}

#[tokio::test]
async fn a_peer_that_stops_in_the_middle_is_noticed_within_seconds() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Silent::default()));
    let stalled = stalling(node.address).await;
    let peers = Peers::new(only(NodeId(1), stalled.address));
    let caller = Caller::new(realm.live(7), peers, Incarnation::random());
    let begun = std::time::Instant::now();
    let stop = async {
        // The hello is through once anything was asked.
        stalled.passed.notified().await;
        stalled.stop.notify_waiters();
    };
    let long = caller.call(NodeId(1), Lane::Log, vec![0; CALL_OCTETS].into(), PATIENCE.into());
    let (outcome, ()) = tokio::join!(long, stop);
    assert_lost(outcome);
    assert!(
        begun.elapsed() < limits::DIAL_WAIT + 2 * (limits::PING_EVERY + limits::PING_WAIT),
        "{:?}",
        begun.elapsed()
    );
}

/// A way to a node on which nothing moves any more from some moment on, and nobody hangs up.
struct Stalling {
    address: SocketAddr,
    passed: Arc<Notify>,
    stop: Arc<Notify>,
}

async fn stalling(node: SocketAddr) -> Stalling {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (passed, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, stopped) = (passed.clone(), stop.clone());
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.expect("a connection");
        let far = TcpStream::connect(node).await.expect("listening");
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        let there = async {
            let (mut octets, mut sum) = ([0; 4096], 0);
            while let Ok(read @ 1..) = near_in.read(&mut octets).await {
                far_out.write_all(&octets[..read]).await.expect("writable");
                sum += read;
                if sum > 1 << 20 {
                    told.notify_one();
                }
            }
        };
        let back = tokio::io::copy(&mut far_in, &mut near_out);
        tokio::select! {
            () = stopped.notified() => {}
            _ = async { tokio::join!(there, back) } => {}
        }
        // Both sides stay open, and silent.
        std::future::pending::<()>().await;
    });
    Stalling { address, passed, stop }
}

#[tokio::test]
async fn who_says_nothing_is_closed_in_time() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let mut slow = TcpStream::connect(node.address).await.expect("listening");
    // The head of a TLS record, and an octet of it now and then.
    let trickle = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let begun = std::time::Instant::now();
        let mut octets = [0x16, 3, 1, 1, 0].into_iter().chain(std::iter::repeat(0));
        let mut answer = [0; 16];
        loop {
            let octet = octets.next().expect("endless");
            if slow.write_all(&[octet]).await.is_err() {
                return begun.elapsed();
            }
            let pause = tokio::time::timeout(Duration::from_millis(500), slow.read(&mut answer)).await;
            if matches!(pause, Ok(Ok(0) | Err(_))) {
                return begun.elapsed();
            }
        }
    };
    let caller = caller(realm.live(7), &node);
    let (closed_after, served) = tokio::join!(trickle, call(&caller, "meanwhile"));
    served.expect("an answer");
    assert!(closed_after < limits::CLUSTER_HANDSHAKE + Duration::from_secs(5), "{closed_after:?}");
}
