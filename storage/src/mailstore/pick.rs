//! Reads the records of the messages of a set, a bounded number at a time, wherever they lie.

use bytes::Bytes;

use super::keys;
use super::stored::encode_summary;
use crate::Result;
use crate::kv::key::subspace;
use crate::kv::{RangeOptions, Transaction};
use crate::types::{AccountId, MailboxId, Uid, UidSet};

/// Where a walk through a set of messages stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a> {
    account: AccountId,
    mailbox: MailboxId,
    set: &'a UidSet,
    // Done up to here, and to end there; both included.
    after: u32,
    last: u32,
}

impl<'a> Pick<'a> {
    /// From the beginning of the set to UID `last`.
    pub(super) fn new(account: AccountId, mailbox: MailboxId, set: &'a UidSet, last: u32) -> Self {
        Self { account, mailbox, set, after: 0, last }
    }

    /// The same walk, done up to `uid`.
    pub(super) fn after(self, uid: Uid) -> Self {
        Self { after: uid.get(), ..self }
    }

    /// The `M` values of the next messages, `limit` at most, and the walk behind them; `None` at its end.
    pub(super) async fn read(
        self,
        tx: &mut Transaction,
        limit: usize,
        snapshot: bool,
    ) -> Result<(Vec<(Uid, Bytes)>, Option<Self>)> {
        let mut messages = Vec::new();
        for range in self.set.ranges() {
            let first = range.start().get().max(self.after.saturating_add(1));
            let last = range.end().get().min(self.last);
            if first > last {
                continue;
            }
            if messages.len() == limit {
                break;
            }
            let wanted = limit - messages.len();
            self.read_range(tx, (first, last), (wanted, snapshot), &mut messages).await?;
        }
        let full = messages.len() == limit;
        let rest = messages.last().filter(|_| full).map(|(uid, _)| self.after(*uid));
        Ok((messages, rest))
    }

    async fn read_range(
        self,
        tx: &mut Transaction,
        (first, last): (u32, u32),
        (limit, snapshot): (usize, bool),
        messages: &mut Vec<(Uid, Bytes)>,
    ) -> Result<()> {
        if first == last {
            let key = keys::message(self.account, self.mailbox, first);
            let value = if snapshot { tx.get_snapshot(&key).await? } else { tx.get(&key).await? };
            messages.extend(Uid::new(first).zip(value));
            return Ok(());
        }
        let range = keys::uids(subspace::MESSAGE, self.account, self.mailbox, first, last);
        let options = RangeOptions { limit: Some(limit), snapshot, ..RangeOptions::default() };
        let mut pairs = tx.range(range, options);
        while let Some((key, value)) = pairs.next().await? {
            messages.push((keys::uid_of(&key)?, value));
        }
        Ok(())
    }
}

/// The `E` values of messages that exist, in the order of their UIDs, until their octets pass `most_octets`.
pub(super) async fn read_summaries(
    tx: &mut Transaction,
    (account, mailbox): (AccountId, MailboxId),
    uids: &UidSet,
    most_octets: usize,
) -> Result<Vec<Bytes>> {
    let (mut summaries, mut octets) = (Vec::new(), 0);
    for range in uids.ranges() {
        let (mut next, last) = (range.start().get(), range.end().get());
        let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
        let mut pairs = tx.range(keys::uids(subspace::SUMMARY, account, mailbox, next, last), options);
        while next <= last && octets < most_octets {
            let Some((key, value)) = pairs.next().await? else { break };
            let uid = keys::uid_of(&key)?.get();
            // A message always has its summary; if one were missing, it must not shift the others.
            (next..uid).for_each(|_| summaries.push(encode_summary(&[], &[])));
            octets += value.len();
            summaries.push(value);
            next = uid + 1;
        }
        if octets >= most_octets {
            break;
        }
        (next..=last).for_each(|_| summaries.push(encode_summary(&[], &[])));
    }
    Ok(summaries)
}
