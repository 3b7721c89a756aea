//! Messages in a mailbox, with bodies that are staged, packed, collected: some short, some with an object of their
//! own. Some are expunged again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_storage::Error;
use sterna_storage::bodies::{Bodies, BodiesConfig, VerifyOptions};
use sterna_storage::kv::{Database, Local, LocalConfig};
use sterna_storage::mailstore::{
    Counters, Delivered, Delivery, Limits, MailStore, MailStoreConfig, NewMessage, Target,
};
use sterna_storage::types::{
    AccountId, DomainId, Flags, MailboxId, OperationId, Secret, SystemFlag, Timestamp, Uid, UidSet,
};

use crate::Task;
use crate::speech::say;

const ACCOUNT: AccountId = AccountId(7);
const DOMAIN: DomainId = DomainId(3);
/// How many deliver at the same time.
const CLIENTS: u64 = 4;
/// Bodies up to this many octets are staged; longer ones get an object of their own.
const STAGING_OCTETS: usize = 8 << 10;

/// The stores.
#[derive(Clone)]
struct House {
    seed: u64,
    database: Database,
    bodies: Bodies,
    store: MailStore,
    inbox: MailboxId,
}

/// Opens, checks, delivers.
pub(crate) async fn run(task: Task) -> Result<()> {
    let engine = LocalConfig { transaction_life: Duration::from_millis(200), ..task.engine() };
    let database = Database::new(Local::open(engine).await.context("opening the metadata")?);
    let house = loop {
        match House::open(&task, &database).await {
            Ok(house) => break house,
            // The store's own upkeep commits, too, and versions age soon here.
            Err(error) if error.downcast_ref().is_some_and(Error::is_retryable) => {}
            Err(error) => return Err(error),
        }
    };
    say("ready");
    let (share, is_over) = (Arc::new(AtomicU64::new(0)), tokio_util::sync::CancellationToken::new());
    let upkeep = tokio::spawn(house.clone().keep_up(is_over.clone()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            // In a life of its own each number is new.
            let first = task.life * 1_000_000 + client * 10_000;
            tokio::spawn(house.clone().deliver(first, share.clone(), task.commits))
        })
        .collect();
    for client in clients {
        client.await??;
    }
    is_over.cancel();
    upkeep.await?;
    house.database.close().await;
    Ok(())
}

/// Nothing was changed by what only has to be made again: the machine is slow, and versions age soon here.
fn complain(number: u64, error: &Error) {
    if !error.is_retryable() && !matches!(error, Error::Overloaded(_)) {
        say(&format!("failed {number} {error:?}"));
    }
}

impl House {
    /// Opens the stores and checks what is in them.
    async fn open(task: &Task, database: &Database) -> Result<Self> {
        let objects =
            Bodies::local_folder(task.folder.join("bodies")).await.context("opening the objects")?;
        let settings = BodiesConfig {
            staging_octets: STAGING_OCTETS,
            segment_octets: 24 << 10,
            part_octets: 16 << 10,
            grace: Duration::ZERO,
            exclusive: true,
            ..BodiesConfig::default()
        };
        let key = Secret::new([42; 32]);
        let bodies =
            Bodies::open(database.clone(), objects, key, settings).await.context("opening the bodies")?;
        let settings =
            MailStoreConfig { restore_window: Duration::ZERO, sole_node: true, ..MailStoreConfig::default() };
        let store = MailStore::new(database.clone(), bodies.clone(), settings);
        let name = "INBOX".parse().context("a name")?;
        let inbox = match store.mailbox(ACCOUNT, &name).await {
            Err(Error::NotFound(_)) => {
                let create = async |tx: &mut sterna_storage::kv::Transaction| {
                    store.create_account(tx, ACCOUNT, DOMAIN);
                    Ok(())
                };
                database.run(create).await.context("making the account")?;
                store.mailbox(ACCOUNT, &name).await?
            }
            found => found?,
        };
        let house = Self { seed: task.seed, database: database.clone(), bodies, store, inbox: inbox.id };
        house.check().await?;
        Ok(house)
    }

