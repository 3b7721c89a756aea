//! Commit latencies while the tree is flushed and compacted for minutes on end:
//! `cargo bench -p sterna-storage --bench soak -- [minutes] [commits a second] [folder]`.
//! Transactions of 12 puts of 150 octets over two million keys, in random order, at that pace or as fast as the
//! machine can; and now and then a range of 1,000 keys. Prints a line each minute.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something fails")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sterna_storage::kv::{Database, KeyRange, Local, LocalConfig, RangeOptions, Transaction};

const PUTS: usize = 12;
const KEYS: u64 = 2_000_000;
const VALUE_OCTETS: usize = 150;
const TASKS: u64 = 32;

fn key(number: u64) -> Vec<u8> {
    format!("M{number:012}").into_bytes()
}

async fn write(db: Database, each: Duration, end: Instant, latencies: Arc<Mutex<Vec<Duration>>>) {
    let mut pace = tokio::time::interval(each);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while Instant::now() < end {
        pace.tick().await;
        let begin = Instant::now();
        let keys: [u64; PUTS] = std::array::from_fn(|_| rand::random::<u64>() % KEYS);
        let put = async |tx: &mut Transaction| {
            keys.iter().for_each(|number| tx.set(key(*number), vec![rand::random::<u8>(); VALUE_OCTETS]));
            Ok(())
        };
        db.run(put).await.unwrap();
        latencies.lock().push(begin.elapsed());
    }
}

async fn range(db: &Database) -> Duration {
    let first = rand::random::<u64>() % KEYS;
    let (range, begin) = (KeyRange::new(key(first), b"N".to_vec()), Instant::now());
    let options = RangeOptions { limit: Some(1_000), snapshot: true, reverse: false };
    db.begin().range(range, options).collect().await.unwrap();
    begin.elapsed()
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default()
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|text| !text.starts_with("--"));
    let minutes: u64 = arguments.next().map_or(10, |text| text.parse().unwrap());
    let rate: u64 = arguments.next().map_or(500, |text| text.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let config = LocalConfig { path: folder.path().join("kv"), ..LocalConfig::default() };
    let db = Database::new(Local::open(config).await.unwrap());
    let (latencies, begin) = (Arc::<Mutex<Vec<Duration>>>::default(), Instant::now());
    let end = begin + Duration::from_secs(60 * minutes);
    let each = Duration::from_secs_f64(TASKS as f64 / rate as f64);
    let tasks: Vec<_> =
        (0..TASKS).map(|_| tokio::spawn(write(db.clone(), each, end, latencies.clone()))).collect();
    println!(
        "{:>6} {:>8} {:>10} {:>10} {:>10} {:>10} {:>14} {:>8}",
        "minute", "commits", "p50", "p99", "p99.9", "max", "range median", "RSS MB"
    );
    for minute in 1..=minutes {
        let mut ranges = Vec::new();
        while begin.elapsed() < Duration::from_secs(60 * minute) {
            ranges.push(range(&db).await);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut sorted = std::mem::take(&mut *latencies.lock());
        sorted.sort_unstable();
        ranges.sort_unstable();
        println!(
            "{minute:>6} {:>8} {:>10.1?} {:>10.1?} {:>10.1?} {:>10.1?} {:>14.1?} {:>8}",
            sorted.len(),
            at(&sorted, 0.5),
            at(&sorted, 0.99),
            at(&sorted, 0.999),
            at(&sorted, 1.0),
            at(&ranges, 0.5),
            resident_megabytes()
        );
    }
    for task in tasks {
        task.await.unwrap();
    }
    db.close().await;
}
