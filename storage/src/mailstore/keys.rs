//! Where everything of the mail store stands. Ids and numbers are big-endian, so that a mailbox's
//! messages, summaries and changes are ranges in their order.

use bytes::Bytes;

use super::MailboxName;
use crate::Result;
use crate::kv::key::subspace;
use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::types::{AccountId, DomainId, MailboxId, ModSeq, Uid};

/// Shards of a domain's usage: many accounts add to it at once.
pub(super) const USAGE_SHARDS: u8 = 16;
/// Shards of the outbox: its readers share the work by them.
pub(super) const OUTBOX_SHARDS: u8 = 16;

fn of_account(space: u8, account: AccountId) -> KeyWriter {
    KeyWriter::new(space).u64(account.0)
}

fn of_mailbox(space: u8, account: AccountId, mailbox: MailboxId) -> KeyWriter {
    of_account(space, account).u64(mailbox.0)
}

pub(super) fn account(account: AccountId) -> Bytes {
    of_account(subspace::ACCOUNT, account).u8(0).finish()
}

pub(super) fn usage_octets(account: AccountId) -> Bytes {
    of_account(subspace::ACCOUNT, account).u8(1).finish()
}

pub(super) fn usage_messages(account: AccountId) -> Bytes {
    of_account(subspace::ACCOUNT, account).u8(2).finish()
}

pub(super) fn domain_usage(domain: DomainId, shard: u8) -> Bytes {
    KeyWriter::new(subspace::DOMAIN_USAGE).u64(domain.0).u8(shard).finish()
}

pub(super) fn domain_usages(domain: DomainId) -> KeyRange {
    KeyRange::prefix(&KeyWriter::new(subspace::DOMAIN_USAGE).u64(domain.0).finish())
}

pub(super) fn mailbox(account: AccountId, mailbox: MailboxId) -> Bytes {
    of_mailbox(subspace::MAILBOX, account, mailbox).finish()
}

pub(super) fn mailboxes(account: AccountId) -> KeyRange {
    KeyRange::prefix(&of_account(subspace::MAILBOX, account).finish())
}

pub(super) fn mailbox_of(key: &[u8]) -> Result<MailboxId> {
    let mut key = KeyReader::new(key, subspace::MAILBOX)?;
    key.u64()?;
    key.u64().map(MailboxId)
}

pub(super) fn name(account: AccountId, name: &MailboxName) -> Bytes {
    of_account(subspace::MAILBOX_NAME, account).u8(0).text(name.as_str()).finish()
}

pub(super) fn names(account: AccountId) -> KeyRange {
    KeyRange::prefix(&of_account(subspace::MAILBOX_NAME, account).u8(0).finish())
}

pub(super) fn subscription(account: AccountId, name: &MailboxName) -> Bytes {
    of_account(subspace::MAILBOX_NAME, account).u8(1).text(name.as_str()).finish()
}

pub(super) fn subscriptions(account: AccountId) -> KeyRange {
    KeyRange::prefix(&of_account(subspace::MAILBOX_NAME, account).u8(1).finish())
}

pub(super) fn subscription_name(key: &[u8]) -> Result<MailboxName> {
    let mut key = KeyReader::new(key, subspace::MAILBOX_NAME)?;
    key.u64()?;
    key.u8()?;
    key.text()?.parse().map_err(|_| super::varint::corrupt())
}

pub(super) fn counters(account: AccountId, mailbox: MailboxId) -> Bytes {
    of_mailbox(subspace::COUNTERS, account, mailbox).u8(0).finish()
}

/// The MODSEQ up to which the change log was trimmed.
pub(super) fn low_water(account: AccountId, mailbox: MailboxId) -> Bytes {
    of_mailbox(subspace::COUNTERS, account, mailbox).u8(1).finish()
}

pub(super) fn keywords(account: AccountId, mailbox: MailboxId) -> Bytes {
    of_mailbox(subspace::KEYWORD, account, mailbox).finish()
}