    /// Tells each message, whole, and sees that counters, usage and bodies agree with them.
    async fn check(&self) -> Result<()> {
        let kept = self.store.status(ACCOUNT, self.inbox).await?;
        let mut counted = Counters::new(kept.uid_validity);
        (counted.uid_next, counted.highest_modseq) = (kept.uid_next, kept.highest_modseq);
        let records = self.store.records(ACCOUNT, self.inbox, Uid::MIN..=Uid::MAX);
        let records: Vec<_> = records.try_collect().await?;
        for (uid, record) in &records {
            ensure!(
                uid.get() < kept.uid_next && record.modseq <= kept.highest_modseq,
                "{record:?}, {kept:?}"
            );
            counted.add(record.flags.system, record.size_octets);
            let text = self.store.read(record).await?.read_all(0..u64::MAX).await?;
            let number = text.split(|octet| *octet == b'\n').next().unwrap_or_default();
            let number: u64 = std::str::from_utf8(number)?.parse()?;
            ensure!(text == self.text(number), "message {number} is not what was delivered");
            say(&format!("has {number}@{uid}"));
        }
        ensure!(kept == counted, "counters {kept:?}, recounted {counted:?}");
        let usage = self.store.usage(ACCOUNT).await?;
        let counted = (u64::from(counted.messages), counted.size_octets);
        ensure!((usage.messages, usage.octets) == counted, "usage {usage:?}, recounted {counted:?}");
        let report = self.bodies.verify(VerifyOptions { read_bodies: true }, |_| ()).await?;
        ensure!(report.problem_count == 0, "bodies: {:?}", report.problems);
        Ok(())
    }

    /// What message `number` says: its number in the first line, then what nobody compresses.
    fn text(&self, number: u64) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(self.seed << 32 ^ number);
        let longest = if random.random_bool(0.1) { 5 * STAGING_OCTETS } else { STAGING_OCTETS / 2 };
        let mut text = format!("{number}\n").into_bytes();
        text.extend((0..random.random_range(0..longest)).map(|_| random.random::<u8>()));
        text
    }

    /// Packs, collects, and does what was left for later.
    async fn keep_up(self, is_over: tokio_util::sync::CancellationToken) {
        while !is_over.is_cancelled() {
            for outcome in [
                self.bodies.pack_once().await.map(drop),
                self.store.work_once(Timestamp::now()).await.map(drop),
                self.bodies.collect_once().await.map(drop),
            ] {
                if let Err(error) = outcome
                    && !error.is_temporary()
                {
                    say(&format!("damage upkeep: {error:?}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn deliver(self, first: u64, share: Arc<AtomicU64>, commits: u64) -> Result<()> {
        let mut number = first;
        while share.fetch_add(1, Ordering::Relaxed) < commits {
            number += 1;
            let is_short_lived = number.is_multiple_of(4);
            let delivered = self.deliver_one(number, is_short_lived).await;
            say(&format!("ack {number}@{}", delivered.uid));
            if is_short_lived {
                self.expunge(number, delivered.uid).await;
            }
        }
        Ok(())
    }

    async fn deliver_one(&self, number: u64, is_short_lived: bool) -> Delivered {
        let flags = if is_short_lived { Flags::system(&[SystemFlag::Deleted]) } else { Flags::default() };
        let operation = OperationId::derived(&[&number.to_le_bytes()]);
        loop {
            let attempt = async {
                let message = NewMessage {
                    body: self.bodies.write(DOMAIN, &self.text(number)).await?.into(),
                    prefix: bytes::Bytes::new(),
                    summary: bytes::Bytes::from_static(b"summary"),
                    flags: flags.clone(),
                    internal_date: Timestamp::from_secs(1_700_000_000),
                };
                let (target, limits) = (Target::Inbox, Limits::default());
                self.store.deliver(Delivery { operation, account: ACCOUNT, target, message, limits }).await
            };
            match attempt.await {
                Ok(delivered) => return delivered,
                Err(error) => complain(number, &error),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn expunge(&self, number: u64, uid: Uid) {
        say(&format!("drop {number}@{uid}"));
        let uids: UidSet = [uid].into_iter().collect();
        while let Err(error) = self.store.expunge(ACCOUNT, self.inbox, Some(&uids)).await {
            complain(number, &error);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        say(&format!("gone {number}@{uid}"));
    }
}
