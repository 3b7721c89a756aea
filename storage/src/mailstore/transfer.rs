//! COPY and MOVE. A copy is not seen in part (RFC 9051 §6.4.7): one transaction, or a hidden block where
//! that would be too large. A move is atomic for each message (RFC 6851 §3.3), and runs in batches.

use bytes::Bytes;

use super::block::Block;
use super::edit::{Gone, MailboxEdit, Pushes, note_purge};
use super::flag_table::{KeywordTable, StoredFlags};
use super::pick::{Pick, read_summaries};
use super::store::Room;
use super::stored::StoredMessage;
use super::{Limits, MailStore, load};
use crate::bodies::Owner;
use crate::kv::Transaction;
use crate::limits::{ATOMIC_MESSAGES, ATOMIC_OCTETS, BATCH_OCTETS, TRANSFER_STEP_MESSAGES};
use crate::types::{AccountId, Flags, MailboxId, Timestamp, Uid, UidSet};
use crate::{Error, Result};

/// What COPYUID tells (RFC 9051 §7.1). Messages that were gone already are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// UIDVALIDITY of the mailbox that the messages came to.
    pub uid_validity: u32,
    /// Their UIDs where they came from, ascending.
    pub source: Vec<Uid>,
    /// Their UIDs where they came to, in the same order.
    pub target: Vec<Uid>,
}

/// Messages read, about to be written elsewhere.
struct Load {
    messages: Vec<(Uid, StoredMessage)>,
    summaries: Vec<Bytes>,
    keywords: Option<KeywordTable>,
}

impl Load {
    // What of a walk fits `octets`, and the rest of the walk. The records are read with a conflict, so that
    // nothing that they hold can go before the commit.
    async fn read<'a>(
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        pick: Pick<'a>,
        (most_messages, most_octets): (usize, usize),
    ) -> Result<(Self, Option<Pick<'a>>)> {
        let (values, mut rest) = pick.read(tx, most_messages, false).await?;
        let mut messages = Vec::with_capacity(values.len());
        for (uid, value) in values {
            messages.push((uid, StoredMessage::decode(&value)?));
        }
        let uids = messages.iter().map(|(uid, _)| *uid).collect();
        let summaries = read_summaries(tx, (account, mailbox), &uids, most_octets).await?;
        if summaries.len() < messages.len() {
            messages.truncate(summaries.len());
            rest = messages.last().map(|(uid, _)| pick.after(*uid));
        }
        let tagged = messages.iter().any(|(_, message)| !message.flags.keywords.is_empty());
        let keywords = if tagged { Some(load::read_keywords(tx, account, mailbox).await?) } else { None };
        Ok((Self { messages, summaries, keywords }, rest))
    }

    fn flags(&self, stored: &StoredFlags) -> Flags {
        match &self.keywords {
            Some(table) => table.flags(stored),
            None => Flags { system: stored.system, ..Flags::default() },
        }
    }
}

impl MailStore {
    /// Copies those messages of `uids` that exist, all at once. `NotFound`, `OverQuota`, `TooLarge` (keywords).
    pub async fn copy(
        &self,
        account: AccountId,
        (from, to): (MailboxId, MailboxId),
        uids: &UidSet,
        limits: Limits,
    ) -> Result<Copied> {
        let last = self.status(account, from).await?.uid_next - 1;
        let pick = Pick::new(account, from, uids, last);
        let turn = self.inner.locks.turn(account, to).await;
        let copy = async |tx: &mut Transaction| self.copy_in(tx, (account, from, to), pick, limits).await;
        match self.commit_once(&[(account, to)], copy).await {
            Err(Error::TooLarge(why)) if why == TOO_MANY => {}
            copied => return copied,
        }
        drop(turn);
        self.copy_block((account, from, to), pick, limits).await
    }

    async fn copy_in(
        &self,
        tx: &mut Transaction,
        (account, from, to): (AccountId, MailboxId, MailboxId),
        pick: Pick<'_>,
        limits: Limits,
    ) -> Result<(Copied, Pushes)> {
        let domain = self.domain(tx, account).await?;
        let mut edit = MailboxEdit::begin(tx, account, to).await?;
        let (load, rest) = Load::read(tx, (account, from), pick, (ATOMIC_MESSAGES, ATOMIC_OCTETS)).await?;
        if rest.is_some() {
            return Err(Error::TooLarge(TOO_MANY.into()));
        }
        let octets = load.messages.iter().map(|(_, message)| message.size_octets).sum();
        Room::read(tx, account, domain, limits).await?.take(octets)?;
        let mut copied = Copied { uid_validity: edit.counters.uid_validity, ..Copied::default() };
        let now = Timestamp::now();
        for ((uid, message), summary) in load.messages.iter().zip(&load.summaries) {
            copied.source.push(*uid);
            copied.target.push(self.copy_one(tx, &mut edit, (&load, message, summary), now).await?);
        }
        Ok((copied, edit.finish(tx, domain).into_iter().collect()))
    }

