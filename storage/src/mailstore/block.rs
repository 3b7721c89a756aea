//! Hidden blocks: very many messages that must appear at once are written at UIDs above UIDNEXT, where
//! nobody looks, in as many transactions as it takes; then one small commit moves UIDNEXT past them.
//! One block at a time per mailbox. A block that was given up is cleared by the workers.

use std::sync::Arc;

use bytes::Bytes;

use super::change_log::{self, Change};
use super::edit::{Keywords, MailboxEdit, Pushes};
use super::flag_table::StoredFlags;
use super::keys::{self, Work};
use super::store::Room;
use super::stored::{CountersRecord, Reservation, StoredMessage};
use super::{Counters, Limits, MailStore, load};
use crate::bodies::Owner;
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::{BATCH_MESSAGES, BLOCK_LIFE, BLOCK_MODSEQ_GAP, BLOCK_UID_GAP};
use crate::types::{AccountId, Flags, MailboxId, Uid};
use crate::{Error, Result};

/// A block being filled.
pub(super) struct Block {
    account: AccountId,
    mailbox: MailboxId,
    reservation: Reservation,
    // What was filled so far.
    next: u32,
    counters: Counters,
    changes: Vec<Change>,
}

/// What one transaction adds to a block.
pub(super) struct Batch {
    account: AccountId,
    mailbox: MailboxId,
    modseq: u64,
    next: u32,
    keywords: Keywords,
    added: Vec<(StoredFlags, u64)>,
}

impl Block {
    pub(super) fn place(&self) -> (AccountId, MailboxId) {
        (self.account, self.mailbox)
    }

    pub(super) fn first_uid(&self) -> u32 {
        self.reservation.first_uid
    }

    fn work(&self) -> Work {
        Work::Block { account: self.account, mailbox: self.mailbox }
    }

    /// Begins a batch. `Overloaded` once somebody has given the block up, for it took too long, or `NotFound`
    /// once the mailbox is deleted.
    pub(super) async fn batch(&self, tx: &mut Transaction) -> Result<Batch> {
        match tx.get(&self.work().key()).await? {
            Some(value) if Reservation::decode(&value)? == self.reservation => {}
            Some(_) => return Err(given_up()),
            None => return Err(Error::NotFound("mailbox".into())),
        }
        Ok(Batch {
            account: self.account,
            mailbox: self.mailbox,
            modseq: self.reservation.modseq,
            next: self.next,
            keywords: Keywords::default(),
            added: Vec::new(),
        })
    }

    /// Counts in what a batch has committed.
    pub(super) fn accept(&mut self, batch: Batch) {
        for (flags, size_octets) in batch.added {
            self.counters.add(flags.system, size_octets);
            change_log::add(&mut self.changes, self.next, Some(flags));
            self.next += 1;
        }
    }
}

impl Batch {
    pub(super) fn next_uid(&self) -> Uid {
        Uid::new(self.next).expect("a reserved UID is above 0")
    }

    pub(super) fn len(&self) -> usize {
        self.added.len()
    }

    pub(super) async fn store_flags(&mut self, tx: &mut Transaction, flags: &Flags) -> Result<StoredFlags> {
        self.keywords.store(tx, (self.account, self.mailbox), flags).await
    }

    /// Writes a message under the next UID. The body's reference is the caller's.
    pub(super) fn put(&mut self, tx: &mut Transaction, mut message: StoredMessage, summary: Bytes) {
        message.modseq = self.modseq;
        tx.set(keys::message(self.account, self.mailbox, self.next), message.encode());
        tx.set(keys::summary(self.account, self.mailbox, self.next), summary);
        self.added.push((message.flags, message.size_octets));
        self.next += 1;
    }

    /// Writes the keyword table if it grew.
    pub(super) fn save(&mut self, tx: &mut Transaction) {
        std::mem::take(&mut self.keywords).save(tx, self.account, self.mailbox);
    }
}

fn given_up() -> Error {
    Error::Overloaded("the copy took too long and was given up".into())
}

impl MailStore {
    /// Sets UIDs aside. The caller holds the mailbox's turn of `block_locks`.
    pub(super) async fn reserve_block(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: usize,
    ) -> Result<Block> {
        self.clear_stale_block(account, mailbox).await?;
        let _turn = self.inner.locks.turn(account, mailbox).await;
        let reserve = async |tx: &mut Transaction| {
            let since = tx.now().await?;
            let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
            if edit.reservation.is_some() {
                return Err(Error::Overloaded("many messages are being copied into the mailbox".into()));
            }
            let count = u32::try_from(messages).ok();
            let first_uid = edit.counters.uid_next.checked_add(BLOCK_UID_GAP);
            let fits = first_uid.zip(count).filter(|(first, count)| first.checked_add(*count + 1).is_some());
            let (first_uid, count) = fits.ok_or(Error::TooLarge("no UIDs are left".into()))?;
            let modseq = edit.counters.highest_modseq.0 + BLOCK_MODSEQ_GAP;
            let owner = self.inner.incarnation;
            let reservation = Reservation { first_uid, count, modseq, owner, since };
            edit.reservation = Some(reservation);
            edit.touch();
            tx.set(Work::Block { account, mailbox }.key(), reservation.encode());
            let counters = Counters::new(edit.counters.uid_validity);
            let domain = self.domain(tx, account).await?;
            edit.finish(tx, domain);
            Ok(Block { account, mailbox, reservation, next: first_uid, counters, changes: Vec::new() })
        };
        self.once(reserve).await
    }

