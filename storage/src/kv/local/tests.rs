//! The engine on a real folder: the suite, reopening, crashes, large values, upkeep.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use super::*;
use crate::kv::engine::Engine;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction, conformance};
use crate::log::simulated::Disk;
use crate::{Error, Result, limits, log};

fn config(path: &Path) -> LocalConfig {
    LocalConfig { path: path.to_path_buf(), log_segment_octets: 256 * 1024, ..LocalConfig::default() }
}

async fn open(config: &LocalConfig) -> (Arc<Local>, Database) {
    let engine = Local::open(config.clone()).await.expect("opens");
    (engine.clone(), Database::new(engine))
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let next = std::sync::atomic::AtomicU64::new(0);
    let make = |life: Duration| -> BoxFuture<'static, Arc<dyn Engine>> {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(number.to_string());
        Box::pin(async move {
            let config = LocalConfig { transaction_life: life, memtable_octets: 64 * 1024, ..config(&path) };
            Local::open(config).await.expect("opens") as Arc<dyn Engine>
        })
    };
    conformance::run_all(&make).await;
}

async fn fill(database: &Database, numbers: std::ops::Range<u32>, octets: usize) {
    for number in numbers {
        let set = async |tx: &mut Transaction| {
            tx.set(format!("k{number:05}"), value(number, octets));
            tx.add("count", 1);
            Ok(())
        };
        database.run(set).await.expect("commits");
    }
}

fn value(number: u32, octets: usize) -> Vec<u8> {
    (0..octets as u32).map(|at| (at ^ number) as u8).collect()
}

async fn assert_filled(database: &Database, count: u32, octets: usize) {
    let mut tx = database.begin();
    let mut pairs =
        tx.range(KeyRange::prefix(b"k"), RangeOptions { snapshot: true, ..RangeOptions::default() });
    for number in 0..count {
        let (key, found) = pairs.next().await.expect("reads").expect("there");
        assert_eq!(key, format!("k{number:05}"));
        assert!(found == value(number, octets), "value {number}");
    }
    assert_eq!(pairs.next().await.expect("reads"), None);
    drop(pairs);
    let total = tx.get(b"count").await.expect("reads").expect("there");
    assert_eq!(total.as_ref(), u64::from(count).to_le_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_close_and_after_drop() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LocalConfig { memtable_octets: 32 * 1024, ..config(folder.path()) };
    for round in 0..6 {
        let (engine, database) = open(&config).await;
        if round > 0 {
            assert_filled(&database, round * 50, 300).await;
        }
        fill(&database, round * 50..(round + 1) * 50, 300).await;
        if round % 2 == 0 {
            engine.close().await;
        }
    }
    let (_, database) = open(&config).await;
    assert_filled(&database, 300, 300).await;
}

/// What the log refused was never written: who writes the same key next is told of the full disk, and not of a
/// conflict that no rerun can end.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_conflicts_with_nobody() {
    let (folder, disk) = (tempfile::tempdir().expect("a folder"), Disk::default());
    let log = log::Config {
        segment_octets: 8 * 1024,
        files: Arc::new(disk.clone()),
        ..log::Config::new(PathBuf::from("/log"))
    };
    let database = Database::new(Local::open_with(config(folder.path()), log).expect("opens"));
    let count = async |tx: &mut Transaction| {
        let before = tx.get(b"count").await?.map_or(0, |value| value[0]);
        tx.set("count", vec![before + 1; 1500]);
        Ok(before + 1)
    };
    assert_eq!(database.run(count).await.expect("commits"), 1);
    disk.set_room(Some(0));
    let (mut committed, mut refused) = (1, 0);
    while refused < 3 {
        match database.run(count).await {
            Ok(count) => committed = count,
            Err(Error::Full(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    disk.set_room(None);
    assert_eq!(database.run(count).await.expect("commits"), committed + 1);
}

/// A copy of the folder at a moment is what a crash leaves: files as the kernel has them.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_taken_while_running_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_engine, database) = open(&config(folder.path())).await;
    fill(&database, 0..100, 3000).await;
    let copy = tempfile::tempdir().expect("a folder");
    copy_folder(folder.path(), copy.path());
    let (_copied, database) = open(&config(copy.path())).await;
    assert_filled(&database, 100, 3000).await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_open_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, _) = open(&config(folder.path())).await;
    assert!(matches!(Local::open(config(folder.path())).await, Err(Error::Unavailable(_))));
    engine.close().await;
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_corrupt_and_never_taken_for_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, database) = open(&LocalConfig { memtable_octets: 4096, ..config(folder.path()) }).await;
    fill(&database, 0..200, 1000).await;
    wait_until(|| engine.persisted_tables() > 0).await;
    engine.close().await;
    drop((engine, database));
    std::fs::remove_dir_all(folder.path().join("log")).expect("removes");
    assert!(matches!(Local::open(config(folder.path())).await, Err(Error::Corrupt(_))));
}

async fn wait_until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_go_once_nothing_points_into_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (transaction_life, value_look) = (Duration::from_millis(500), Duration::from_millis(100));
    let config =
        LocalConfig { memtable_octets: 8 * 1024, transaction_life, value_look, ..config(folder.path()) };
    let (engine, database) = open(&config).await;
    fill(&database, 0..200, 10_000).await;
    let clear = async |tx: &mut Transaction| {
        tx.clear_range(KeyRange::new("k00001", "k99999"));
        Ok(())
    };
    database.run(clear).await.expect("commits");
    // 2 MB were written to files of 256 KiB; one value in the first of them is alive.
    engine.seal();
    wait_until(|| engine.log_files() < 8).await;
    let read = async |tx: &mut Transaction| tx.get(b"k00000").await;
    let value_read = database.run(read).await.expect("reads").expect("there");
    assert!(value_read == value(0, 10_000));
    engine.close().await;
    drop((engine, database));
    let (_, database) = open(&config).await;
    assert!(database.run(read).await.expect("reads").expect("there") == value(0, 10_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_version_see_it_through_flushes_and_compactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_engine, database) = open(&LocalConfig { memtable_octets: 8 * 1024, ..config(folder.path()) }).await;
    fill(&database, 0..50, 500).await;
    let begun = Instant::now();
    let mut reader = database.begin();
    reader.read_version().await.expect("reads");
    for _ in 0..10 {
        let rewrite = async |tx: &mut Transaction| {
            for number in 0..50 {
                tx.set(format!("k{number:05}"), vec![0; 700]);
            }
            Ok(())
        };
        database.run(rewrite).await.expect("commits");
        let range = KeyRange::prefix(b"k");
        let pairs = reader.range(range, RangeOptions::default()).collect().await;
        if begun.elapsed() < limits::TRANSACTION_LIFE {
            let pairs = pairs.expect("reads");
            assert!((0..).zip(&pairs).all(|(number, (_, found))| *found == value(number, 500)));
            assert_eq!(pairs.len(), 50);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_of_too_many_keys_is_refused() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let (_engine, database) = open(&config(folder.path())).await;
    for part in 0..2 {
        let fill = async |tx: &mut Transaction| {
            let keys = part * limits::CLEAR_RANGE_KEYS..(part + 1) * limits::CLEAR_RANGE_KEYS;
            keys.for_each(|number| tx.set(format!("k{number}"), Bytes::new()));
            Ok(())
        };
        database.run(fill).await?;
    }
    let mut tx = database.begin();
    tx.clear_range(KeyRange::prefix(b"k"));
    assert!(matches!(tx.commit().await, Err(Error::TooLarge(_))));
    Ok(())
}
