//! How fast the mail store is over the local engine, on a real disk: `cargo bench -p sterna-storage --bench mailstore`.
//! Prints one line for each measurement; the numbers are this machine's. With `-- memory` it tells instead what
//! memory a million messages in a thousand mailboxes take.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something fails")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::kv::{Database, Local, LocalConfig, Transaction};
use sterna_storage::mailstore::{
    Delivery, FlagChange, Limits, MailStore, MailStoreConfig, MailboxName, NewMessage, Target,
};
use sterna_storage::types::{
    AccountId, DomainId, Flags, MailboxId, OperationId, Secret, SystemFlag, Timestamp, Uid, UidSet,
};

const DOMAIN: DomainId = DomainId(1);
const ACCOUNT: AccountId = AccountId(1);
const MESSAGES: usize = 100_000;

fn report(what: &str, count: usize, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{what:<44} {count:>8} in {took:>10.1?}  {rate:>12.0}/s");
}

async fn timed<T>(what: &str, count: usize, work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let value = work.await;
    report(what, count, begin.elapsed());
    value
}

struct House {
    db: Database,
    bodies: Bodies,
    store: MailStore,
}

impl House {
    async fn new(path: &std::path::Path) -> Self {
        let config = LocalConfig { path: path.join("kv"), ..LocalConfig::default() };
        let db = Database::new(Local::open(config).await.unwrap());
        let bodies = Self::bodies(path, &db).await;
        let store = Self::store(&db, &bodies);
        for account in 1..=64 {
            let create = async |tx: &mut Transaction| {
                store.create_account(tx, AccountId(account), DOMAIN);
                Ok(())
            };
            db.run(create).await.unwrap();
        }
        Self { db, bodies, store }
    }

    async fn bodies(path: &std::path::Path, db: &Database) -> Bodies {
        let objects = Bodies::local_folder(path.join("objects")).await.unwrap();
        Bodies::open(db.clone(), objects, Secret::new([1; 32]), BodiesConfig::default()).await.unwrap()
    }

    fn store(db: &Database, bodies: &Bodies) -> MailStore {
        let config = MailStoreConfig { sole_node: true, ..MailStoreConfig::default() };
        MailStore::new(db.clone(), bodies.clone(), config)
    }

    async fn message(&self, octets: usize) -> NewMessage {
        // Random letters: text that compresses about as mail does.
        let text: Vec<u8> = (0..octets).map(|_| b'a' + rand::random::<u8>() % 16).collect();
        NewMessage {
            body: self.bodies.write(DOMAIN, &text).await.unwrap().into(),
            prefix: Bytes::from_static(b"Delivered-To: someone@example.org\r\n"),
            summary: Bytes::from(vec![b's'; 700]),
            flags: Flags::default(),
            internal_date: Timestamp::now(),
        }
    }

    async fn deliver(&self, accounts: u64, tasks: usize, each: usize) {
        let work = (0..tasks).map(|task| async move {
            for _ in 0..each {
                let delivery = Delivery {
                    operation: OperationId::random(),
                    account: AccountId(1 + task as u64 % accounts),
                    target: Target::Inbox,
                    message: self.message(4_000).await,
                    limits: Limits::default(),
                };
                self.store.deliver(delivery).await.unwrap();
            }
        });
        futures::future::join_all(work).await;
    }

    /// Reads INBOX as after a restart: one message after the other, then some ahead.
    async fn read_inbox(&self, path: &std::path::Path, place: &str) {
        let inbox = self.mailbox("INBOX").await;
        let records = self.store.records(ACCOUNT, inbox, Uid::MIN..=Uid::MAX);
        let records: Vec<_> = records.map_ok(|(_, record)| record).try_collect().await.unwrap();
        let cold = Self::store(&self.db, &Self::bodies(path, &self.db).await);
        let one_by_one = async {
            for record in &records {
                let message = cold.read(record).await.unwrap();
                message.read_all(0..u64::MAX).await.unwrap();
            }
        };
        timed(&format!("read one by one, {place}"), records.len(), one_by_one).await;
        let cold = Self::store(&self.db, &Self::bodies(path, &self.db).await);
        let ahead = async {
            for records in records.chunks(256) {
                let records: Vec<_> = records.iter().collect();
                let mut messages = std::pin::pin!(cold.read_many(&records, 512 << 10));
                while let Some(message) = messages.try_next().await.unwrap() {
                    message.read_all(0..u64::MAX).await.unwrap();
                }
            }
        };
        timed(&format!("read ahead, {place}"), records.len(), ahead).await;
    }

