//! Members come, go, and lead in turn; groups do not meet.

use std::sync::atomic::{AtomicBool, Ordering};

use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, InProgress, RaftError};
use tokio::sync::Semaphore;

use super::*;
use crate::raft::members::Changed;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_once() {
    let mut cluster = Cluster::of(3, 1).await;
    let members = [NodeId(1), NodeId(2), NodeId(3)];
    let again = cluster.groups[&NodeId(2)].bootstrap(&members).await;
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    cluster.open(NodeId(4)).await.expect("opens");
    let mixed = cluster.groups[&NodeId(4)].bootstrap(&[NodeId(4), NodeId(1)]).await;
    assert!(matches!(mixed, Err(Error::Exists(_))), "{mixed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_are_added_replaced_and_removed_while_others_write() {
    let mut cluster = Cluster::of(1, 1).await;
    let mut number = 0;
    for node in [NodeId(2), NodeId(3), NodeId(4)] {
        let group = cluster.open(node).await.expect("opens");
        assert_eq!(group.status().role, Role::New);
        cluster.groups[&NodeId(1)].add_learner(node).await.expect("adds");
        count_surely(&cluster.database(NodeId(1)), number).await;
        number += 1;
        wait_until(|| group.status().role == Role::Learner).await;
        cluster.groups[&NodeId(1)].add_voter(node).await.expect("adds");
        assert_eq!(counted(&cluster.database(node)).await, number);
    }
    let voters = |status: super::super::Status| {
        status.members.iter().filter(|member| member.is_voter).map(|member| member.node.0).collect::<Vec<_>>()
    };
    let leader = cluster.leader().await;
    wait_until(|| voters(cluster.groups[&leader].status()) == [1, 2, 3, 4]).await;
    // The leader itself is removed too, asked through another.
    let asked = cluster.others(leader)[0];
    cluster.groups[&asked].remove(leader).await.expect("removes");
    wait_until(|| !voters(cluster.groups[&asked].status()).contains(&leader.0)).await;
    cluster.kill(leader);
    cluster.leader().await;
    count_surely(&cluster.database(asked), number).await;
    assert_eq!(counted(&cluster.database(asked)).await, number + 1);
    cluster.assert_equal().await;
}

/// Each has two steps, between which another's may come.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_asked_for_at_once_all_come_about() {
    let mut cluster = Cluster::of(1, 9).await;
    let nodes = [NodeId(2), NodeId(3), NodeId(4), NodeId(5)];
    for node in nodes {
        cluster.open(node).await.expect("opens");
    }
    let asked = cluster.groups[&NodeId(1)].clone();
    let add = nodes.into_iter().chain(nodes).map(|node| added(&asked, node));
    futures::future::join_all(add).await;
    assert!(asked.status().members.iter().all(|member| member.is_voter));
    let remove = [NodeId(5), NodeId(4), NodeId(5)]
        .map(async |node| until_done(async || asked.remove(node).await).await);
    futures::future::join_all(remove).await;
    wait_until(|| asked.status().members.len() == 3).await;
    cluster.kill(NodeId(4));
    cluster.kill(NodeId(5));
    count_surely(&cluster.database(NodeId(2)), 0).await;
    cluster.assert_equal().await;
}

/// Whether its caller still waits for it or not, and nobody else's comes between.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_begun_is_finished() {
    let cluster = Cluster::of(1, 1).await;
    let group = cluster.groups[&NodeId(1)].clone();
    let (tried, is_over) = (Arc::new(Semaphore::new(0)), Arc::<AtomicBool>::default());
    let earlier = InProgress { committed: None, membership_log_id: None };
    let earlier = ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(earlier));
    let (on_try, ends) = (tried.clone(), is_over.clone());
    let change = move |_| {
        on_try.add_permits(1);
        let outcome: Changed = match ends.load(Ordering::SeqCst) {
            true => Err(RaftError::Fatal(Fatal::Stopped)),
            false => Err(RaftError::APIError(earlier.clone())),
        };
        std::future::ready(outcome)
    };
    let one_more_try = async || {
        let more = tokio::time::timeout(PATIENCE, tried.acquire()).await.expect("it goes on");
        more.expect("never closed").forget();
    };
    let asking = group.clone();
    let caller = tokio::spawn(async move { asking.change_members(change).await.is_ok() });
    one_more_try().await;
    caller.abort();
    assert!(caller.await.expect_err("it was aborted").is_cancelled());
    tried.forget_permits(tried.available_permits());
    one_more_try().await;
    assert!(group.changing.try_lock().is_err(), "it has its turn");
    is_over.store(true, Ordering::SeqCst);
    drop(tokio::time::timeout(PATIENCE, group.changing.lock()).await.expect("it gives its turn back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leadership_is_transferred_on_demand_and_when_a_node_closes() {
    let mut cluster = Cluster::of(3, 1).await;
    for to in [NodeId(2), NodeId(3), NodeId(1)] {
        cluster.groups[&NodeId(1)].transfer(to).await.expect("transfers");
        count_surely(&cluster.database(NodeId(2)), to.0).await;
    }
    let unknown = cluster.groups[&NodeId(1)].transfer(NodeId(9)).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
    let leader = cluster.leader().await;
    let term = cluster.groups[&leader].status().term;
    cluster.groups[&leader].close().await;
    cluster.kill(leader);
    let next = cluster.leader().await;
    assert_eq!(cluster.groups[&next].status().term, term + 1, "one election, without a timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_one_process_do_not_meet() {
    let folder = tempfile::tempdir().expect("a folder");
    let net = Net::new(1);
    let groups = Arc::new(Groups::default());
    net.add(NodeId(1), groups.clone());
    let mut databases = Vec::new();
    for name in ["config", "mail"] {
        let config =
            GroupConfig { timing: TIMING, ..GroupConfig::new(name, folder.path().join(name), NodeId(1)) };
        let group = Group::open(config, net.of(NodeId(1))).await.expect("opens");
        groups.add(group.clone());
        group.bootstrap(&[NodeId(1)]).await.expect("makes the group");
        databases.push(Database::new(group));
    }
    count_surely(&databases[0], 1).await;
    assert_eq!((counted(&databases[0]).await, counted(&databases[1]).await), (1, 0));
    let voters = vec![NodeId(1)];
    let outside = Remote::new("mail", NodeId(7), voters, net.of(NodeId(7)), crate::limits::TRANSACTION_LIFE);
    count_surely(&Database::new(Arc::new(outside)), 2).await;
    assert_eq!(counted(&databases[1]).await, 1);
    for database in databases {
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_what_it_wrote_on_any_node() {
    let cluster = Cluster::of(3, 1).await;
    let remote = Database::new(cluster.remote());
    for number in 0..30 {
        let writer = cluster.database(NodeId(1 + number % 3));
        count_surely(&writer, number).await;
        let reader = cluster.database(NodeId(1 + (number + 1) % 3));
        assert_eq!(counted(&reader).await, number + 1);
        assert_eq!(counted(&remote).await, number + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_on_every_node() {
    let cluster = Cluster::of(3, 1).await;
    let mut databases: Vec<Database> = cluster.groups.keys().map(|node| cluster.database(*node)).collect();
    databases.push(Database::new(cluster.remote()));
    let mut watches = Vec::new();
    for database in &databases {
        let mut tx = database.begin();
        watches.push(tokio::spawn(tx.watch(b"k000007").await.expect("watches")));
    }
    count_surely(&databases[0], 7).await;
    for watch in watches {
        watch.await.expect("joins").expect("ends");
    }
}
