//! Groups of real voters on real folders, on a network that misbehaves by a seed.

mod conformance;
mod copy;
mod faults;
mod log;
mod membership;
mod net;
mod records;
mod serving;
mod snapshots;
mod succession;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use net::Net;

use super::{Group, GroupConfig, Groups, NodeId, Remote, Role, Timing};
use crate::kv::{Database, Transaction};
use crate::{Error, Result};

/// Faster than a server's, so that tests are.
const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(60),
    election_min: Duration::from_millis(300),
    election_max: Duration::from_millis(500),
};

/// Nodes of one group.
struct Cluster {
    net: Net,
    folder: tempfile::TempDir,
    groups: BTreeMap<NodeId, Arc<Group>>,
    life: Duration,
    log_kept_octets: u64,
    timing: Timing,
}

impl Cluster {
    fn new(seed: u64, life: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            net: Net::new(seed),
            folder,
            groups: BTreeMap::new(),
            life,
            log_kept_octets: 64 * 1024,
            timing: TIMING,
        }
    }

    /// Of so many voters, made and led.
    async fn of(voters: u64, seed: u64) -> Self {
        Self::living(voters, seed, crate::limits::TRANSACTION_LIFE).await
    }

    async fn living(voters: u64, seed: u64, life: Duration) -> Self {
        Self::new(seed, life).with_voters(voters).await
    }

    async fn with_voters(self, voters: u64) -> Self {
        let mut cluster = self;
        for node in 1..=voters {
            cluster.open(NodeId(node)).await.expect("opens");
        }
        let members: Vec<NodeId> = cluster.groups.keys().copied().collect();
        cluster.groups[&NodeId(1)].bootstrap(&members).await.expect("makes the group");
        cluster.leader().await;
        cluster
    }

    fn config(&self, node: NodeId) -> GroupConfig {
        GroupConfig {
            memtable_octets: 64 * 1024,
            log_segment_octets: 128 * 1024,
            log_kept_octets: self.log_kept_octets,
            transaction_life: self.life,
            value_look: Duration::from_millis(200),
            timing: self.timing,
            ..GroupConfig::new("mail", self.folder.path().join(node.to_string()), node)
        }
    }

    async fn open(&mut self, node: NodeId) -> Result<Arc<Group>> {
        let begun = Instant::now();
        let group = loop {
            match Group::open(self.config(node), self.net.of(node)).await {
                // A group that was dropped lets its folder go a moment later.
                Err(Error::Unavailable(text)) if begun.elapsed() < PATIENCE => {
                    assert!(text.contains("another process"), "{text}");
                    tokio::time::sleep(STEP).await;
                }
                outcome => break outcome?,
            }
        };
        self.join(node, group.clone());
        Ok(group)
    }

    fn join(&mut self, node: NodeId, group: Arc<Group>) {
        let groups = Arc::new(Groups::default());
        groups.add(group.clone());
        self.net.add(node, groups);
        self.groups.insert(node, group);
    }

    /// As if its process were killed.
    fn kill(&mut self, node: NodeId) {
        self.net.remove(node);
        self.groups.remove(&node);
    }

    async fn leader(&self) -> NodeId {
        let mut leader = None;
        wait_until(|| {
            let leads = |group: &&Arc<Group>| group.status().role == Role::Leader;
            let newest = self.groups.values().filter(leads).max_by_key(|group| group.status().term);
            leader = newest.map(|group| group.config.node);
            leader.is_some()
        })
        .await;
        leader.expect("there is one")
    }

    /// One more node, which keeps a copy and has no vote.
    async fn learner(&mut self) -> Arc<Group> {
        let node = NodeId(1 + self.groups.len() as u64);
        let group = self.open(node).await.expect("opens");
        self.groups[&NodeId(1)].add_learner(node).await.expect("adds");
        wait_until(|| group.status().role == Role::Learner).await;
        group
    }

    fn others(&self, node: NodeId) -> Vec<NodeId> {
        self.groups.keys().copied().filter(|other| *other != node).collect()
    }

    async fn follower(&self) -> NodeId {
        self.others(self.leader().await)[0]
    }

    fn database(&self, node: NodeId) -> Database {
        Database::new(self.groups[&node].clone())
    }

    /// The engine of a node that keeps nothing.
    fn remote(&self) -> Arc<Remote> {
        let (node, voters) = (NodeId(100), self.groups.keys().copied().collect());
        Arc::new(Remote::new("mail", node, voters, self.net.of(node), self.life))
    }

    /// All nodes hold the same state.
    async fn assert_equal(&self) {
        let last = self.groups[&self.leader().await].status().applied_entries;
        for group in self.groups.values() {
            wait_until(|| group.status().applied_entries >= last).await;
        }
        let mut first = None;
        for (node, group) in &self.groups {
            let hash = group.hash().await.expect("hashes");
            assert_eq!(*first.get_or_insert(hash), hash, "node {node}");
        }
    }
}

