//! Messages as callers hand them in and get them back.

use bytes::Bytes;

use super::stored::StoredMessage;
use crate::bodies::Staged;
use crate::limits::{PREFIX_OCTETS, SUMMARY_OCTETS};
use crate::types::{AccountId, BodyId, Flags, MailboxId, ModSeq, Timestamp, Uid};
use crate::{Error, Result};

/// A body that is committed already. Whoever hands it on holds a reference to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRef {
    /// Which one.
    pub id: BodyId,
    /// Its octets.
    pub size: u64,
}

/// The octets of a message to be filed.
#[derive(Debug, Clone)]
pub enum Body {
    /// Taken in, and to be committed with the message.
    Staged(Staged),
    /// Committed already, shared from now on.
    Shared(BodyRef),
}

impl Body {
    /// Which body.
    pub fn id(&self) -> BodyId {
        match self {
            Self::Staged(staged) => staged.id,
            Self::Shared(body) => body.id,
        }
    }

    /// Its octets.
    pub fn size(&self) -> u64 {
        match self {
            Self::Staged(staged) => staged.size,
            Self::Shared(body) => body.size,
        }
    }

    pub(super) fn staged_octets(&self) -> usize {
        match self {
            Self::Staged(staged) => staged.staged_octets(),
            Self::Shared(_) => 0,
        }
    }
}

impl From<Staged> for Body {
    fn from(staged: Staged) -> Self {
        Self::Staged(staged)
    }
}

impl From<BodyRef> for Body {
    fn from(body: BodyRef) -> Self {
        Self::Shared(body)
    }
}

/// A message to be filed.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// What all recipients share.
    pub body: Body,
    /// Header lines of this recipient alone, before the body; counted in the message's size. At most
    /// [`PREFIX_OCTETS`].
    pub prefix: Bytes,
    /// What readers want without the body, opaque here; empty if it would be longer than [`SUMMARY_OCTETS`].
    pub summary: Bytes,
    /// Its first flags.
    pub flags: Flags,
    /// INTERNALDATE (RFC 9051 §2.3.3).
    pub internal_date: Timestamp,
}

impl NewMessage {
    /// Octets of the whole message.
    pub fn size_octets(&self) -> u64 {
        self.prefix.len() as u64 + self.body.size()
    }

    /// About what it adds to a transaction.
    pub(super) fn written_octets(&self) -> usize {
        const RECORDS: usize = 400;
        RECORDS + self.prefix.len() + self.summary.len() + self.body.staged_octets()
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.prefix.len() > PREFIX_OCTETS {
            return Err(Error::TooLarge(format!("prefix of {} octets", self.prefix.len()).into()));
        }
        if self.summary.len() > SUMMARY_OCTETS {
            return Err(Error::TooLarge(format!("summary of {} octets", self.summary.len()).into()));
        }
        Ok(())
    }
}

/// A message that is filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Whose it is.
    pub account: AccountId,
    /// The mailbox that it is or was in.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
    /// Its flags; of an expunged one the last it had.
    pub flags: Flags,
    /// When it last changed.
    pub modseq: ModSeq,
    /// INTERNALDATE (RFC 9051 §2.3.3).
    pub internal_date: Timestamp,
    /// When it came into this mailbox (RFC 8514).
    pub save_date: Timestamp,
    /// Octets of prefix and body together (RFC822.SIZE).
    pub size_octets: u64,
    /// Octets of the recipient's own header lines before the body.
    pub prefix_octets: u32,
    /// The body. Also what stays the same in every copy (EMAILID, RFC 8474).
    pub body: BodyId,
}

impl MessageRecord {
    pub(super) fn new(
        (account, mailbox, uid): (AccountId, MailboxId, Uid),
        message: &StoredMessage,
        flags: Flags,
    ) -> Self {
        Self {
            account,
            mailbox,
            uid,
            flags,
            modseq: ModSeq(message.modseq),
            internal_date: message.internal_date,
            save_date: message.save_date,
            size_octets: message.size_octets,
            prefix_octets: message.prefix_octets,
            body: message.body,
        }
    }
}
