//! APPEND: several messages are filed together or not at all, and are not seen in part.

use super::block::Block;
use super::edit::MailboxEdit;
use super::store::Room;
use super::stored::{StoredMessage, encode_summary};
use super::{Limits, MailStore, NewMessage};
use crate::Result;
use crate::bodies::Owner;
use crate::kv::Transaction;
use crate::limits::{ATOMIC_OCTETS, BATCH_MESSAGES, BATCH_OCTETS};
use crate::types::{AccountId, MailboxId, Timestamp, Uid};

/// What APPENDUID tells (RFC 9051 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// The messages' UIDs, in the order in which they were given.
    pub uids: Vec<Uid>,
}

impl MailStore {
    /// Files the messages, all or none. `NotFound`, `OverQuota`, `TooLarge`.
    pub async fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
        limits: Limits,
    ) -> Result<Appended> {
        messages.iter().try_for_each(NewMessage::check)?;
        let octets: usize = messages.iter().map(NewMessage::written_octets).sum();
        if octets > ATOMIC_OCTETS && messages.len() > 1 || messages.len() > BATCH_MESSAGES {
            return self.append_block((account, mailbox), &messages, limits).await;
        }
        let _turn = self.inner.locks.turn(account, mailbox).await;
        self.commit_once(&[(account, mailbox)], async |tx| {
            let domain = self.domain(tx, account).await?;
            let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
            let sizes = messages.iter().map(NewMessage::size_octets).sum();
            Room::read(tx, account, domain, limits).await?.take(sizes)?;
            let now = Timestamp::now();
            let mut uids = Vec::with_capacity(messages.len());
            for message in &messages {
                uids.push(self.file(tx, &mut edit, message, now).await?);
            }
            let uid_validity = edit.counters.uid_validity;
            Ok((Appended { uid_validity, uids }, edit.finish(tx, domain).into_iter().collect()))
        })
        .await
    }

    // More than one transaction takes: filled out of sight, then shown at once.
    async fn append_block(
        &self,
        (account, mailbox): (AccountId, MailboxId),
        messages: &[NewMessage],
        limits: Limits,
    ) -> Result<Appended> {
        let _turn = self.inner.block_locks.turn(account, mailbox).await;
        let mut block = self.reserve_block(account, mailbox, messages.len()).await?;
        let filled = self.fill_with(&mut block, messages).await;
        let first = block.first_uid();
        let uid_validity = self.end_block(block, filled, limits).await?;
        let uids = (first..).take(messages.len()).filter_map(Uid::new).collect();
        Ok(Appended { uid_validity, uids })
    }

    async fn fill_with(&self, block: &mut Block, mut messages: &[NewMessage]) -> Result<()> {
        let now = Timestamp::now();
        while !messages.is_empty() {
            let part = &*block;
            let batch = self
                .once(async |tx: &mut Transaction| {
                    let mut batch = part.batch(tx).await?;
                    for message in messages {
                        let flags = batch.store_flags(tx, &message.flags).await?;
                        let (account, mailbox) = part.place();
                        let owner = Owner::Message { account, mailbox, uid: batch.next_uid() };
                        self.hold_body(tx, &message.body, owner).await?;
                        let stored = StoredMessage { flags, ..StoredMessage::from_new(message, now) };
                        batch.put(tx, stored, encode_summary(&message.prefix, &message.summary));
                        if tx.written_octets() >= BATCH_OCTETS {
                            break;
                        }
                    }
                    batch.save(tx);
                    Ok(batch)
                })
                .await?;
            messages = &messages[batch.len()..];
            block.accept(batch);
        }
        Ok(())
    }
}