/// Groups end on threads of their own: the folders are not removed under them.
impl Drop for Cluster {
    fn drop(&mut self) {
        self.groups.keys().for_each(|node| self.net.remove(*node));
        self.groups.clear();
        let folders = std::fs::read_dir(self.folder.path()).expect("lists").flatten();
        let locks: Vec<File> =
            folders.filter_map(|folder| File::open(folder.path().join("lock")).ok()).collect();
        let (told, ended) = mpsc::channel();
        std::thread::spawn(move || told.send(locks.iter().try_for_each(File::lock)));
        if !matches!(ended.recv_timeout(PATIENCE), Ok(Ok(()))) {
            self.folder.disable_cleanup(true);
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited for too long");
        tokio::time::sleep(STEP).await;
    }
}

/// Makes a change of the members; asks again while told to.
async fn until_done(change: impl AsyncFn() -> Result<()>) {
    let begun = Instant::now();
    loop {
        match change().await {
            Ok(()) => return,
            Err(error) if error.to_string().ends_with(": ask again") && begun.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn added(group: &Group, node: NodeId) {
    until_done(async || group.add_voter(node).await).await;
}

/// Counts as a bank does: each number once, whatever is lost on the way.
async fn count_once(database: &Database, number: u64) -> Result<()> {
    let operation = crate::types::OperationId::derived(&[b"count", &number.to_be_bytes()]);
    let add = async |tx: &mut Transaction| {
        tx.add("count", 1);
        tx.set(format!("k{number:06}"), vec![number as u8; 300]);
        Ok(())
    };
    database.run_once(operation, add).await
}

/// The same until it is done.
async fn count_surely(database: &Database, number: u64) {
    let begun = Instant::now();
    while let Err(error) = count_once(database, number).await {
        assert!(error.is_temporary(), "{error}");
        assert!(begun.elapsed() < PATIENCE, "waited for too long: {error}");
    }
}

async fn counted(database: &Database) -> u64 {
    let begun = Instant::now();
    loop {
        match database.run(async |tx| tx.get(b"count").await).await {
            Ok(value) => {
                return value
                    .map_or(0, |value| u64::from_le_bytes(value[..].try_into().expect("eight octets")));
            }
            Err(error) => assert!(error.is_temporary() && begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_three_keeps_what_was_acknowledged_when_its_leader_is_killed() {
    let mut cluster = Cluster::of(3, 1).await;
    for number in 0..20 {
        let node = NodeId(1 + number % 3);
        count_surely(&cluster.database(node), number).await;
    }
    let killed = cluster.leader().await;
    cluster.kill(killed);
    let survivor = cluster.others(killed)[0];
    let begun = Instant::now();
    count_surely(&cluster.database(survivor), 20).await;
    let cost = begun.elapsed();
    assert!(cost < Duration::from_secs(5), "a killed leader cost {cost:?}");
    assert_eq!(counted(&cluster.database(survivor)).await, 21);
    cluster.open(killed).await.expect("opens");
    assert_eq!(counted(&cluster.database(killed)).await, 21);
    cluster.assert_equal().await;
}