pub(super) fn message(account: AccountId, mailbox: MailboxId, uid: u32) -> Bytes {
    of_mailbox(subspace::MESSAGE, account, mailbox).u32(uid).finish()
}

pub(super) fn summary(account: AccountId, mailbox: MailboxId, uid: u32) -> Bytes {
    of_mailbox(subspace::SUMMARY, account, mailbox).u32(uid).finish()
}

pub(super) fn expunged(account: AccountId, mailbox: MailboxId, uid: u32) -> Bytes {
    of_mailbox(subspace::EXPUNGED, account, mailbox).u32(uid).finish()
}

/// Keys of one subspace, one mailbox, and UIDs `first` to `last`, both included.
pub(super) fn uids(space: u8, account: AccountId, mailbox: MailboxId, first: u32, last: u32) -> KeyRange {
    let begin = of_mailbox(space, account, mailbox).u32(first).finish();
    // Behind every key that starts with `last`: such a key ends there.
    KeyRange::new(begin, of_mailbox(space, account, mailbox).u32(last).u8(0).finish())
}

/// The UID that a key of [`uids`] ends in.
pub(super) fn uid_of(key: &[u8]) -> Result<Uid> {
    let octets = key.last_chunk::<4>().map_or(0, |octets| u32::from_be_bytes(*octets));
    Uid::new(octets).ok_or_else(super::varint::corrupt)
}

/// The mailbox that a key of [`uids`] names.
pub(super) fn holder_of(key: &[u8], space: u8) -> Result<MailboxId> {
    let mut key = KeyReader::new(key, space)?;
    key.u64()?;
    key.u64().map(MailboxId)
}

/// Everything of one mailbox in a subspace whose keys start with account and mailbox.
pub(super) fn all_of_mailbox(space: u8, account: AccountId, mailbox: MailboxId) -> KeyRange {
    KeyRange::prefix(&of_mailbox(space, account, mailbox).finish())
}

/// Everything of one account in a subspace whose keys start with the account.
pub(super) fn all_of_account(space: u8, account: AccountId) -> KeyRange {
    KeyRange::prefix(&of_account(space, account).finish())
}

/// How far the outline reaches.
pub(super) fn outline_head(account: AccountId, mailbox: MailboxId) -> Bytes {
    of_mailbox(subspace::OUTLINE, account, mailbox).u8(0).finish()
}

pub(super) fn outline_part(account: AccountId, mailbox: MailboxId, part: u32) -> Bytes {
    of_mailbox(subspace::OUTLINE, account, mailbox).u8(1).u32(part).finish()
}

pub(super) fn outline_parts(account: AccountId, mailbox: MailboxId) -> KeyRange {
    KeyRange::prefix(&of_mailbox(subspace::OUTLINE, account, mailbox).u8(1).finish())
}

/// The number of the part that a key of [`outline_parts`] ends in.
pub(super) fn outline_part_of(key: &[u8]) -> Result<u32> {
    key.last_chunk::<4>().map(|octets| u32::from_be_bytes(*octets)).ok_or_else(super::varint::corrupt)
}

pub(super) fn change(account: AccountId, mailbox: MailboxId, modseq: ModSeq, part: u16) -> Bytes {
    let [high, low] = part.to_be_bytes();
    of_mailbox(subspace::CHANGE, account, mailbox).u64(modseq.0).u8(high).u8(low).finish()
}

/// The changes after `since` up to `until`.
pub(super) fn changes(account: AccountId, mailbox: MailboxId, since: ModSeq, until: ModSeq) -> KeyRange {
    let at = |modseq: u64| of_mailbox(subspace::CHANGE, account, mailbox).u64(modseq).finish();
    KeyRange::new(at(since.0.saturating_add(1)), at(until.0.saturating_add(1)))
}

pub(super) fn modseq_of(key: &[u8]) -> Result<ModSeq> {
    let mut key = KeyReader::new(key, subspace::CHANGE)?;
    key.u64()?;
    key.u64()?;
    key.u64().map(ModSeq)
}

