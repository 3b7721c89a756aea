//! INBOX behind a maildrop: how it is listed, read, and what DELE took removed.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sterna_gateway::net::ByteBudget;
use sterna_storage::mailstore::{FlagChange, MailStore, MailboxName};
use sterna_storage::types::{AccountId, Flags, MailboxId, SystemFlag, Uid, UidSet};
use sterna_storage::{Error, Result};

use super::maildrop::Maildrop;
use crate::limits::POP3_MESSAGES;
use crate::reading;

/// One account's INBOX.
#[derive(Clone)]
pub(super) struct Inbox {
    store: MailStore,
    account: AccountId,
    mailbox: MailboxId,
}

impl Inbox {
    /// Finds it, and lists the messages that it has now. Past [`POP3_MESSAGES`] the latest are left for next time.
    pub(super) async fn open(store: &MailStore, account: AccountId) -> Result<(Self, Maildrop)> {
        let inbox = store.mailbox(account, &MailboxName::inbox()).await?;
        let mut messages = Vec::new();
        let mut records = std::pin::pin!(store.records(account, inbox.id, Uid::MIN..=Uid::MAX));
        while let Some(record) = records.next().await {
            let (uid, record) = record?;
            messages.push((uid, record.size_octets));
            if messages.len() == POP3_MESSAGES {
                break;
            }
        }
        let maildrop = Maildrop::new(inbox.uid_validity, messages);
        Ok((Self { store: store.clone(), account, mailbox: inbox.id }, maildrop))
    }

    /// A message's octets, once the first of them are at hand.
    pub(super) async fn begin(
        &self,
        uid: Uid,
        budget: &ByteBudget,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let record = self.store.record(self.account, self.mailbox, uid).await?;
        let message = self.store.read(&record).await?;
        reading::begin(&message, 0..message.len(), budget).await
    }

    /// Removes messages. What an IMAP client removed already is no error: it is gone, as was asked.
    pub(super) async fn remove(&self, messages: &UidSet) -> Result<()> {
        let deleted = FlagChange::Add(Flags::system(&[SystemFlag::Deleted]));
        self.store.store_flags(self.account, self.mailbox, messages, &deleted, None).await?;
        match self.store.expunge(self.account, self.mailbox, Some(messages)).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