    async fn copy_one(
        &self,
        tx: &mut Transaction,
        edit: &mut MailboxEdit,
        (load, message, summary): (&Load, &StoredMessage, &Bytes),
        now: Timestamp,
    ) -> Result<Uid> {
        let flags = edit.store_flags(tx, &load.flags(&message.flags)).await?;
        let owner = Owner::Message { account: edit.account, mailbox: edit.mailbox, uid: edit.next_uid()? };
        self.inner.bodies.add_reference(tx, message.body, owner);
        edit.insert(tx, StoredMessage { flags, save_date: now, ..message.clone() }, summary.clone())
    }

    async fn copy_block(
        &self,
        (account, from, to): (AccountId, MailboxId, MailboxId),
        pick: Pick<'_>,
        limits: Limits,
    ) -> Result<Copied> {
        let _turn = self.inner.block_locks.turn(account, to).await;
        let source = self.status(account, from).await?;
        let mut block = self.reserve_block(account, to, source.messages as usize).await?;
        let first = block.first_uid();
        let mut copied = Copied::default();
        let filled = self.fill_from(&mut block, (account, from), pick, &mut copied.source).await;
        copied.uid_validity = self.end_block(block, filled, limits).await?;
        copied.target = (first..).take(copied.source.len()).filter_map(Uid::new).collect();
        Ok(copied)
    }

    async fn fill_from(
        &self,
        block: &mut Block,
        (account, from): (AccountId, MailboxId),
        pick: Pick<'_>,
        source: &mut Vec<Uid>,
    ) -> Result<()> {
        let (now, mut pick) = (Timestamp::now(), Some(pick));
        while let Some(next) = pick {
            let part = &*block;
            let fill = async |tx: &mut Transaction| {
                let mut batch = part.batch(tx).await?;
                let step = (TRANSFER_STEP_MESSAGES, BATCH_OCTETS);
                let (load, rest) = Load::read(tx, (account, from), next, step).await?;
                let (account, mailbox) = part.place();
                for ((_, message), summary) in load.messages.iter().zip(&load.summaries) {
                    let flags = batch.store_flags(tx, &load.flags(&message.flags)).await?;
                    let owner = Owner::Message { account, mailbox, uid: batch.next_uid() };
                    self.inner.bodies.add_reference(tx, message.body, owner);
                    batch.put(
                        tx,
                        StoredMessage { flags, save_date: now, ..message.clone() },
                        summary.clone(),
                    );
                }
                batch.save(tx);
                let uids: Vec<_> = load.messages.iter().map(|(uid, _)| *uid).collect();
                Ok((batch, uids, rest))
            };
            let (batch, uids, rest) = self.once(fill).await?;
            block.accept(batch);
            source.extend(uids);
            pick = rest;
        }
        Ok(())
    }

    /// Moves those messages of `uids` that exist. Each is in one of the two mailboxes at any moment, never in
    /// both or none. `NotFound`, `TooLarge` (keywords).
    pub async fn move_messages(
        &self,
        account: AccountId,
        (from, to): (MailboxId, MailboxId),
        uids: &UidSet,
    ) -> Result<Copied> {
        let last = self.status(account, from).await?.uid_next - 1;
        let mut copied =
            Copied { uid_validity: self.status(account, to).await?.uid_validity, ..Copied::default() };
        let mut pick = Some(Pick::new(account, from, uids, last));
        let scope = [(account, from), (account, to)];
        while let Some(next) = pick {
            let _turns = self.inner.locks.turns(account, from, to).await;
            let step = async |tx: &mut Transaction| self.move_some(tx, (account, from, to), next).await;
            let (part, rest) = self.commit_once(&scope, step).await?;
            copied.source.extend(part.source);
            copied.target.extend(part.target);
            pick = rest;
        }
        Ok(copied)
    }

    async fn move_some<'a>(
        &self,
        tx: &mut Transaction,
        (account, from, to): (AccountId, MailboxId, MailboxId),
        pick: Pick<'a>,
    ) -> Result<((Copied, Option<Pick<'a>>), Pushes)> {
        let domain = self.domain(tx, account).await?;
        let mut source = MailboxEdit::begin(tx, account, from).await?;
        // A mailbox that moves to itself is one mailbox.
        let mut target = if from == to { None } else { Some(MailboxEdit::begin(tx, account, to).await?) };
        let step = (TRANSFER_STEP_MESSAGES, BATCH_OCTETS);
        let (load, rest) = Load::read(tx, (account, from), pick, step).await?;
        let mut copied = Copied::default();
        let (now, gone) = (Timestamp::now(), Gone { at: tx.now().await?, moved: true });
        for ((uid, message), summary) in load.messages.iter().zip(&load.summaries) {
            let into = target.as_mut().unwrap_or(&mut source);
            copied.target.push(self.copy_one(tx, into, (&load, message, summary), now).await?);
            copied.source.push(*uid);
            source.expunge(tx, self, (*uid, message.clone()), gone);
        }
        if !copied.source.is_empty() {
            note_purge(tx, account, from, gone.at);
        }
        let mut pushes: Pushes = source.finish(tx, domain).into_iter().collect();
        pushes.extend(target.and_then(|target| target.finish(tx, domain)));
        Ok(((copied, rest), pushes))
    }
}

const TOO_MANY: &str = "more messages than one transaction copies";
