//! Voters that are too far behind for the log.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn value(number: u64, octets: usize) -> Vec<u8> {
    (0..octets as u64).map(|at| (at ^ number).wrapping_mul(31) as u8).collect()
}

/// Small values and values that stand in the log alone.
async fn fill(database: &Database, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let set = async |tx: &mut Transaction| {
            tx.set(format!("small{number:05}"), value(number, 100));
            tx.set(format!("large{number:05}"), value(number, 20_000));
            Ok(())
        };
        database.run(set).await.expect("commits");
    }
}

fn trees(cluster: &Cluster, node: NodeId) -> usize {
    let names = std::fs::read_dir(cluster.config(node).path).expect("lists").flatten();
    names.filter(|name| name.file_name().to_string_lossy().starts_with("tree-")).count()
}

/// Cuts a follower off and writes so many values, until the others have purged what it would need.
async fn leave_behind(cluster: &Cluster, upto: u64) -> NodeId {
    let behind = cluster.follower().await;
    let leader = cluster.leader().await;
    fill(&cluster.database(leader), 0..20).await;
    cluster.assert_equal().await;
    cluster.net.cut_off(behind, &cluster.others(behind));
    fill(&cluster.database(leader), 20..upto).await;
    let has = cluster.groups[&behind].status().log_entries;
    for node in cluster.others(behind) {
        let group = &cluster.groups[&node];
        wait_until(|| {
            group.state.seal();
            group.status().purged_entries > has
        })
        .await;
    }
    behind
}