    /// Shows the block if it was filled, else clears it. Gives the mailbox's UIDVALIDITY.
    pub(super) async fn end_block(&self, block: Block, filled: Result<()>, limits: Limits) -> Result<u32> {
        let published = match filled {
            Ok(()) => self.publish_block(&block, limits).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &published
            && let Err(clearing) = self.clear_block(block.account, block.mailbox).await
        {
            // The workers will try again.
            tracing::warn!(%error, %clearing, account = %block.account, "hidden messages are left for later");
        }
        published
    }

    async fn publish_block(&self, block: &Block, limits: Limits) -> Result<u32> {
        let (account, mailbox) = block.place();
        let _turn = self.inner.locks.turn(account, mailbox).await;
        self.commit_once(&[(account, mailbox)], async |tx| {
            let domain = self.domain(tx, account).await?;
            let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
            if edit.reservation != Some(block.reservation) {
                return Err(given_up());
            }
            Room::read(tx, account, domain, limits).await?.take(block.counters.size_octets)?;
            if block.changes.is_empty() {
                // Nothing was there any more: its UIDs are free again.
                edit.reservation = None;
                edit.touch();
            } else {
                let filled = Reservation { count: block.next - block.first_uid(), ..block.reservation };
                edit.publish(filled, block.counters, &block.changes);
            }
            tx.clear(block.work().key());
            let keywords = load::read_keywords(tx, account, mailbox).await?;
            let uid_validity = edit.counters.uid_validity;
            let mut pushes: Pushes = edit.finish(tx, domain).into_iter().collect();
            // Its batches may have added keywords, which no view has been told.
            pushes.iter_mut().for_each(|push| push.keywords = Some(Arc::new(keywords.clone())));
            Ok((uid_validity, pushes))
        })
        .await
    }

    /// Clears a block that nobody fills any more, so that another can be begun.
    pub(super) async fn clear_stale_block(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let value = self.inner.db.begin().get_snapshot(&Work::Block { account, mailbox }.key()).await?;
        let Some(reservation) = value.map(|value| Reservation::decode(&value)).transpose()? else {
            return Ok(());
        };
        let orphaned = self.inner.config.sole_node && reservation.owner != self.inner.incarnation;
        if orphaned
            || reservation.owner == 0
            || self.inner.db.now().await?.since(reservation.since) > BLOCK_LIFE
        {
            self.clear_block(account, mailbox).await?;
        }
        Ok(())
    }

    /// Gives a block up: first it can no longer be filled or shown, then its messages go, then its UIDs are free.
    pub(super) async fn clear_block(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let work = Work::Block { account, mailbox }.key();
        let disown = async |tx: &mut Transaction| {
            let Some(value) = tx.get(&work).await? else { return Ok(None) };
            let reservation = Reservation { owner: 0, ..Reservation::decode(&value)? };
            tx.set(work.clone(), reservation.encode());
            self.set_reservation(tx, (account, mailbox), Some(reservation)).await?;
            Ok(Some(reservation))
        };
        let Some(reservation) = self.once(disown).await? else { return Ok(()) };
        loop {
            let clear = async |tx: &mut Transaction| {
                let ended = self.clear_hidden(tx, (account, mailbox), reservation).await?;
                if ended {
                    tx.clear(work.clone());
                    self.set_reservation(tx, (account, mailbox), None).await?;
                }
                Ok(ended)
            };
            if self.once(clear).await? {
                return Ok(());
            }
        }
    }

    async fn set_reservation(
        &self,
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        reservation: Option<Reservation>,
    ) -> Result<()> {
        let key = keys::counters(account, mailbox);
        // Where the mailbox was deleted meanwhile there is nothing to be free of.
        if let Some(value) = tx.get(&key).await? {
            let record = CountersRecord { reservation, ..CountersRecord::decode(&value)? };
            tx.set(key, record.encode());
        }
        Ok(())
    }

    // Removes some hidden messages; true once none is left.
    async fn clear_hidden(
        &self,
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        reservation: Reservation,
    ) -> Result<bool> {
        let last = reservation.first_uid + reservation.count;
        let range = keys::uids(subspace::MESSAGE, account, mailbox, reservation.first_uid, last);
        let limit = BATCH_MESSAGES / 4;
        let options = RangeOptions { limit: Some(limit), snapshot: true, ..RangeOptions::default() };
        let messages = tx.range(range, options).collect().await?;
        for (key, value) in &messages {
            let uid = keys::uid_of(key)?;
            let body = StoredMessage::decode(value)?.body;
            self.inner.bodies.drop_reference(tx, body, Owner::Message { account, mailbox, uid });
            tx.clear(key.clone());
            tx.clear(keys::summary(account, mailbox, uid.get()));
        }
        Ok(messages.len() < limit)
    }
}
