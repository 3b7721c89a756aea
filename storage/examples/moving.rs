//! How fast a move reads, writes and compares, from disk to disk: `cargo run --release -p sterna-storage --example moving --
//! [pairs]`. A message leaves some ten pairs of 120 octets in the mean, its summary the longest.

#![allow(clippy::print_stdout, reason = "it prints its numbers")]
#![allow(clippy::unwrap_used, reason = "it stops where something fails")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::{Rng, RngCore};
use sterna_storage::kv::{Database, Local, LocalConfig};
use sterna_storage::migrate::{Home, Mover, Stand};

/// Pairs of one transaction while the source is made.
const TOGETHER: u64 = 2_000;

async fn open(folder: &std::path::Path, name: &str) -> Home {
    let engine =
        Local::open(LocalConfig { path: folder.join(name), ..LocalConfig::default() }).await.unwrap();
    let database = Database::new(engine);
    Home { mail: database.clone(), config: database }
}

async fn fill(home: &Home, pairs: u64) {
    for first in (0..pairs).step_by(TOGETHER as usize) {
        let mut tx = home.mail.begin();
        for number in first..pairs.min(first + TOGETHER) {
            let octets = if number % 10 == 0 { 700 } else { rand::rng().random_range(10..100) };
            let mut value = vec![0; octets];
            rand::rng().fill_bytes(&mut value);
            let mut key = vec![b"MEBRCFGKAI"[(number % 10) as usize]];
            key.extend_from_slice(&number.to_be_bytes());
            tx.set(key, value);
        }
        tx.set("bi", vec![7; 16]);
        tx.commit().await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    let pairs = std::env::args().nth(1).map_or(300_000, |pairs| pairs.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (open(folder.path(), "source").await, open(folder.path(), "target").await);
    fill(&source, pairs).await;
    let (mut mover, _) = Mover::begin(Some(source.clone()), target.clone()).await.unwrap();
    for (number, what) in [(1, "copying"), (2, "comparing")] {
        let (begun, octets) = (Instant::now(), AtomicU64::new(0));
        let watcher = |stand: &Stand| octets.store(stand.octets, Ordering::Relaxed);
        let pass = mover.pass(number, &watcher).await.unwrap().unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{what}: {} pairs, {} written, {:.1} s, {:.0} pairs/s, {:.1} MB/s",
            pass.stand.pairs,
            pass.stand.set,
            seconds,
            pass.stand.pairs as f64 / seconds,
            octets.into_inner() as f64 / 1e6 / seconds
        );
    }
    source.mail.close().await;
    target.mail.close().await;
}
