//! When packing is done, and how what waits for it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::poll;
use tokio::sync::watch;

use super::{DOMAIN, House, config, noise, owner, read_whole};
use crate::Result;
use crate::bodies::workers::Failed;
use crate::bodies::{BodiesConfig, keys};
use crate::kv::engine::{Chunk, ChunkLimit, Commit};
use crate::kv::{Committed, Database, Engine, KeyRange, Memory, Version, Watch};
use crate::limits::PACKED_TOGETHER;
use crate::types::BodyId;

#[tokio::test]
async fn workers_pack_and_collect_by_themselves() {
    let config = BodiesConfig {
        segment_octets: 50_000,
        collect_interval: Duration::from_millis(5),
        segment_age: Duration::from_millis(5),
        upload_life: Duration::from_secs(60),
        ..config()
    };
    let house = House::with(config).await;
    let (tasks, stop) = (tokio_util::task::TaskTracker::new(), tokio_util::sync::CancellationToken::new());
    house.bodies.spawn_workers(&tasks, stop.clone());
    let id = house.put(&noise(1, 60_000), owner(1)).await;
    let until = async |files: usize| {
        let reached = async {
            while house.files().len() != files {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("the workers do it");
    };
    until(1).await;
    house.drop_reference(id, owner(1)).await;
    until(0).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(house.db.begin().get(&keys::lease()).await.expect("reads").is_none(), "it was given up");
}

#[tokio::test]
async fn who_packs_sees_what_other_nodes_stage() {
    let house = House::with(BodiesConfig { segment_octets: 50_000, ..config() }).await;
    assert!(!house.bodies.is_enough_staged().await.expect("reads"));
    let other = house.reopened().await;
    for uid in 1..=2 {
        assert!(!house.bodies.is_enough_staged().await.expect("reads"), "{uid}");
        let staged = other.write(DOMAIN, &noise(uid, 30_000)).await.expect("taken in");
        house.commit(&staged, owner(uid as u32)).await.expect("committed");
    }
    assert!(house.bodies.is_enough_staged().await.expect("reads"));
    house.bodies.pack_once().await.expect("packs");
    assert!(!house.bodies.is_enough_staged().await.expect("reads"));
}

#[tokio::test]
async fn packing_goes_on_once_any_request_is_answered_again() {
    let (house, switch) = House::with_faults(BodiesConfig { cache_octets: 0, ..config() }).await;
    let (bodies, (_leads, follows)) = (&house.bodies, watch::channel(true));
    let packed = house.put(b"packed", owner(1)).await;
    bodies.pack_once().await.expect("packs");
    house.put(b"staged", owner(2)).await;
    switch.away.store(true, Ordering::SeqCst);
    let fail = async || {
        let known_failures = bodies.inner.objects.failures();
        bodies.pack_once().await.expect_err("it is away");
        Failed { pause: Duration::from_secs(24 * 60 * 60), known_failures }
    };
    let read = async || read_whole(&bodies.open_body(packed).await.expect("opens")).await.expect("reads");

    let mut pause = Box::pin(bodies.pause_packing(Some(fail().await), &follows));
    assert!(poll!(&mut pause).is_pending(), "it is away");
    fail().await;
    assert!(poll!(&mut pause).is_pending(), "another request failed too");
    read().await;
    assert!(poll!(&mut pause).is_ready(), "another request was answered");

    let failed = fail().await;
    read().await;
    let mut pause = Box::pin(bodies.pause_packing(Some(failed), &follows));
    assert!(poll!(&mut pause).is_ready(), "one was answered before the pause began");

    read().await;
    let failed = Failed { known_failures: bodies.inner.objects.failures(), ..failed };
    let mut pause = Box::pin(bodies.pause_packing(Some(failed), &follows));
    read().await;
    assert!(poll!(&mut pause).is_pending(), "it was not the object store that failed");
}

/// An engine that counts how many values are read at once, and gives each to the caller after the others had their turn.
struct Crowded {
    engine: Arc<Memory>,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Engine for Crowded {
    async fn read_version(&self) -> Result<Version> {
        self.engine.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // The later one came, the earlier it goes.
        for _ in now..=2 * PACKED_TOGETHER {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.engine.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.engine.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.engine.commit(commit).await
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}

#[tokio::test]
async fn what_waits_is_read_in_order_and_many_at_once() {
    const OCTETS: usize = 1_000;
    let engine = Arc::new(Crowded { engine: Memory::new(), now: 0.into(), most: 0.into() });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let segment_octets = 4 * PACKED_TOGETHER * OCTETS;
    let house =
        House::over(Database::new(engine.clone()), folder, BodiesConfig { segment_octets, ..config() }).await;
    let mut staged: Vec<BodyId> = Vec::new();
    for uid in 1..=10 * PACKED_TOGETHER as u32 {
        staged.push(house.put(&noise(u64::from(uid), OCTETS), owner(uid)).await);
    }
    staged.sort();
    engine.most.store(0, Ordering::SeqCst);
    let (mut left, mut read) = (keys::all_staged(), Vec::new());
    while !left.is_empty() {
        let page = house.bodies.staged_page(&mut left).await.expect("reads");
        let octets = |body: &crate::bodies::pack::Found| body.parts.iter().map(Bytes::len).sum::<usize>();
        let all_but_last: usize = page.iter().rev().skip(1).map(octets).sum();
        assert!(all_but_last < segment_octets, "{all_but_last} octets are held, and one body more");
        read.extend(page.iter().map(|body| body.id));
    }
    assert_eq!(read, staged);
    assert_eq!(engine.most.load(Ordering::SeqCst), PACKED_TOGETHER);
}
