//! Mailboxes as things with names: create, rename, delete, subscribe, list. Names and roles stand in
//! other keys than counters, so that a delivery and a LIST never meet.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::edit::{add_usage, write_outbox};
use super::keys::{self, Work};
use super::store::read_account;
use super::stored::{AccountRecord, CountersRecord, MailboxRecord};
use super::{Counters, MailStore, MailboxName, SpecialUse, varint};
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::{MAILBOXES_PER_ACCOUNT, SUBSCRIPTIONS_PER_ACCOUNT};
use crate::types::{AccountId, DomainId, MailboxId, ModSeq, OperationId, Timestamp};
use crate::{Error, Result};

/// A mailbox, as LIST tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// What stays when it is renamed (MAILBOXID, RFC 8474).
    pub id: MailboxId,
    /// Its full name.
    pub name: MailboxName,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// Whether its name is subscribed.
    pub subscribed: bool,
}

const SNAPSHOT_READ: RangeOptions = RangeOptions { limit: None, reverse: false, snapshot: true };

fn exists() -> Error {
    Error::Exists("mailbox".into())
}

fn not_found() -> Error {
    Error::NotFound("mailbox".into())
}

impl MailStore {
    /// Writes a new account with INBOX and the standard mailboxes, all subscribed. `account` must never have
    /// been used before.
    pub fn create_account(&self, tx: &mut Transaction, account: AccountId, domain: DomainId) {
        let mut record = AccountRecord { domain, next_mailbox: 1, last_uid_validity: 0, deleted: false };
        let standard = SpecialUse::STANDARD.into_iter().map(|(name, special)| (name, Some(special)));
        for (name, special_use) in [("INBOX", None)].into_iter().chain(standard) {
            let name: MailboxName = name.parse().expect("a standard name is valid");
            tx.set(keys::subscription(account, &name), Bytes::new());
            write_new(tx, account, &mut record, name, special_use);
        }
        tx.set(keys::account(account), record.encode());
    }

    /// As [`MailStore::create_account`], in a transaction of its own. `Exists` if the account was used before.
    pub async fn add_account(&self, account: AccountId, domain: DomainId) -> Result<()> {
        self.add_accounts(&[(account, domain)]).await
    }

    /// As [`MailStore::add_account`], of all of them or none. They are some two kilobytes each: a few hundred fit.
    pub async fn add_accounts(&self, accounts: &[(AccountId, DomainId)]) -> Result<()> {
        let add = async |tx: &mut Transaction| {
            for (account, domain) in accounts {
                if tx.get(&keys::account(*account)).await?.is_some() {
                    return Err(Error::Exists("account".into()));
                }
                self.create_account(tx, *account, *domain);
            }
            Ok(())
        };
        self.inner.db.run_once(OperationId::random(), add).await
    }

    /// Makes all of the account inaccessible at once; workers then remove it. `NotFound`.
    pub async fn delete_account(&self, account: AccountId) -> Result<()> {
        let delete = async |tx: &mut Transaction| {
            let mut record = read_account(tx, account).await?;
            record.deleted = true;
            let mailboxes = tx.range(keys::mailboxes(account), RangeOptions::default()).collect().await?;
            tx.set(keys::account(account), record.encode());
            // Read with a conflict: what deliveries under way add must not stay behind.
            let usage = tx.get(&keys::usage_octets(account)).await?;
            let octets =
                usage.and_then(|value| value.first_chunk().map(|octets| i64::from_le_bytes(*octets)));
            add_usage(tx, account, record.domain, -octets.unwrap_or(0), 0);
            tx.clear_range(keys::all_of_account(subspace::COUNTERS, account));
            tx.clear_range(keys::all_of_account(subspace::MAILBOX_NAME, account));
            tx.set(Work::Erase { account }.key(), Bytes::new());
            mailboxes.iter().map(|(key, _)| keys::mailbox_of(key)).collect::<Result<Vec<_>>>()
        };
        let mailboxes = self.once(delete).await?;
        mailboxes.into_iter().for_each(|mailbox| self.inner.views.gone(account, mailbox));
        Ok(())
    }

