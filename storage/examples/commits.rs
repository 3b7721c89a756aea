//! Durable commits a second of the local engine, and of a bare file with a write and an fdatasync per
//! batch in the same run: `cargo run --release -p sterna-storage --example commits [folder] [seconds]`.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sterna_storage::Result;
use sterna_storage::kv::{Database, KeyRange, Local, LocalConfig, RangeOptions, Transaction};

const TASKS: u64 = 64;
const PUTS: u64 = 12;
const VALUE_OCTETS: usize = 150;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("sterna-commits");
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    std::fs::create_dir_all(&folder)?;
    let time = Duration::from_secs(seconds);
    let bare = bare_file(&folder, time)?;
    println!(
        "bare file, write + fdatasync of 64 x 2 kB: {bare:.0} batches/s, {:.0} transactions/s",
        bare * 64.0
    );
    let config = LocalConfig { path: folder.join("store"), ..LocalConfig::default() };
    let engine = Local::open(config).await?;
    let database = Database::new(engine);
    commits(&database, time).await?;
    reads(&database).await?;
    println!("resident: {}", resident());
    database.close().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn bare_file(folder: &Path, time: Duration) -> Result<f64> {
    let batch = vec![7; TASKS as usize * 2000];
    let mut file = File::create(folder.join("bare"))?;
    let begun = Instant::now();
    let mut batches = 0;
    while begun.elapsed() < time / 4 {
        file.write_all(&batch)?;
        file.sync_data()?;
        batches += 1;
    }
    Ok(f64::from(batches) / begun.elapsed().as_secs_f64())
}

async fn commits(database: &Database, time: Duration) -> Result<()> {
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let total = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (database, stop, total) = (database.clone(), stop.clone(), total.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    let put = async |tx: &mut Transaction| {
                        for put in 0..PUTS {
                            let key = (task * 1_000_003 + number * 7919 + put * 104_729) % 2_000_000;
                            tx.set(format!("M{key:012}").into_bytes(), vec![put as u8; VALUE_OCTETS]);
                        }
                        Ok(())
                    };
                    database.run(put).await?;
                    latencies.push(begun.elapsed());
                    total.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, sterna_storage::Error>(latencies)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("tasks do not panic")?);
    }
    let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "local, {TASKS} tasks of {PUTS} puts: {rate:.0} transactions/s, p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    Ok(())
}

async fn reads(database: &Database) -> Result<()> {
    let mut latencies = Vec::new();
    for number in 0..100_000_u64 {
        let key = number * 48_271 % 2_000_000;
        let mut tx = database.begin();
        let begun = Instant::now();
        tx.get(format!("M{key:012}").as_bytes()).await?;
        latencies.push(begun.elapsed());
    }
    latencies.sort_unstable();
    let mut tx = database.begin();
    let begun = Instant::now();
    let options = RangeOptions { limit: Some(1000), snapshot: true, reverse: false };
    let count = tx.range(KeyRange::prefix(b"M"), options).collect().await?.len();
    println!(
        "get p50 {:?}, p99 {:?}; range of {count}: {:?}",
        latencies[50_000],
        latencies[99_000],
        begun.elapsed()
    );
    Ok(())
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