    async fn mailbox(&self, name: &str) -> MailboxId {
        let name: MailboxName = name.parse().unwrap();
        self.store.mailbox(ACCOUNT, &name).await.unwrap().id
    }
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

async fn memory(house: &House) {
    const MAILBOXES: u64 = 1_000;
    const EACH: usize = 1_000;
    println!("fresh: {} MB", resident_megabytes());
    let messages = vec![house.message(4_000).await; EACH];
    let mut mailboxes = Vec::new();
    let begin = Instant::now();
    for number in 0..MAILBOXES {
        let name: MailboxName = format!("box{number}").parse().unwrap();
        let mailbox = house.store.create_mailbox(ACCOUNT, &name, None).await.unwrap().id;
        house.store.append(ACCOUNT, mailbox, messages.clone(), Limits::default()).await.unwrap();
        mailboxes.push(mailbox);
    }
    report("append", MAILBOXES as usize * EACH, begin.elapsed());
    println!("after the load: {} MB", resident_megabytes());
    let begin = Instant::now();
    let mut open = Vec::new();
    for mailbox in &mailboxes {
        open.push(house.store.open(ACCOUNT, *mailbox).await.unwrap());
    }
    report("open all", open.len(), begin.elapsed());
    println!("with all open: {} MB", resident_megabytes());
    drop(open);
    house.store.work_once(Timestamp::now()).await.unwrap();
    // Old versions of the tree and what readers of them needed are gone by then.
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("idle: {} MB", resident_megabytes());
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path()).await;
    match std::env::args().any(|argument| argument == "memory") {
        true => memory(&house).await,
        false => speed(&house, folder.path()).await,
    }
    house.db.close().await;
}

async fn speed(house: &House, folder: &std::path::Path) {
    let message = house.message(4_000).await;
    timed("deliver, one at a time", 200, house.deliver(1, 1, 200)).await;
    timed("deliver, 64 tasks, one mailbox", 6_400, house.deliver(1, 64, 100)).await;
    timed("deliver, 64 tasks, 64 mailboxes", 6_400, house.deliver(64, 64, 100)).await;

    house.read_inbox(folder, "staged").await;
    timed("pack", 13_000, house.bodies.pack_once()).await.unwrap();
    house.read_inbox(folder, "packed").await;

    let archive = house.mailbox("Archive").await;
    let messages = vec![message; MESSAGES];
    let append = house.store.append(ACCOUNT, archive, messages, Limits::default());
    timed("append at once (hidden block)", MESSAGES, append).await.unwrap();
    let cold = House::store(&house.db, &house.bodies);
    timed("open, cold, by the records", MESSAGES, cold.open(ACCOUNT, archive)).await.unwrap();
    timed("write outlines", 1, house.store.work_once(Timestamp::now())).await.unwrap();
    let view =
        timed("open, cold, by the outline", MESSAGES, house.store.open(ACCOUNT, archive)).await.unwrap();

    let begin = Instant::now();
    let snapshot = view.snapshot();
    let seen = snapshot.messages().filter(|message| message.flags.contains(SystemFlag::Seen)).count();
    report("flags from the view", MESSAGES - seen, begin.elapsed());

    let first = snapshot.get(1).unwrap().uid;
    let mut ten_thousand = UidSet::new();
    ten_thousand.insert_range(first..=snapshot.get(10_000).unwrap().uid);
    for flag in [SystemFlag::Seen, SystemFlag::Flagged, SystemFlag::Deleted] {
        let change = FlagChange::Add(Flags::system(&[flag]));
        let store = house.store.store_flags(ACCOUNT, archive, &ten_thousand, &change, None);
        let stored = timed("store", 10_000, store).await.unwrap();
        assert_eq!(stored.changed.len(), 10_000);
    }
    timed("expunge", 10_000, house.store.expunge(ACCOUNT, archive, None)).await.unwrap();

    // As after a day's work: every hundredth message by itself.
    for number in 0..500 {
        let uid = view.snapshot().get(1 + number * 100).unwrap().uid;
        let change = FlagChange::Add(Flags::system(&[SystemFlag::Seen]));
        house.store.store_flags(ACCOUNT, archive, &[uid].into_iter().collect(), &change, None).await.unwrap();
    }
    let cold = House::store(&house.db, &house.bodies);
    timed("open, cold, 504 commits later", 90_000, cold.open(ACCOUNT, archive)).await.unwrap();

    let begin = Instant::now();
    let changes = snapshot.changes_to(&view.snapshot());
    report("differences", changes.expunged.len(), begin.elapsed());

    let between = (archive, house.mailbox("Trash").await);
    let all = UidSet::all();
    let copy = house.store.copy(ACCOUNT, between, &all, Limits::default());
    timed("copy at once (hidden block)", MESSAGES - 10_000, copy).await.unwrap();
    timed("move", MESSAGES - 10_000, house.store.move_messages(ACCOUNT, between, &all)).await.unwrap();
}
