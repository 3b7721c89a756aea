//! A move against what it promises: killed between any two batches, with a source that changes meanwhile and commits of
//! unknown result, it ends with equal sides; and every bad day is told for what it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::routes::{Keeper, routes};
use super::*;
use crate::kv::engine::{Chunk, ChunkLimit, Commit};
use crate::kv::unsteady::{End, Unsteady};
use crate::kv::{
    Committed, Database, Engine, KeyRange, Local, LocalConfig, Memory, RangeOptions, Version, Watch, clock,
};
use crate::types::Timestamp;
use crate::{Error, Result};

type Pairs = BTreeMap<Bytes, Bytes>;

const NOBODY: &(dyn Fn(&Stand) + Send + Sync) = &|_| {};

fn one(db: Database) -> Home {
    Home { mail: db.clone(), config: db }
}

fn memory() -> Home {
    one(Database::new(Memory::new()))
}

async fn set(db: &Database, pairs: &[(&[u8], &[u8])]) {
    let write = db.run(async |tx| {
        for (key, value) in pairs {
            tx.set(key.to_vec(), value.to_vec());
        }
        Ok(())
    });
    write.await.expect("commits");
}

/// A source that a server has used.
async fn used() -> Home {
    let home = memory();
    set(
        &home.mail,
        &[(b"bi", &[7; 16]), (b"M1", b"one"), (b"dA", b"ann"), (b"Xo", b"outbox"), (b"dv", b"stamp")],
    )
    .await;
    home
}

async fn all(db: &Database, range: KeyRange) -> Pairs {
    let read = db.run(async |tx| tx.range(range.clone(), RangeOptions::default()).collect().await);
    read.await.expect("reads").into_iter().collect()
}

/// What a move copies, of an installation.
async fn copied(home: &Home) -> Pairs {
    let mut pairs = Pairs::new();
    for (range, keeper) in routes() {
        let db = if keeper == Keeper::Mail { &home.mail } else { &home.config };
        pairs.append(&mut all(db, range).await);
    }
    pairs
}

async fn begun(source: &Home, target: &Home) -> Result<(Mover, Beginning)> {
    Mover::begin(Some(source.clone()), target.clone()).await
}

async fn moved(source: &Home, target: &Home) -> Result<Beginning> {
    let (mut mover, beginning) = begun(source, target).await?;
    if beginning != Beginning::Done {
        if beginning != Beginning::Left {
            mover.equalise(NOBODY).await?;
            let seen = mover.heartbeats().await?;
            mover.leave("elsewhere", &seen).await?;
        }
        mover.finish(false).await?;
    }
    Ok(beginning)
}

fn says(outcome: Result<impl Sized>, words: &str) {
    let error = outcome.map(drop).expect_err(words);
    assert!(error.to_string().contains(words), "{error}, not: {words}");
}

/// Some changes of the source: of every subspace, short and long, known and new.
async fn change(home: &Home, dice: &mut StdRng, changes: usize) {
    const SPACES: &[u8] = b"AFGMECBRSUQDIiTYXNdbgKfvZc";
    for _ in 0..changes {
        let space = SPACES[dice.random_range(0..SPACES.len())];
        let mut key = vec![space];
        key.extend((0..dice.random_range(1..3)).map(|_| dice.random_range(b'a'..=b'p')));
        if key == b"bi" {
            continue;
        }
        let db = if space == b'd' || space == b'c' { &home.config } else { &home.mail };
        let value =
            vec![dice.random::<u8>(); if dice.random_bool(0.1) { 5000 } else { dice.random_range(0..40) }];
        let is_cleared = dice.random_bool(0.2);
        let write = db.run_repeatable(async |tx| {
            if is_cleared {
                tx.clear(key.clone())
            } else {
                tx.set(key.clone(), value.clone())
            }
            Ok(())
        });
        write.await.expect("commits");
    }
}

#[tokio::test]
async fn what_is_stored_is_as_old_after_a_move_as_before() {
    let long_ago = Timestamp::from_secs(1_000_000_000);
    for is_split in [false, true] {
        let source = used().await;
        let found = source.mail.run(async |tx| {
            clock::write(tx, long_ago);
            Ok(())
        });
        found.await.expect("commits");
        let (mail, config) = (Database::new(Memory::new()), Database::new(Memory::new()));
        // Its nodes have asked their clock before.
        config.now().await.expect("founded");
        let target = if is_split { Home { mail, config } } else { one(mail) };
        moved(&source, &target).await.expect("moves");
        for db in [&target.mail, &target.config] {
            let shown = db.run(async |tx| clock::read(tx).await).await.expect("reads");
            assert_eq!(shown, Some(long_ago));
        }
    }
}