    /// All mailboxes by name. `NotFound` if there is no such account.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>> {
        let mut tx = self.inner.db.begin();
        let records = tx.range(keys::mailboxes(account), SNAPSHOT_READ).collect().await?;
        if records.is_empty() {
            read_account(&mut tx, account).await?;
        }
        let subscribed: HashSet<_> = read_subscriptions(&mut tx, account).await?.into_iter().collect();
        let mut mailboxes = Vec::with_capacity(records.len());
        for (key, value) in records {
            let record = MailboxRecord::decode(&value)?;
            if record.deleted.is_none() {
                let subscribed = subscribed.contains(&record.name);
                mailboxes.push(record.listed(keys::mailbox_of(&key)?, subscribed));
            }
        }
        mailboxes.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(mailboxes)
    }

    /// Every subscribed name, in order; a mailbox of that name need not exist (RFC 9051 §6.3.7).
    pub async fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        read_subscriptions(&mut self.inner.db.begin(), account).await
    }

    /// The mailbox of that name. `NotFound`.
    pub async fn mailbox(&self, account: AccountId, name: &MailboxName) -> Result<Mailbox> {
        let mut tx = self.inner.db.begin();
        let (id, record) = find(&mut tx, account, name).await?.ok_or_else(not_found)?;
        let subscribed = tx.get_snapshot(&keys::subscription(account, name)).await?.is_some();
        Ok(record.listed(id, subscribed))
    }

    /// Creates a mailbox, and every missing one above it (RFC 9051 §6.3.4). `Exists`, `NotFound` (account),
    /// `TooLarge` (too many).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Mailbox> {
        let create = async |tx: &mut Transaction| {
            let mut record = read_account(tx, account).await?;
            if tx.get(&keys::name(account, name)).await?.is_some() {
                return Err(exists());
            }
            create_superiors(tx, account, &mut record, name).await?;
            let mut mailbox = write_new(tx, account, &mut record, name.clone(), special_use);
            // A name may be subscribed before it exists.
            mailbox.subscribed = tx.get_snapshot(&keys::subscription(account, name)).await?.is_some();
            check_count(tx, account).await?;
            tx.set(keys::account(account), record.encode());
            Ok(mailbox)
        };
        self.once(create).await
    }

    /// Gives a mailbox and all below it another name; missing ones above the new name are created. INBOX is
    /// another matter (RFC 9051 §6.3.6): its messages go to a new mailbox of that name, and INBOX is empty.
    /// `NotFound`, `Exists`, `Invalid` (into itself, or a bound passed).
    pub async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<()> {
        if to.is_inferior_to(from) && !from.is_inbox() {
            return Err(Error::Invalid("a mailbox cannot move below itself".into()));
        }
        if from.is_inbox() {
            return self.rename_inbox(account, to).await;
        }
        let rename = async |tx: &mut Transaction| {
            let mut record = read_account(tx, account).await?;
            if tx.get(&keys::name(account, to)).await?.is_some() {
                return Err(exists());
            }
            let moving = hierarchy(tx, account, from).await?;
            if !moving.iter().any(|(_, mailbox)| mailbox.name == *from) {
                return Err(not_found());
            }
            create_superiors(tx, account, &mut record, to).await?;
            for (id, mut mailbox) in moving {
                let name = mailbox.name.renamed(from, to)?;
                if tx.get(&keys::name(account, &name)).await?.is_some() {
                    return Err(exists());
                }
                tx.clear(keys::name(account, &mailbox.name));
                tx.set(keys::name(account, &name), id.0.to_be_bytes().to_vec());
                // UIDVALIDITY stays (RFC 9051 §6.3.6). No other mailbox of the account ever had it, so name and
                // UIDVALIDITY together never named other messages.
                mailbox.name = name;
                tx.set(keys::mailbox(account, id), mailbox.encode());
            }
            check_count(tx, account).await?;
            tx.set(keys::account(account), record.encode());
            Ok(())
        };
        self.once(rename).await
    }

    // The mailbox's id, and all under it, goes to the new name; INBOX gets a new id, but goes on counting, so
    // that its UIDVALIDITY need not change.
    async fn rename_inbox(&self, account: AccountId, to: &MailboxName) -> Result<()> {
        let inbox = MailboxName::inbox();
        let old = self.mailbox(account, &inbox).await?.id;
        let _turn = self.inner.locks.turn(account, old).await;
        let rename = async |tx: &mut Transaction| {
            let mut record = read_account(tx, account).await?;
            let (id, mut renamed) = find(tx, account, &inbox).await?.ok_or_else(not_found)?;
            if tx.get(&keys::name(account, to)).await?.is_some() {
                return Err(exists());
            }
            create_superiors(tx, account, &mut record, to).await?;
            let key = keys::counters(account, id);
            let mut moved = CountersRecord::decode(&tx.get(&key).await?.ok_or_else(not_found)?)?;
            let created = write_new(tx, account, &mut record, inbox.clone(), None);
            let validity = created.uid_validity;
            let mut fresh = Counters::new(moved.counters.uid_validity);
            fresh.uid_next = moved.counters.uid_next;
            fresh.highest_modseq = ModSeq(moved.counters.highest_modseq.0 + 1);
            let fresh = CountersRecord { counters: fresh, reservation: None };
            tx.set(keys::counters(account, created.id), fresh.encode());
            // The new INBOX's change log begins here.
            let low_water = fresh.counters.highest_modseq.0.to_le_bytes().to_vec();
            tx.set(keys::low_water(account, created.id), low_water);
            let record_of_inbox = MailboxRecord { uid_validity: renamed.uid_validity, ..renamed.clone() };
            tx.set(keys::mailbox(account, created.id), record_of_inbox.encode());
            moved.counters.uid_validity = validity;
            tx.set(key, moved.encode());
            renamed.name = to.clone();
            renamed.uid_validity = validity;
            tx.set(keys::mailbox(account, id), renamed.encode());
            tx.set(keys::name(account, to), id.0.to_be_bytes().to_vec());
            check_count(tx, account).await?;
            tx.set(keys::account(account), record.encode());
            Ok(id)
        };
        let renamed = self.once(rename).await;
        // Its view knows it by another UIDVALIDITY: who has it selected must select again.
        self.end_view(account, (old, &renamed));
        renamed.map(|_| ())
    }

    /// Deletes a mailbox; those below it stay. Its messages are out of sight at once, no longer count, and are
    /// kept for restore as expunged ones are. `NotFound`, `Invalid` (INBOX).
    pub async fn delete_mailbox(&self, account: AccountId, name: &MailboxName) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Invalid("INBOX cannot be deleted".into()));
        }
        let id = self.mailbox(account, name).await?.id;
        let _turn = self.inner.locks.turn(account, id).await;
        let delete = async |tx: &mut Transaction| {
            let domain = read_account(tx, account).await?.domain;
            let (id, mut record) = find(tx, account, name).await?.ok_or_else(not_found)?;
            let key = keys::counters(account, id);
            let counters = CountersRecord::decode(&tx.get(&key).await?.ok_or_else(not_found)?)?.counters;
            record.deleted = Some(tx.now().await?);
            tx.set(keys::mailbox(account, id), record.encode());
            tx.clear(keys::name(account, name));
            tx.clear(key);
            tx.clear(Work::Block { account, mailbox: id }.key());
            tx.set(Work::Drain { account, mailbox: id }.key(), Bytes::new());
            let (octets, messages) = (counters.size_octets as i64, i64::from(counters.messages));
            add_usage(tx, account, domain, -octets, -messages);
            let modseq = counters.highest_modseq;
            write_outbox(tx, account, id, modseq, ModSeq(modseq.0 + 1));
            Ok(id)
        };
        let deleted = self.once(delete).await;
        self.end_view(account, (id, &deleted));
        deleted.map(|_| ())
    }

    // Of the mailbox that a commit has made another, or of the one that it was to, if nobody knows.
    fn end_view(&self, account: AccountId, (meant, made): (MailboxId, &Result<MailboxId>)) {
        match made {
            Ok(mailbox) => self.inner.views.gone(account, *mailbox),
            Err(Error::CommitUnknown) => self.inner.views.gone(account, meant),
            Err(_) => {}
        }
    }

    /// Subscribes a name or ends its subscription. `TooLarge` when there are too many.
    pub async fn set_subscribed(
        &self,
        account: AccountId,
        name: &MailboxName,
        subscribed: bool,
    ) -> Result<()> {
        let set = async |tx: &mut Transaction| {
            read_account(tx, account).await?;
            let key = keys::subscription(account, name);
            if tx.get(&key).await?.is_some() == subscribed {
                return Ok(());
            }
            if !subscribed {
                tx.clear(key);
                return Ok(());
            }
            tx.set(key, Bytes::new());
            let count = count(tx, keys::subscriptions(account), SUBSCRIPTIONS_PER_ACCOUNT).await?;
            bounded(count, SUBSCRIPTIONS_PER_ACCOUNT, "subscriptions")
        };
        self.inner.db.run_repeatable(set).await
    }
}

