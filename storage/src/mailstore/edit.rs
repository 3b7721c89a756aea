//! One commit's changes to one mailbox: every way in which messages come, change and go ends here, so
//! that UIDs, MODSEQs, counters, usage, change log and outbox agree whatever the command was.

use bytes::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;

use super::change_log::{self, Change};
use super::flag_table::{KeywordTable, StoredFlags};
use super::keys::{self, Work};
use super::stored::{CountersRecord, ExpungedMessage, Reservation, StoredMessage};
use super::{Counters, MailStore};
use crate::bodies::Owner;
use crate::kv::Transaction;
use crate::kv::record::Record;
use crate::limits::{
    CHANGE_LOG_CHECK_COMMITS, OUTLINE_CHECK_COMMITS, OUTLINE_CHECK_MESSAGES, OUTLINE_MESSAGES,
};
use crate::types::{AccountId, DomainId, Flags, MailboxId, ModSeq, Timestamp, Uid};
use crate::{Error, Result};

/// What a commit did to a mailbox: what its view needs to follow without reading.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) account: AccountId,
    pub(super) mailbox: MailboxId,
    // The MODSEQ that it built on, and its own.
    pub(super) from: ModSeq,
    pub(super) to: ModSeq,
    pub(super) uid_next: u32,
    pub(super) changes: Vec<Change>,
    // The table as of the commit, set if its flags may use keywords that no view has been told of.
    pub(super) keywords: Option<Arc<KeywordTable>>,
}

/// The pushes of one commit.
pub(super) type Pushes = SmallVec<[Push; 1]>;

/// A mailbox's keyword table within a transaction: read when first needed, written if it grew.
#[derive(Default)]
pub(super) struct Keywords {
    table: Option<Arc<KeywordTable>>,
    known: usize,
}

