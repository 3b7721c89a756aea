//! Bad days: power losses, full and damaged disks, folders that were lost, entries of the wrong term.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::kv::engine::{Mutation, Version};
use crate::kv::store::entry::Builder;
use crate::log;
use crate::log::simulated::Disk;
use crate::raft::consensus::{Outcome, Proposal};
use crate::raft::recovery;

/// Three voters on disks in memory, with trees in folders.
struct Disks {
    cluster: Cluster,
    disks: BTreeMap<NodeId, Disk>,
}

impl Disks {
    async fn of(voters: u64, seed: u64) -> Self {
        let mut all =
            Self { cluster: Cluster::new(seed, crate::limits::TRANSACTION_LIFE), disks: BTreeMap::new() };
        for node in (1..=voters).map(NodeId) {
            all.open(node, Disk::default()).await.expect("opens");
        }
        let members: Vec<NodeId> = all.disks.keys().copied().collect();
        all.cluster.groups[&members[0]].bootstrap(&members).await.expect("makes the group");
        all.cluster.leader().await;
        all
    }

    async fn open(&mut self, node: NodeId, disk: Disk) -> Result<()> {
        let config = self.cluster.config(node);
        let begun = Instant::now();
        let group = loop {
            let log = log::Config {
                files: Arc::new(disk.clone()),
                on_fatal: Arc::new(|_| {}),
                ..log::Config::new(PathBuf::from("/log"))
            };
            match Group::open_with(config.clone(), self.cluster.net.of(node), log).await {
                Err(Error::Unavailable(text)) if begun.elapsed() < PATIENCE => {
                    assert!(text.contains("another process"), "{text}");
                    tokio::time::sleep(STEP).await;
                }
                outcome => break outcome?,
            }
        };
        self.cluster.join(node, group);
        self.disks.insert(node, disk);
        Ok(())
    }
}

/// Counts from several tasks until told to stop; gives what was acknowledged.
fn count_on(database: Database, from: u64, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<u64>> {
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        let mut number = from;
        while !stop.load(Ordering::SeqCst) {
            if count_once(&database, number).await.is_ok() {
                acknowledged.push(number);
            }
            number += 1;
        }
        acknowledged
    })
}

async fn assert_there(database: &Database, numbers: &[u64]) {
    for number in numbers {
        let key = format!("k{number:06}");
        let value = database.run(async |tx| tx.get(key.as_bytes()).await).await.expect("reads");
        assert!(value.is_some(), "{key} was acknowledged and is lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn power_losses_of_a_majority_at_once_lose_nothing_that_was_acknowledged() {
    for seed in 0..6 {
        let mut all = Disks::of(3, seed).await;
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let database = all.cluster.database(NodeId(1 + task % 3));
                count_on(database, task * 10_000, stop.clone())
            })
            .collect();
        let group = all.cluster.groups[&NodeId(1)].clone();
        let enough = 20 + all.cluster.net.random(60);
        wait_until(|| group.status().applied_entries > enough).await;
        drop(group);
        let losers = if seed % 2 == 0 { 3 } else { 2 };
        let lost: Vec<(NodeId, Disk)> = all
            .disks
            .iter()
            .take(losers)
            .map(|(node, disk)| (*node, disk.lose_power(seed * 7 + node.0)))
            .collect();
        stop.store(true, Ordering::SeqCst);
        lost.iter().for_each(|(node, _)| all.cluster.kill(*node));
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.extend(task.await.expect("joins"));
        }
        for (node, disk) in lost {
            all.open(node, disk).await.unwrap_or_else(|error| panic!("seed {seed}, node {node}: {error}"));
        }
        let database = all.cluster.database(all.cluster.leader().await);
        count_surely(&database, 999_999).await;
        assert!(!acknowledged.is_empty());
        assert_there(&database, &acknowledged).await;
        assert!(counted(&database).await > acknowledged.len() as u64);
        all.cluster.assert_equal().await;
    }
}

type Trouble = fn(&Disk);