impl MailboxRecord {
    fn listed(self, id: MailboxId, subscribed: bool) -> Mailbox {
        let Self { name, special_use, uid_validity, .. } = self;
        Mailbox { id, name, special_use, uid_validity, subscribed }
    }
}

// Writes a mailbox that does not exist yet. Its UIDVALIDITY is the time, or one more than the last of the account.
fn write_new(
    tx: &mut Transaction,
    account: AccountId,
    record: &mut AccountRecord,
    name: MailboxName,
    special_use: Option<SpecialUse>,
) -> Mailbox {
    let id = MailboxId(record.next_mailbox);
    let now = u32::try_from(Timestamp::now().as_secs()).unwrap_or(0);
    let uid_validity = now.max(record.last_uid_validity.saturating_add(1));
    record.next_mailbox += 1;
    record.last_uid_validity = uid_validity;
    tx.set(keys::name(account, &name), id.0.to_be_bytes().to_vec());
    let mailbox = MailboxRecord { name, special_use, uid_validity, deleted: None };
    tx.set(keys::mailbox(account, id), mailbox.encode());
    let counters = CountersRecord { counters: Counters::new(uid_validity), reservation: None };
    tx.set(keys::counters(account, id), counters.encode());
    mailbox.listed(id, false)
}

async fn create_superiors(
    tx: &mut Transaction,
    account: AccountId,
    record: &mut AccountRecord,
    name: &MailboxName,
) -> Result<()> {
    for superior in name.superiors() {
        if tx.get(&keys::name(account, &superior)).await?.is_none() {
            write_new(tx, account, record, superior, None);
        }
    }
    Ok(())
}

