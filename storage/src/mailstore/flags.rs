//! STORE: flags of one or very many messages, in batches of one commit each.

use super::edit::MailboxEdit;
use super::flag_table::StoredFlags;
use super::pick::Pick;
use super::stored::StoredMessage;
use super::{MailStore, load};
use crate::Result;
use crate::kv::Transaction;
use crate::limits::BATCH_MESSAGES;
use crate::types::{AccountId, Flags, MailboxId, ModSeq, Uid, UidSet};

/// What STORE does with flags (RFC 9051 §6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagChange {
    /// `+FLAGS`.
    Add(Flags),
    /// `-FLAGS`.
    Remove(Flags),
    /// `FLAGS`.
    Replace(Flags),
}

/// What STORE did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Messages whose flags are others than before, with their new MODSEQ, by UID.
    pub changed: Vec<(Uid, ModSeq)>,
    /// Messages that changed after the given MODSEQ and were left alone (RFC 7162 §3.1.3).
    pub failed: UidSet,
}

// A change in the mailbox's own numbers.
enum Operation {
    Add(StoredFlags),
    Remove(StoredFlags),
    Replace(StoredFlags),
}

impl Operation {
    async fn new(tx: &mut Transaction, edit: &mut MailboxEdit, change: &FlagChange) -> Result<Self> {
        Ok(match change {
            FlagChange::Add(flags) => Self::Add(edit.store_flags(tx, flags).await?),
            FlagChange::Replace(flags) => Self::Replace(edit.store_flags(tx, flags).await?),
            FlagChange::Remove(flags) if flags.keywords.is_empty() => {
                Self::Remove(StoredFlags { system: flags.system, ..StoredFlags::default() })
            }
            // A keyword that the mailbox does not know is on no message.
            FlagChange::Remove(flags) => {
                let (account, mailbox) = (edit.account, edit.mailbox);
                Self::Remove(edit.keywords.load(tx, account, mailbox).await?.known(flags))
            }
        })
    }

    fn apply(&self, flags: &StoredFlags) -> StoredFlags {
        match self {
            Self::Replace(new) => new.clone(),
            Self::Add(more) => {
                let mut keywords = flags.keywords.clone();
                keywords.extend(more.keywords.iter().copied());
                keywords.sort_unstable();
                keywords.dedup();
                StoredFlags { system: flags.system.union(more.system), keywords }
            }
            Self::Remove(less) => {
                let mut keywords = flags.keywords.clone();
                keywords.retain(|number| !less.keywords.contains(number));
                StoredFlags { system: flags.system.minus(less.system), keywords }
            }
        }
    }
}

impl MailStore {
    /// Changes flags of those messages of `uids` that exist and, if `unchanged_since` is given, did not
    /// change after it. Very many are changed in several commits; each message in one. `NotFound`; `TooLarge`
    /// when the mailbox would have too many keywords.
    #[expect(clippy::too_many_arguments, reason = "whose, where, which, what, and on what condition")]
    pub async fn store_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Stored> {
        let counters = load::read_counters(&mut self.inner.db.begin(), account, mailbox).await?;
        let mut pick = Some(Pick::new(account, mailbox, uids, counters.uid_next - 1));
        let mut stored = Stored::default();
        while let Some(next) = pick {
            let _turn = self.inner.locks.turn(account, mailbox).await;
            let (batch, rest) = self
                .commit_once(&[(account, mailbox)], async |tx: &mut Transaction| {
                    let domain = self.domain(tx, account).await?;
                    let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
                    let operation = Operation::new(tx, &mut edit, change).await?;
                    let (messages, rest) = next.read(tx, BATCH_MESSAGES, true).await?;
                    let mut batch = Stored::default();
                    for (uid, value) in messages {
                        let message = StoredMessage::decode(&value)?;
                        if unchanged_since.is_some_and(|since| message.modseq > since.0) {
                            batch.failed.insert(uid);
                            continue;
                        }
                        let flags = operation.apply(&message.flags);
                        if flags != message.flags {
                            edit.set_flags(tx, uid, message, flags);
                            batch.changed.push((uid, edit.modseq()));
                        }
                    }
                    Ok(((batch, rest), edit.finish(tx, domain).into_iter().collect()))
                })
                .await?;
            stored.changed.extend(batch.changed);
            stored.failed.extend(batch.failed.iter());
            pick = rest;
        }
        Ok(stored)
    }
}