impl Keywords {
    pub(super) async fn load(
        &mut self,
        tx: &mut Transaction,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<&mut Arc<KeywordTable>> {
        if self.table.is_none() {
            let table = match tx.get(&keys::keywords(account, mailbox)).await? {
                Some(value) => KeywordTable::decode(&value)?,
                None => KeywordTable::default(),
            };
            self.known = table.keywords().len();
            self.table = Some(Arc::new(table));
        }
        Ok(self.table.as_mut().expect("set above"))
    }

    /// The stored form of flags in this mailbox; new keywords join the table.
    pub(super) async fn store(
        &mut self,
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        flags: &Flags,
    ) -> Result<StoredFlags> {
        if flags.keywords.is_empty() {
            return Ok(StoredFlags { system: flags.system, ..StoredFlags::default() });
        }
        let table = self.load(tx, account, mailbox).await?;
        Arc::make_mut(table).store(flags)
    }

    /// Writes the table if it grew. Gives it if flags were stored by it, also where it did not grow: an earlier
    /// commit of which no view was told may have added what they use.
    pub(super) fn save(
        self,
        tx: &mut Transaction,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Option<Arc<KeywordTable>> {
        let table = self.table?;
        if table.keywords().len() > self.known {
            tx.set(keys::keywords(account, mailbox), table.encode());
        }
        Some(table)
    }
}

/// A mailbox being changed by a transaction. Reading the counters with a conflict makes the commits of
/// one mailbox a sequence; all else in the mailbox may therefore be read by snapshot.
pub(super) struct MailboxEdit {
    pub(super) account: AccountId,
    pub(super) mailbox: MailboxId,
    before: Counters,
    pub(super) counters: Counters,
    pub(super) reservation: Option<Reservation>,
    pub(super) keywords: Keywords,
    // By UID, each once; put in order at the end.
    changes: Vec<(u32, Option<StoredFlags>)>,
    modseq: ModSeq,
    touched: bool,
}

impl MailboxEdit {
    /// `NotFound` if there is no such mailbox.
    pub(super) async fn begin(tx: &mut Transaction, account: AccountId, mailbox: MailboxId) -> Result<Self> {
        let value = tx.get(&keys::counters(account, mailbox)).await?;
        let record = CountersRecord::decode(&value.ok_or(Error::NotFound("mailbox".into()))?)?;
        let modseq = ModSeq(record.counters.highest_modseq.0 + 1);
        if record.reservation.is_some_and(|reservation| reservation.modseq <= modseq.0) {
            return Err(reserved());
        }
        Ok(Self {
            account,
            mailbox,
            before: record.counters,
            counters: record.counters,
            reservation: record.reservation,
            keywords: Keywords::default(),
            changes: Vec::new(),
            modseq,
            touched: false,
        })
    }

    pub(super) fn modseq(&self) -> ModSeq {
        self.modseq
    }

    /// The stored form of flags in this mailbox.
    pub(super) async fn store_flags(&mut self, tx: &mut Transaction, flags: &Flags) -> Result<StoredFlags> {
        self.keywords.store(tx, (self.account, self.mailbox), flags).await
    }

    /// The UID that the next message gets. `TooLarge` once the mailbox has given out every UID there is.
    pub(super) fn next_uid(&self) -> Result<Uid> {
        let uid = self.counters.uid_next;
        if self.reservation.is_some_and(|reservation| reservation.first_uid <= uid) {
            return Err(reserved());
        }
        Uid::new(uid).filter(|uid| *uid < Uid::MAX).ok_or(Error::TooLarge("no UID is left".into()))
    }

    /// Files a message with its summary under the next UID. The body's reference is the caller's.
    pub(super) fn insert(
        &mut self,
        tx: &mut Transaction,
        mut message: StoredMessage,
        summary: Bytes,
    ) -> Result<Uid> {
        let uid = self.next_uid()?;
        message.modseq = self.modseq.0;
        tx.set(keys::message(self.account, self.mailbox, uid.get()), message.encode());
        tx.set(keys::summary(self.account, self.mailbox, uid.get()), summary);
        self.counters.uid_next = uid.get() + 1;
        self.counters.add(message.flags.system, message.size_octets);
        self.changes.push((uid.get(), Some(message.flags)));
        Ok(uid)
    }

    /// Gives a message other flags.
    pub(super) fn set_flags(
        &mut self,
        tx: &mut Transaction,
        uid: Uid,
        mut message: StoredMessage,
        flags: StoredFlags,
    ) {
        self.counters.remove(message.flags.system, message.size_octets);
        self.counters.add(flags.system, message.size_octets);
        self.changes.push((uid.get(), Some(flags.clone())));
        message.flags = flags;
        message.modseq = self.modseq.0;
        tx.set(keys::message(self.account, self.mailbox, uid.get()), message.encode());
    }

    /// Takes a message out; its record and body are kept for restore.
    pub(super) fn expunge(
        &mut self,
        tx: &mut Transaction,
        store: &MailStore,
        (uid, message): (Uid, StoredMessage),
        gone: Gone,
    ) {
        self.counters.remove(message.flags.system, message.size_octets);
        self.changes.push((uid.get(), None));
        keep_for_restore(tx, store, (self.account, self.mailbox, uid), message, gone);
    }

    /// Publishes messages that were written out of sight under `reservation`.
    pub(super) fn publish(&mut self, reservation: Reservation, counters: Counters, changes: &[Change]) {
        self.reservation = None;
        self.modseq = ModSeq(reservation.modseq);
        self.counters.uid_next = reservation.first_uid + reservation.count;
        self.counters.messages += counters.messages;
        self.counters.unseen += counters.unseen;
        self.counters.deleted += counters.deleted;
        self.counters.size_octets += counters.size_octets;
        self.counters.deleted_size_octets += counters.deleted_size_octets;
        for change in changes {
            self.changes.extend((change.first..=change.last).map(|uid| (uid, change.flags.clone())));
        }
    }

    /// Makes the record to be written although no message changed.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Writes what all changes have in common; nothing if there was none.
    pub(super) fn finish(mut self, tx: &mut Transaction, domain: DomainId) -> Option<Push> {
        if self.changes.is_empty() {
            // Keywords that no message got are not kept.
            if self.touched {
                let record = CountersRecord { counters: self.counters, reservation: self.reservation };
                tx.set(keys::counters(self.account, self.mailbox), record.encode());
            }
            return None;
        }
        self.note_upkeep(tx);
        let keywords = self.keywords.save(tx, self.account, self.mailbox);
        self.counters.highest_modseq = self.modseq;
        let record = CountersRecord { counters: self.counters, reservation: self.reservation };
        tx.set(keys::counters(self.account, self.mailbox), record.encode());
        let octets = self.counters.size_octets as i64 - self.before.size_octets as i64;
        let messages = i64::from(self.counters.messages) - i64::from(self.before.messages);
        add_usage(tx, self.account, domain, octets, messages);
        self.changes.sort_unstable_by_key(|(uid, _)| *uid);
        let mut changes = Vec::new();
        for (uid, flags) in self.changes {
            change_log::add(&mut changes, uid, flags);
        }
        for (part, value) in (0..).zip(change_log::encode(&changes)) {
            tx.set(keys::change(self.account, self.mailbox, self.modseq, part), value);
        }
        write_outbox(tx, self.account, self.mailbox, self.before.highest_modseq, self.modseq);
        Some(Push {
            account: self.account,
            mailbox: self.mailbox,
            from: self.before.highest_modseq,
            to: self.modseq,
            uid_next: self.counters.uid_next,
            changes,
            keywords,
        })
    }
}

impl MailboxEdit {
    // Every so often the workers look whether change log and outline need care.
    fn note_upkeep(&self, tx: &mut Transaction) {
        let (account, mailbox) = (self.account, self.mailbox);
        let passes = |commits| self.modseq.0 / commits != self.before.highest_modseq.0 / commits;
        if passes(CHANGE_LOG_CHECK_COMMITS) {
            tx.set(Work::Trim { account, mailbox }.key(), Bytes::new());
        }
        let has_grown =
            self.counters.uid_next / OUTLINE_CHECK_MESSAGES != self.before.uid_next / OUTLINE_CHECK_MESSAGES;
        if self.counters.messages >= OUTLINE_MESSAGES && (has_grown || passes(OUTLINE_CHECK_COMMITS)) {
            tx.set(Work::Outline { account, mailbox }.key(), Bytes::new());
        }
    }
}

fn reserved() -> Error {
    Error::Overloaded("many messages are being copied into the mailbox".into())
}

/// When and how a message went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) at: Timestamp,
    /// It lives on elsewhere in the account.
    pub(super) moved: bool,
}

/// Moves a message's record and its hold on the body from `M` to `Y`. The summary stays where it is.
pub(super) fn keep_for_restore(
    tx: &mut Transaction,
    store: &MailStore,
    (account, mailbox, uid): (AccountId, MailboxId, Uid),
    message: StoredMessage,
    gone: Gone,
) {
    let from = Owner::Message { account, mailbox, uid };
    store.inner.bodies.move_reference(tx, message.body, from, Owner::Expunged { account, mailbox, uid });
    tx.clear(keys::message(account, mailbox, uid.get()));
    let kept = ExpungedMessage { at: gone.at, moved: gone.moved, message };
    tx.set(keys::expunged(account, mailbox, uid.get()), kept.encode());
}

/// Notes that something was expunged today, so that it is purged when its time is over.
pub(super) fn note_purge(tx: &mut Transaction, account: AccountId, mailbox: MailboxId, at: Timestamp) {
    tx.set(Work::Purge { day: day_of(at), account, mailbox }.key(), Bytes::new());
}

/// Days since 1970.
pub(super) fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs().max(0) / 86_400).unwrap_or(u32::MAX)
}

/// Adds to what the account and its domain store.
pub(super) fn add_usage(
    tx: &mut Transaction,
    account: AccountId,
    domain: DomainId,
    octets: i64,
    messages: i64,
) {
    if octets != 0 {
        tx.add(keys::usage_octets(account), octets);
        let shard = (account.0 % u64::from(keys::USAGE_SHARDS)) as u8;
        tx.add(keys::domain_usage(domain, shard), octets);
    }
    if messages != 0 {
        tx.add(keys::usage_messages(account), messages);
    }
}

/// Tells the readers of the outbox what changed.
pub(super) fn write_outbox(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
    from: ModSeq,
    to: ModSeq,
) {
    let (key, offset) = keys::outbox(account, mailbox);
    let mut value = vec![1];
    super::varint::put(&mut value, from.0);
    super::varint::put(&mut value, to.0);
    tx.set_versionstamped_key(key, offset, value);
}
