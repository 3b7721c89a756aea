//! The mail store as a whole, on real engines and a real folder.

mod commands;
mod concurrency;
mod doubt;
mod mailboxes;
mod model;
mod model_run;
mod outlines;
mod views;
mod work;

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use tempfile::TempDir;

use super::*;
use crate::bodies::{Bodies, BodiesConfig};
use crate::kv::{Database, Local, LocalConfig, Memory};
use crate::types::{
    AccountId, DomainId, Flags, MailboxId, OperationId, Secret, SystemFlag, Timestamp, Uid, UidSet,
};

pub(super) const ACCOUNT: AccountId = AccountId(7);
pub(super) const DOMAIN: DomainId = DomainId(3);

/// A mail store with one account.
pub(super) struct House {
    pub(super) store: MailStore,
    pub(super) bodies: Bodies,
    pub(super) db: Database,
    pub(super) inbox: MailboxId,
    pub(super) archive: MailboxId,
    _folder: TempDir,
    _engine: Option<TempDir>,
}

pub(super) fn config() -> MailStoreConfig {
    MailStoreConfig { restore_window: Duration::ZERO, ..MailStoreConfig::default() }
}

impl House {
    pub(super) async fn new() -> Self {
        Self::over(Database::new(Memory::new()), config()).await
    }

    pub(super) async fn over(db: Database, config: MailStoreConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = Bodies::local_folder(folder.path().join("objects")).await.expect("a folder");
        let key = Secret::new([42; 32]);
        let bodies = Bodies::open(db.clone(), objects, key, BodiesConfig::default()).await.expect("opens");
        let store = MailStore::new(db.clone(), bodies.clone(), config);
        let create = async |tx: &mut crate::kv::Transaction| {
            store.create_account(tx, ACCOUNT, DOMAIN);
            Ok(())
        };
        db.run(create).await.expect("creates");
        let id =
            async |name: &str| store.mailbox(ACCOUNT, &named(name)).await.expect("a standard mailbox").id;
        let (inbox, archive) = (id("INBOX").await, id("Archive").await);
        Self { store, bodies, db, inbox, archive, _folder: folder, _engine: None }
    }

    /// On the durable engine.
    pub(super) async fn on_disk() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let local = LocalConfig { path: folder.path().join("kv"), ..LocalConfig::default() };
        let db = Database::new(Local::open(local).await.expect("opens"));
        Self { _engine: Some(folder), ..Self::over(db, config()).await }
    }

    /// Another node's mail store over the same database.
    pub(super) fn other_node(&self) -> MailStore {
        MailStore::new(self.db.clone(), self.bodies.clone(), config())
    }

    pub(super) async fn message(&self, text: &str, flags: Flags) -> NewMessage {
        NewMessage {
            body: self.bodies.write(DOMAIN, text.as_bytes()).await.expect("stages").into(),
            prefix: Bytes::from_static(b"Delivered-To: a@example.org\r\n"),
            summary: Bytes::from(format!("summary of {text}")),
            flags,
            internal_date: Timestamp::from_secs(1_700_000_000),
        }
    }

    pub(super) async fn append(&self, mailbox: MailboxId, count: usize, flags: &Flags) -> Vec<Uid> {
        let mut messages = Vec::new();
        for number in 0..count {
            messages.push(self.message(&format!("message {number}"), flags.clone()).await);
        }
        self.store.append(ACCOUNT, mailbox, messages, Limits::default()).await.expect("appends").uids
    }

    pub(super) async fn deliver(&self, text: &str) -> Delivered {
        let message = self.message(text, Flags::default()).await;
        self.store.deliver(delivery(message)).await.expect("delivers")
    }

    /// Counters, usage, records and views of all mailboxes agree with each other.
    pub(super) async fn check(&self) {
        let mut usage = Usage::default();
        for mailbox in self.store.mailboxes(ACCOUNT).await.expect("lists") {
            let counters = self.recount(mailbox.id).await;
            assert_eq!(self.store.status(ACCOUNT, mailbox.id).await.expect("exists"), counters);
            usage.octets += counters.size_octets;
            usage.messages += u64::from(counters.messages);
            let view = self.store.open(ACCOUNT, mailbox.id).await.expect("opens").snapshot();
            let fresh = self.other_node().open(ACCOUNT, mailbox.id).await.expect("opens").snapshot();
            assert_eq!(flat(&view), flat(&fresh));
            if let Some(outlined) = self.outlined(mailbox.id).await {
                assert_eq!(flat(&outlined), flat(&view));
                assert_eq!(
                    (outlined.uid_next, outlined.highest_modseq),
                    (view.uid_next, view.highest_modseq)
                );
            }
            assert_eq!((view.len(), view.unseen()), (counters.messages, counters.unseen));
            assert_eq!((view.uid_next, view.highest_modseq), (fresh.uid_next, fresh.highest_modseq));
            assert_eq!(view.uid_validity, mailbox.uid_validity);
        }
        assert_eq!(self.store.usage(ACCOUNT).await.expect("reads"), usage);
        assert_eq!(self.store.domain_usage(DOMAIN).await.expect("reads"), usage.octets);
    }

    /// The mailbox as its outline tells it, if it has one.
    pub(super) async fn outlined(&self, mailbox: MailboxId) -> Option<Snapshot> {
        let mut tx = self.db.begin();
        let counters = load::read_counters(&mut tx, ACCOUNT, mailbox).await.expect("exists");
        load::from_outline(&mut tx, (ACCOUNT, mailbox), counters).await.expect("agrees with the counters")
    }

    /// Writes the outline, whether it is due or not.
    pub(super) async fn outline(&self, mailbox: MailboxId) {
        let head = keys::outline_head(ACCOUNT, mailbox);
        let known = self.db.begin().get(&head).await.expect("reads");
        self.store.write_outline((ACCOUNT, mailbox), known).await.expect("writes");
    }

    // The counters as its records add up to them.
    async fn recount(&self, mailbox: MailboxId) -> Counters {
        let kept = self.store.status(ACCOUNT, mailbox).await.expect("exists");
        let mut counted = Counters::new(kept.uid_validity);
        (counted.uid_next, counted.highest_modseq) = (kept.uid_next, kept.highest_modseq);
        let records = self.store.records(ACCOUNT, mailbox, Uid::MIN..=Uid::MAX);
        let records: Vec<_> = records.try_collect().await.expect("reads");
        for (uid, record) in &records {
            assert!(uid.get() < kept.uid_next && record.modseq <= kept.highest_modseq);
            counted.add(record.flags.system, record.size_octets);
        }
        counted
    }
}

pub(super) fn delivery(message: NewMessage) -> Delivery {
    let (operation, target, limits) = (OperationId::random(), Target::Inbox, Limits::default());
    Delivery { operation, account: ACCOUNT, target, message, limits }
}

pub(super) fn named(name: &str) -> MailboxName {
    name.parse().expect("a valid name")
}

pub(super) fn uid(value: u32) -> Uid {
    Uid::new(value).expect("not 0")
}

pub(super) fn uids(values: &[u32]) -> UidSet {
    values.iter().map(|value| uid(*value)).collect()
}

pub(super) fn seen() -> Flags {
    Flags::system(&[SystemFlag::Seen])
}

pub(super) fn deleted() -> Flags {
    Flags::system(&[SystemFlag::Deleted])
}

/// All that a snapshot says of its messages.
pub(super) fn flat(snapshot: &Snapshot) -> Vec<(u32, u64, Flags)> {
    let flat = |message: Message<'_>| (message.uid.get(), message.modseq.0, Flags::clone(message.flags));
    snapshot.messages().map(flat).collect()
}