/// What befalls the disk of a voter, and what it says of it.
const TROUBLES: [(Trouble, &str); 3] = [
    (|disk| disk.set_room(Some(0)), "no room"),
    (|disk| disk.cut_next_write(Some(100)), "medium error"),
    (Disk::set_fails_to_sync, "shutting down"),
];

async fn step_aside_and_come_back(befall: Trouble, told: &str, seed: u64) {
    let mut all = Disks::of(3, seed).await;
    for troubled in [all.cluster.leader().await, all.cluster.follower().await] {
        befall(&all.disks[&troubled]);
        let other = all.cluster.others(troubled)[0];
        let group = all.cluster.groups[&troubled].clone();
        let begun = Instant::now();
        let mut number = troubled.0 * 100_000;
        while group.status().role != Role::Stopped {
            count_surely(&all.cluster.database(other), number).await;
            number += 1;
            assert!(begun.elapsed() < PATIENCE, "waited for too long");
        }
        let trouble = group.status().trouble.expect("says why");
        assert!(trouble.contains(told), "seed {seed}: {trouble}");
        // What it no longer keeps it asks the others for.
        let before = counted(&all.cluster.database(other)).await;
        count_surely(&all.cluster.database(troubled), number).await;
        assert_eq!(counted(&all.cluster.database(troubled)).await, before + 1);
        group.close().await;
        drop(group);
        all.cluster.kill(troubled);
        let disk = all.disks[&troubled].lose_power(seed);
        all.open(troubled, disk).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        all.cluster.assert_equal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_with_a_full_or_failing_disk_steps_aside_and_comes_back() {
    for seed in 0..2 {
        for (befall, told) in TROUBLES {
            step_aside_and_come_back(befall, told, seed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_with_a_damaged_log_does_not_open() {
    let mut all = Disks::of(3, 1).await;
    for number in 0..40 {
        count_surely(&all.cluster.database(NodeId(1)), number).await;
    }
    let damaged = NodeId(3);
    all.cluster.groups[&damaged].close().await;
    all.cluster.kill(damaged);
    let disk = all.disks[&damaged].clone();
    // Of the files in memory the log's first comes first, by its name.
    disk.damage(|files| files[0][4000] ^= 1);
    assert!(matches!(all.open(damaged, disk).await, Err(Error::Corrupt(_))));
    count_surely(&all.cluster.database(NodeId(1)), 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_under_an_old_id_has_no_vote() {
    let mut cluster = Cluster::of(3, 5).await;
    count_surely(&cluster.database(NodeId(1)), 1).await;
    let lost = cluster.follower().await;
    cluster.kill(lost);
    let path = cluster.config(lost).path;
    wait_until(|| crate::folder::lock(&path).is_ok()).await;
    std::fs::remove_dir_all(&path).expect("removes");
    let imposter = cluster.open(lost).await.expect("opens");
    wait_until(|| imposter.status().trouble.is_some()).await;
    count_surely(&cluster.database(NodeId(1)), 2).await;
    // Of the two that are left one is cut off: the imposter makes no majority with the other.
    let leader = cluster.leader().await;
    let third = *cluster.others(leader).iter().find(|node| **node != lost).expect("three");
    cluster.net.cut_off(third, &[leader, lost]);
    let outcome = count_once(&cluster.database(leader), 3).await;
    assert!(outcome.as_ref().is_err_and(Error::is_temporary), "{outcome:?}");
    cluster.net.heal();
    count_surely(&cluster.database(leader), 3).await;
    // The node that takes its place has an id of its own.
    assert!(matches!(cluster.groups[&leader].add_voter(lost).await, Ok(()) | Err(Error::Exists(_))));
    cluster.groups[&leader].remove(lost).await.expect("removes");
    assert!(matches!(cluster.groups[&leader].add_voter(lost).await, Err(Error::Exists(_))));
    cluster.kill(lost);
    let leader = cluster.leader().await;
    cluster.open(NodeId(4)).await.expect("opens");
    cluster.groups[&leader].add_voter(NodeId(4)).await.expect("adds");
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_term_changes_nothing_anywhere() {
    let cluster = Cluster::of(3, 2).await;
    count_surely(&cluster.database(NodeId(1)), 1).await;
    let leader = &cluster.groups[&cluster.leader().await];
    let term = leader.status().term;
    let version = Version(leader.status().version.0 + 1);
    let propose = async |term: u64| {
        let mut builder = Builder::new(&Proposal::head(term), version);
        let set = Mutation::Set(Bytes::from_static(b"late"), Bytes::from_static(b"yes"));
        builder.push(&[set], version, false);
        leader.raft.client_write(Proposal(builder.finish())).await.expect("is committed").data
    };
    assert_eq!(propose(term - 1).await, Outcome::Skipped);
    cluster.assert_equal().await;
    for node in cluster.groups.keys() {
        let late = cluster.database(*node).run(async |tx| tx.get(b"late").await).await.expect("reads");
        assert_eq!(late, None, "node {node}");
    }
    assert_eq!(propose(term).await, Outcome::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_fatal() {
    let all = Disks::of(1, 1).await;
    let database = all.cluster.database(NodeId(1));
    count_surely(&database, 1).await;
    all.disks[&NodeId(1)].set_fails_to_sync();
    assert!(count_once(&database, 2).await.is_err());
    let group = &all.cluster.groups[&NodeId(1)];
    wait_until(|| group.status().role == Role::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_on_a_voter_that_steps_aside_ends() {
    let all = Disks::of(3, 1).await;
    let troubled = all.cluster.follower().await;
    let mut tx = all.cluster.database(troubled).begin();
    let watch = tokio::spawn(tx.watch(b"never").await.expect("watches"));
    all.disks[&troubled].set_fails_to_sync();
    count_surely(&all.cluster.database(all.cluster.leader().await), 1).await;
    let group = &all.cluster.groups[&troubled];
    wait_until(|| group.status().role == Role::Stopped).await;
    tokio::time::timeout(PATIENCE, watch).await.expect("in time").expect("joins").expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_given_up_by_who_says_what_may_be_lost() {
    let mut cluster = Cluster::of(3, 9).await;
    for number in 0..10 {
        count_surely(&cluster.database(NodeId(1)), number).await;
    }
    cluster.assert_equal().await;
    let last = NodeId(2);
    cluster.kill(NodeId(1));
    cluster.kill(NodeId(3));
    assert!(count_once(&cluster.database(last), 10).await.is_err());
    cluster.groups[&last].close().await;
    cluster.kill(last);
    let config = cluster.config(last);
    let remains = recovery::look(&config).await.expect("reads");
    assert_eq!(remains.voters, [NodeId(1), NodeId(2), NodeId(3)]);
    let other = recovery::Remains { log_entries: remains.log_entries + 1, ..remains.clone() };
    assert!(matches!(recovery::keep_alone(&config, &other).await, Err(Error::Invalid(_))));
    recovery::keep_alone(&config, &remains).await.expect("appoints");
    cluster.open(last).await.expect("opens");
    let database = cluster.database(last);
    count_surely(&database, 11).await;
    assert!(counted(&database).await >= 11);
    // What the lost ones hold may be something else: their folders are nobody's.
    cluster.open(NodeId(3)).await.expect("opens");
    let again = cluster.groups[&last].add_voter(NodeId(3)).await;
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    cluster.kill(NodeId(3));
    cluster.open(NodeId(4)).await.expect("opens");
    cluster.groups[&last].add_voter(NodeId(4)).await.expect("adds");
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_the_patience_ends() {
    let mut cluster = Cluster::of(3, 4).await;
    let leader = cluster.leader().await;
    for other in cluster.others(leader) {
        cluster.kill(other);
    }
    let begun = Instant::now();
    let read = cluster.database(leader).run(async |tx| tx.get(b"k").await).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    assert!(begun.elapsed() < crate::limits::READ_PATIENCE + Duration::from_secs(5));
}