/// A run that is dropped after so many batches, as its process is killed.
async fn killed(source: &Home, target: &Home, batches: u32) -> Option<Pass> {
    let (mut mover, _) = begun(source, target).await.expect("begins");
    let (done, kill) = (AtomicU32::new(0), tokio::sync::Notify::new());
    let watcher = |_: &Stand| {
        if done.fetch_add(1, Ordering::Relaxed) == batches {
            kill.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = kill.notified() => None,
        pass = mover.equalise(&watcher) => Some(pass.expect("ends")),
    }
}

#[tokio::test]
async fn whatever_befalls_it_both_sides_are_equal_at_the_end() {
    for seed in 0..20 {
        let mut dice = StdRng::seed_from_u64(seed);
        let engines: [_; 4] = std::array::from_fn(|place| Unsteady::new(seed * 10 + place as u64));
        let home = |mail: &Arc<Unsteady>, config: &Arc<Unsteady>, is_split: bool| Home {
            mail: Database::new(mail.clone()),
            config: Database::new(if is_split { config.clone() } else { mail.clone() }),
        };
        let source = home(&engines[0], &engines[1], dice.random());
        let target = home(&engines[2], &engines[3], dice.random());
        set(&source.mail, &[(b"bi", &[7; 16])]).await;
        change(&source, &mut dice, 400).await;
        engines.iter().for_each(|engine| engine.linger(2));
        let doubt = dice.random_range(0..30);
        engines[2..].iter().for_each(|engine| engine.doubt(doubt, 50));
        let mut kills = 0;
        for _ in 0..dice.random_range(1..8) {
            let batches = dice.random_range(0..60);
            kills += u32::from(killed(&source, &target, batches).await.is_none());
            let changes = dice.random_range(0..20);
            change(&source, &mut dice, changes).await;
        }
        assert_eq!(standing(&target.mail).await.expect("reads"), Standing::BeingFilled);
        moved(&source, &target).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        engines[2..].iter().for_each(|engine| engine.doubt(0, 0));
        assert_eq!(copied(&source).await, copied(&target).await, "seed {seed}, {kills} kills");
        for behind in [b"X", b"N", b"c"] {
            assert!(all(&target.mail, KeyRange::prefix(behind)).await.is_empty(), "seed {seed}");
        }
        assert_eq!(standing(&target.mail).await.expect("reads"), Standing::Home);
    }
}

#[tokio::test]
async fn a_run_goes_on_where_one_was_killed() {
    let (slow, target) = (Unsteady::new(1), memory());
    let source = one(Database::new(slow.clone()));
    set(&source.mail, &[(b"bi", &[7; 16])]).await;
    for number in 0..400u32 {
        set(&source.mail, &[(format!("M{number:03}").as_bytes(), b"message")]).await;
    }
    slow.linger(2);
    assert!(killed(&source, &target, 30).await.is_none());
    let (mut mover, beginning) = begun(&source, &target).await.expect("begins");
    assert_eq!(beginning, Beginning::Resumed);
    let first = AtomicU32::new(u32::MAX);
    let watcher = |stand: &Stand| {
        let written = u32::try_from(stand.set).expect("few");
        first.fetch_min(if stand.pass == 1 { 1000 - written } else { 1000 }, Ordering::Relaxed);
    };
    let pass = mover.equalise(&watcher).await.expect("ends");
    let written = 1000 - first.into_inner();
    assert!(written > 0 && written < 250, "the rest alone is written again: {written}");
    assert_eq!((pass.stand.pairs, pass.stand.set), (401, 0));
    assert_eq!(pass.source.sums(), pass.target.sums());
}

#[tokio::test]
async fn from_disk_to_disk_with_everything_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |name: &str| {
        let path = folder.path().join(name);
        let engine = Local::open(LocalConfig { path, ..LocalConfig::default() }).await.expect("opens");
        one(Database::new(engine))
    };
    let mut dice = StdRng::seed_from_u64(5);
    let source = open("source").await;
    set(&source.mail, &[(b"bi", &[7; 16])]).await;
    change(&source, &mut dice, 300).await;
    let expected = copied(&source).await;
    let target = open("target").await;
    assert!(killed(&source, &target, 10).await.is_none());
    target.mail.close().await;
    drop(target);
    let target = open("target").await;
    assert_eq!(moved(&source, &target).await.expect("moves"), Beginning::Resumed);
    source.mail.close().await;
    target.mail.close().await;
    drop((source, target));
    let (source, target) = (open("source").await, open("target").await);
    assert_eq!(copied(&target).await, expected);
    assert_eq!(standing(&source.mail).await.expect("reads"), Standing::Left("elsewhere".into()));
    assert_eq!(moved(&source, &target).await.expect("nothing to do"), Beginning::Done);
}

#[tokio::test]
async fn at_no_moment_do_both_serve() {
    let (source, target) = (used().await, memory());
    let stand = async || {
        let of = async |home: &Home| standing(&home.mail).await.expect("reads") == Standing::Home;
        (of(&source).await, of(&target).await)
    };
    let (mut mover, _) = begun(&source, &target).await.expect("begins");
    assert_eq!(stand().await, (true, false));
    mover.equalise(NOBODY).await.expect("ends");
    let seen = mover.heartbeats().await.expect("reads");
    mover.leave("elsewhere", &seen).await.expect("commits");
    assert_eq!(stand().await, (false, false));
    drop(mover);
    // Killed between the two steps: only the last one is left.
    assert_eq!(moved(&source, &target).await.expect("finishes"), Beginning::Left);
    assert_eq!(stand().await, (false, true));
    assert_eq!(moved(&source, &target).await.expect("nothing to do"), Beginning::Done);
    says(begun(&source, &memory()).await, "has moved to elsewhere already");
    take_mark_back(&source.mail).await.expect("was left");
    assert_eq!(stand().await, (true, true), "who goes back answers for that");
    says(take_mark_back(&source.mail).await, "was not left");
    says(begun(&source, &target).await, "not empty");
}

