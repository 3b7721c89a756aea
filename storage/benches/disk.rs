//! What is written to the disk for each octet of mail, by whom, packing and compaction included:
//! `cargo bench -p sterna-storage --bench disk -- [messages] [octets each] [tasks]`.
//! Bodies are random octets, so that compression does not help. The numbers are what the kernel counts for
//! each thread (pages made dirty, so a page that is synced twice counts twice); the file system's own journal
//! is not among them.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngCore;
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::kv::{Database, Local, LocalConfig, Transaction};
use sterna_storage::mailstore::{Delivery, Limits, MailStore, MailStoreConfig, NewMessage, Target};
use sterna_storage::types::{AccountId, DomainId, Flags, OperationId, Secret, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DOMAIN: DomainId = DomainId(1);
const ACCOUNTS: u64 = 64;

/// Octets that each thread has sent to the disk, by the threads' names.
fn written() -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may end meanwhile.
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let octets = read("io").lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        *sums.entry(read("comm").trim().to_owned()).or_default() += octets.unwrap_or(0);
    }
    sums
}

fn all_written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap()
}

async fn deliver(store: &MailStore, bodies: &Bodies, task: u64, messages: usize, octets: usize) {
    for _ in 0..messages {
        let mut text = vec![0; octets];
        rand::rng().fill_bytes(&mut text);
        let message = NewMessage {
            body: bodies.write(DOMAIN, &text).await.unwrap().into(),
            prefix: Bytes::from_static(b"Delivered-To: someone@example.org\r\n"),
            summary: Bytes::from(text[..700].to_vec()),
            flags: Flags::default(),
            internal_date: Timestamp::now(),
        };
        let delivery = Delivery {
            operation: OperationId::random(),
            account: AccountId(1 + task % ACCOUNTS),
            target: Target::Inbox,
            message,
            limits: Limits::default(),
        };
        store.deliver(delivery).await.unwrap();
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let messages = arguments.next().unwrap_or(6_400);
    let octets = arguments.next().unwrap_or(20_000).max(700);
    let tasks = arguments.next().unwrap_or(64);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let local = LocalConfig { path: path.join("kv"), ..LocalConfig::default() };
    let db = Database::new(Local::open(local).await.unwrap());
    let objects = Bodies::local_folder(path.join("objects")).await.unwrap();
    let config = BodiesConfig { exclusive: true, ..BodiesConfig::default() };
    let bodies = Bodies::open(db.clone(), objects, Secret::new([1; 32]), config).await.unwrap();
    let config = MailStoreConfig { sole_node: true, ..MailStoreConfig::default() };
    let store = MailStore::new(db.clone(), bodies.clone(), config);
    for account in 1..=ACCOUNTS {
        let create = async |tx: &mut Transaction| {
            store.create_account(tx, AccountId(account), DOMAIN);
            Ok(())
        };
        db.run(create).await.unwrap();
    }
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    bodies.spawn_workers(&tracker, stop.clone());
    store.spawn_workers(&tracker, stop.clone());

    let (before, all_before, begin) = (written(), all_written(), Instant::now());
    let work = (0..tasks as u64).map(|task| deliver(&store, &bodies, task, messages / tasks, octets));
    futures::future::join_all(work).await;
    let took = begin.elapsed();
    bodies.pack_once().await.unwrap();
    // Until the disk is quiet: what was delivered is packed, flushed and compacted.
    let (mut last, mut quiet) = (all_written(), Instant::now());
    while quiet.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = all_written();
        // The workers' looks write a few pages now and then.
        if now - last > 64 * 1024 {
            quiet = Instant::now();
        }
        last = now;
    }
    let mail = (messages / tasks * tasks * octets) as f64;
    let rate = (messages / tasks * tasks) as f64 / took.as_secs_f64();
    println!("{messages} messages of {octets} octets, {tasks} tasks: {rate:.0}/s");
    println!("{:<20} {:>10} {:>22}", "thread", "MB written", "for each octet of mail");
    let all = (all_written() - all_before) as f64;
    let mut ended = all;
    let row = |thread: &str, octets: f64| {
        println!("{thread:<20} {:>10.1} {:>22.2}", octets / 1e6, octets / mail);
    };
    for (thread, octets) in written() {
        let octets = octets.saturating_sub(before.get(&thread).copied().unwrap_or(0)) as f64;
        ended -= octets;
        if octets > 0.0 {
            row(&thread, octets);
        }
    }
    // Those that write segments come and go.
    row("threads that ended", ended);
    row("all", all);
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    db.close().await;
}