/// Also where a value that is still there stood in one.
#[tokio::test(flavor = "multi_thread")]
async fn log_files_that_nobody_needs_go() {
    let cluster = Cluster::of(3, 4).await;
    let database = cluster.database(cluster.leader().await);
    let mut number = 0;
    fill(&database, 0..1).await;
    let begun = Instant::now();
    for group in cluster.groups.values() {
        while group.log.log().segments()[0].first_index == 1 {
            assert!(begun.elapsed() < PATIENCE, "waited for too long");
            let set = async |tx: &mut Transaction| {
                tx.set("again", value(number, 1500));
                Ok(())
            };
            database.run(set).await.expect("commits");
            group.state.seal();
            number += 1;
        }
    }
    cluster.assert_equal().await;
    for node in cluster.groups.keys() {
        let read = async |tx: &mut Transaction| tx.get(b"large00000").await;
        let found = cluster.database(*node).run(read).await.expect("reads").expect("there");
        assert!(found == value(0, 20_000), "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lags_too_far_receives_the_state_while_others_write() {
    let cluster = Cluster::of(3, 1).await;
    let behind = leave_behind(&cluster, 200).await;
    let stop = Arc::new(AtomicBool::new(false));
    let leader = cluster.leader().await;
    let (database, stopped) = (cluster.database(leader), stop.clone());
    let writer = tokio::spawn(async move {
        let mut number = 0;
        while !stopped.load(Ordering::SeqCst) {
            count_surely(&database, number).await;
            number += 1;
        }
        number
    });
    cluster.net.heal();
    let group = &cluster.groups[&behind];
    let others = cluster.groups[&leader].status().applied_entries;
    wait_until(|| group.status().applied_entries >= others).await;
    stop.store(true, Ordering::SeqCst);
    let written = writer.await.expect("joins");
    // Of the moment at which it was asked for, which may be before the network was whole; the log tells the rest.
    assert!(cluster.net.transfers() > 0, "it went as a state");
    cluster.assert_equal().await;
    assert_eq!(counted(&cluster.database(behind)).await, written);
    // Its old tree goes while it runs.
    wait_until(|| trees(&cluster, behind) == 1).await;
    let read = async |tx: &mut Transaction| tx.get(b"large00019").await;
    let found = cluster.database(behind).run(read).await.expect("reads").expect("there");
    assert!(found == value(19, 20_000));
}

/// What is written meanwhile is more than what is kept for voters that lag.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_travels_slowly_is_sent_once() {
    let cluster = Cluster::of(3, 6).await;
    let behind = leave_behind(&cluster, 60).await;
    let leader = cluster.leader().await;
    cluster.net.hold_parts(true);
    cluster.net.heal();
    wait_until(|| cluster.net.transfers() > 0).await;
    let begun = cluster.groups[&leader].status().applied_entries;
    fill(&cluster.database(leader), 60..75).await;
    // The third voter, which sends nothing, does not keep it.
    let third = cluster.others(leader).into_iter().find(|node| *node != behind).expect("three");
    wait_until(|| {
        cluster.groups.values().for_each(|group| group.state.seal());
        cluster.groups[&third].status().purged_entries > begun
    })
    .await;
    cluster.net.hold_parts(false);
    let others = cluster.groups[&leader].status().applied_entries;
    wait_until(|| cluster.groups[&behind].status().applied_entries >= others).await;
    assert_eq!(cluster.net.transfers(), 1);
    cluster.assert_equal().await;
    // Now nobody needs it.
    wait_until(|| cluster.groups[&leader].status().purged_entries > begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_is_still_copying_is_asked_for_again() {
    let mut cluster = Cluster::of(1, 8).await;
    let leader = cluster.groups[&NodeId(1)].clone();
    fill(&cluster.database(NodeId(1)), 0..60).await;
    wait_until(|| {
        leader.state.seal();
        leader.status().purged_entries > 0
    })
    .await;
    cluster.net.hold_parts(true);
    let copying = cluster.open(NodeId(2)).await.expect("opens");
    for _ in 0..2 {
        let told = leader.add_voter(NodeId(2)).await.expect_err("it has no part yet").to_string();
        assert!(told.contains("node 2 is still copying the group mail: ask again"), "{told}");
    }
    cluster.net.hold_parts(false);
    wait_until(|| copying.status().applied_entries >= leader.status().applied_entries).await;
    // Two who ask at once do not hinder each other.
    tokio::join!(added(&leader, NodeId(2)), added(&leader, NodeId(2)));
    assert!(leader.status().members.iter().all(|member| member.is_voter));
    assert_eq!(cluster.net.transfers(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_cut_goes_on_where_it_was() {
    let cluster = Cluster::of(3, 2).await;
    let behind = leave_behind(&cluster, 200).await;
    cluster.net.set_faults(Duration::from_millis(20), 300);
    cluster.net.heal();
    let group = &cluster.groups[&behind];
    wait_until(|| cluster.net.parts_octets() > 0).await;
    cluster.net.cut_off(behind, &cluster.others(behind));
    let applied = group.status().applied_entries;
    let sent = cluster.net.parts_octets();
    cluster.net.heal();
    let others = cluster.groups[&cluster.leader().await].status().applied_entries;
    wait_until(|| group.status().applied_entries >= others).await;
    assert!(others > applied && cluster.net.parts_octets() > sent);
    cluster.net.set_faults(Duration::ZERO, 0);
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_is_killed_half_way_has_its_old_state_and_starts_anew() {
    let mut cluster = Cluster::of(3, 3).await;
    let behind = leave_behind(&cluster, 200).await;
    let before = cluster.groups[&behind].hash().await.expect("hashes");
    cluster.net.set_faults(Duration::from_millis(50), 0);
    cluster.net.heal();
    wait_until(|| cluster.net.parts_octets() > 0).await;
    cluster.net.cut_off(behind, &cluster.others(behind));
    cluster.kill(behind);
    cluster.net.set_faults(Duration::ZERO, 0);
    let group = cluster.open(behind).await.expect("opens");
    let (version, hash) = group.hash().await.expect("hashes");
    // What it had applied but not flushed comes back with the log; nothing of the new state is there.
    assert!(version <= before.0, "{version:?} after {:?}", before.0);
    assert!(version < before.0 || hash == before.1);
    cluster.net.heal();
    let others = cluster.groups[&cluster.leader().await].status().applied_entries;
    wait_until(|| group.status().applied_entries >= others).await;
    cluster.assert_equal().await;
    // And it is a voter like any other, also after a restart.
    drop(group);
    cluster.kill(behind);
    let group = cluster.open(behind).await.expect("opens");
    count_surely(&cluster.database(behind), 1).await;
    wait_until(|| group.status().role == Role::Follower || group.status().role == Role::Leader).await;
    cluster.assert_equal().await;
}