async fn find(
    tx: &mut Transaction,
    account: AccountId,
    name: &MailboxName,
) -> Result<Option<(MailboxId, MailboxRecord)>> {
    let Some(id) = find_id(tx, account, name).await? else { return Ok(None) };
    let record = tx.get(&keys::mailbox(account, id)).await?.ok_or_else(varint::corrupt)?;
    Ok(Some((id, MailboxRecord::decode(&record)?)))
}

/// Which mailbox has the name.
pub(super) async fn find_id(
    tx: &mut Transaction,
    account: AccountId,
    name: &MailboxName,
) -> Result<Option<MailboxId>> {
    let Some(id) = tx.get(&keys::name(account, name)).await? else { return Ok(None) };
    Ok(Some(MailboxId(u64::from_be_bytes(*id.first_chunk().ok_or_else(varint::corrupt)?))))
}

// The mailbox of that name and all below it.
async fn hierarchy(
    tx: &mut Transaction,
    account: AccountId,
    name: &MailboxName,
) -> Result<Vec<(MailboxId, MailboxRecord)>> {
    let mut found = HashMap::new();
    let records = tx.range(keys::mailboxes(account), RangeOptions::default()).collect().await?;
    for (key, value) in records {
        let record = MailboxRecord::decode(&value)?;
        if record.deleted.is_none() && (record.name == *name || record.name.is_inferior_to(name)) {
            found.insert(keys::mailbox_of(&key)?, record);
        }
    }
    Ok(found.into_iter().collect())
}

async fn read_subscriptions(tx: &mut Transaction, account: AccountId) -> Result<Vec<MailboxName>> {
    let pairs = tx.range(keys::subscriptions(account), SNAPSHOT_READ).collect().await?;
    pairs.iter().map(|(key, _)| keys::subscription_name(key)).collect()
}

async fn check_count(tx: &mut Transaction, account: AccountId) -> Result<()> {
    let count = count(tx, keys::names(account), MAILBOXES_PER_ACCOUNT).await?;
    bounded(count, MAILBOXES_PER_ACCOUNT, "mailboxes")
}

// How many keys, up to one more than `most`.
async fn count(tx: &mut Transaction, range: KeyRange, most: usize) -> Result<usize> {
    let options = RangeOptions { limit: Some(most + 1), ..SNAPSHOT_READ };
    Ok(tx.range(range, options).collect().await?.len())
}

fn bounded(count: usize, most: usize, what: &str) -> Result<()> {
    if count > most {
        return Err(Error::TooLarge(format!("more than {most} {what}").into()));
    }
    Ok(())
}