#[tokio::test]
async fn what_is_not_empty_or_the_wrong_way_round_is_refused() {
    let source = used().await;
    says(begun(&source, &used().await).await, "not empty");
    says(begun(&memory(), &memory()).await, "are the two exchanged");
    let target = memory();
    begun(&source, &target).await.expect("begins");
    says(begun(&target, &source).await, "is itself being filled: are the two exchanged");
    let other = memory();
    set(&other.mail, &[(b"bi", &[8; 16])]).await;
    says(begun(&other, &target).await, "not empty");
    let directory = Home { mail: memory().mail, config: used().await.config };
    says(begun(&source, &directory).await, "not empty");
    let nodes = memory();
    set(&nodes.config, &[(b"c\x01", b"a cluster's nodes")]).await;
    begun(&source, &nodes).await.expect("nodes of a cluster are no mail");
}

#[tokio::test]
async fn an_earlier_run_writes_nothing_any_more() {
    let (source, target) = (used().await, memory());
    let (mut earlier, _) = begun(&source, &target).await.expect("begins");
    let (mut later, _) = begun(&source, &target).await.expect("begins");
    says(earlier.equalise(NOBODY).await, "another run has taken this move over");
    later.equalise(NOBODY).await.expect("ends");
    says(earlier.finish(false).await, "another run has taken this move over");
}

#[tokio::test]
async fn a_server_that_shows_itself_keeps_the_source() {
    let (source, target) = (used().await, memory());
    let (mut mover, _) = begun(&source, &target).await.expect("begins");
    let seen = mover.heartbeats().await.expect("reads");
    mover.equalise(NOBODY).await.expect("ends");
    set(&source.mail, &[(b"Nnode", b"1")]).await;
    says(mover.leave("elsewhere", &seen).await, "a server of the old installation ran meanwhile");
    assert_eq!(standing(&source.mail).await.expect("reads"), Standing::Home);
}

#[tokio::test]
async fn a_source_that_never_rests_is_given_up() {
    let (source, target) = (used().await, memory());
    let (mut mover, _) = begun(&source, &target).await.expect("begins");
    let writer = source.mail.clone();
    let count = AtomicU32::new(0);
    let watcher = |_: &Stand| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let mut tx = writer.begin();
        tx.set(format!("Z{number}"), "work");
        tx.commit().now_or_never().expect("memory does not wait").expect("commits");
    };
    says(mover.equalise(&watcher).await, "changed during each of 5 passes");
}

#[tokio::test]
async fn a_target_that_is_away_is_waited_for_and_then_the_run_ends() {
    let (source, away) = (used().await, Unsteady::new(3));
    let target = one(Database::new(away.clone()));
    let (mut mover, _) = begun(&source, &target).await.expect("begins");
    away.end_next([End::Told], 5);
    mover.equalise(NOBODY).await.expect("it was soon back");
    set(&source.mail, &[(b"M2", b"two")]).await;
    away.end_next([End::Told], u32::MAX);
    says(mover.equalise(NOBODY).await, "the new installation: the engine");
    away.end_next([], 0);
    assert_eq!(moved(&source, &target).await.expect("moves"), Beginning::Resumed);
    assert_eq!(copied(&source).await, copied(&target).await);
}

#[tokio::test]
async fn a_full_disk_ends_the_run_at_once_and_the_next_goes_on() {
    let source = used().await;
    let disk = Arc::new(Disk { engine: Memory::new(), room: AtomicU32::new(2) });
    let target = one(Database::new(disk.clone()));
    let (mut mover, _) = begun(&source, &target).await.expect("begins");
    for number in 0..100 {
        set(&source.mail, &[(format!("M{number:03}").as_bytes(), b"message")]).await;
    }
    let start = tokio::time::Instant::now();
    let full = mover.equalise(NOBODY).await;
    assert!(matches!(full, Err(Error::Full(_))), "{:?}", full.err());
    says(full, "the new installation: no room");
    assert!(start.elapsed() < crate::limits::MOVE_PATIENCE, "nobody waits for a person");
    disk.room.store(u32::MAX, Ordering::Relaxed);
    assert_eq!(moved(&source, &target).await.expect("moves"), Beginning::Resumed);
    assert_eq!(copied(&source).await, copied(&target).await);
}

/// A disk that has room for so many commits.
struct Disk {
    engine: Arc<Memory>,
    room: AtomicU32,
}

#[async_trait]
impl Engine for Disk {
    async fn read_version(&self) -> Result<Version> {
        self.engine.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.engine.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        taken.map_err(|_| Error::Full("no room".into()))?;
        self.engine.commit(commit).await
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}