/// An outbox key, and where its versionstamp belongs.
pub(super) fn outbox(account: AccountId, mailbox: MailboxId) -> (Bytes, usize) {
    let shard = (account.0 % u64::from(OUTBOX_SHARDS)) as u8;
    let key = KeyWriter::new(subspace::OUTBOX).u8(shard).fixed(&[0; 10]).u64(account.0).u64(mailbox.0);
    (key.finish(), 2)
}

pub(super) fn outbox_shard(shard: u8) -> KeyRange {
    KeyRange::prefix(&[subspace::OUTBOX, shard])
}

/// Something that a worker has still to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Let go of what was expunged from the mailbox on that day (days since 1970) once its time is over.
    Purge { day: u32, account: AccountId, mailbox: MailboxId },
    /// Empty the deleted mailbox.
    Drain { account: AccountId, mailbox: MailboxId },
    /// Remove all of the deleted account.
    Erase { account: AccountId },
    /// A hidden block is being filled.
    Block { account: AccountId, mailbox: MailboxId },
    /// The change log has grown long.
    Trim { account: AccountId, mailbox: MailboxId },
    /// The outline has fallen behind.
    Outline { account: AccountId, mailbox: MailboxId },
}

const PURGE: u8 = 1;
const DRAIN: u8 = 2;
const ERASE: u8 = 3;
const BLOCK: u8 = 4;
const TRIM: u8 = 5;
const OUTLINE: u8 = 6;

impl Work {
    pub(super) fn key(self) -> Bytes {
        let key = KeyWriter::new(subspace::WORK);
        let of = |kind, account: AccountId, mailbox: MailboxId| key_of(kind, account).u64(mailbox.0).finish();
        match self {
            Self::Purge { day, account, mailbox } => {
                key.u8(PURGE).u32(day).u64(account.0).u64(mailbox.0).finish()
            }
            Self::Drain { account, mailbox } => of(DRAIN, account, mailbox),
            Self::Erase { account } => key_of(ERASE, account).finish(),
            Self::Block { account, mailbox } => of(BLOCK, account, mailbox),
            Self::Trim { account, mailbox } => of(TRIM, account, mailbox),
            Self::Outline { account, mailbox } => of(OUTLINE, account, mailbox),
        }
    }

    /// What is to be done when all that was expunged up to that day is to be let go.
    pub(super) fn due(day: u32) -> [KeyRange; 2] {
        let purge = KeyWriter::new(subspace::WORK).u8(PURGE);
        let after = KeyWriter::new(subspace::WORK).u8(PURGE).u32(day.saturating_add(1)).finish();
        let others = KeyWriter::new(subspace::WORK).u8(DRAIN).finish();
        let end = KeyRange::prefix(&[subspace::WORK]).end;
        [KeyRange::new(purge.finish(), after), KeyRange::new(others, end)]
    }

    pub(super) fn decode(key: &[u8]) -> Result<Self> {
        let mut key = KeyReader::new(key, subspace::WORK)?;
        let kind = key.u8()?;
        let day = if kind == PURGE { key.u32()? } else { 0 };
        let account = AccountId(key.u64()?);
        if kind == ERASE {
            return Ok(Self::Erase { account });
        }
        let mailbox = MailboxId(key.u64()?);
        match kind {
            PURGE => Ok(Self::Purge { day, account, mailbox }),
            DRAIN => Ok(Self::Drain { account, mailbox }),
            BLOCK => Ok(Self::Block { account, mailbox }),
            TRIM => Ok(Self::Trim { account, mailbox }),
            OUTLINE => Ok(Self::Outline { account, mailbox }),
            _ => Err(super::varint::corrupt()),
        }
    }
}

fn key_of(kind: u8, account: AccountId) -> KeyWriter {
    KeyWriter::new(subspace::WORK).u8(kind).u64(account.0)
}
