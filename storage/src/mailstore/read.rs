//! Reading: records, summaries, and a message's octets (prefix and body as one string).

use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};

use super::change_log;
use super::keys;
use super::load::{read_counters, read_keywords, read_low_water};
use super::stored::{ExpungedMessage, StoredMessage, decode_summary};
use super::{MailStore, MessageRecord};
use crate::bodies::{Reader, in_one_piece};
use crate::kv::key::subspace;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::{BODY_READ_AHEAD_OCTETS, LISTING_STEP_OCTETS, LISTING_STEP_RECORDS, PREFIXES_TOGETHER};
use crate::types::{AccountId, Flags, MailboxId, ModSeq, Uid, UidSet};
use crate::{Error, Result};

type Place = (AccountId, MailboxId);

impl MailStore {
    /// The record of a message, also of an expunged one that is still kept. `NotFound`.
    pub async fn record(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<MessageRecord> {
        let mut tx = self.inner.db.begin();
        let value = tx.get_snapshot(&keys::message(account, mailbox, uid.get())).await?;
        let message = match value {
            Some(value) => StoredMessage::decode(&value)?,
            None => {
                let value = tx.get_snapshot(&keys::expunged(account, mailbox, uid.get())).await?;
                ExpungedMessage::decode(&value.ok_or(Error::NotFound("message".into()))?)?.message
            }
        };
        let flags = if message.flags.keywords.is_empty() {
            Flags { system: message.flags.system, ..Flags::default() }
        } else {
            read_keywords(&mut tx, account, mailbox).await?.flags(&message.flags)
        };
        Ok(MessageRecord::new((account, mailbox, uid), &message, flags))
    }

    /// The records of the messages in a range of UIDs, ascending. Read step by step, each at its own moment.
    pub fn records(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: RangeInclusive<Uid>,
    ) -> impl Stream<Item = Result<(Uid, MessageRecord)>> + Send + 'static {
        let store = self.clone();
        let step = move |first: u32, last: u32| {
            let store = store.clone();
            async move { store.records_step((account, mailbox), first, last).await }
        };
        listing(uids, step)
    }

    async fn records_step(&self, place: Place, first: u32, last: u32) -> Result<Step<MessageRecord>> {
        let mut tx = self.inner.db.begin();
        let (pairs, next) = read_step(&mut tx, subspace::MESSAGE, place, (first, last)).await?;
        let mut table = None;
        let mut records = Vec::with_capacity(pairs.len());
        for (uid, value) in pairs {
            let message = StoredMessage::decode(&value)?;
            let mut flags = Flags { system: message.flags.system, ..Flags::default() };
            if !message.flags.keywords.is_empty() {
                if table.is_none() {
                    table = Some(read_keywords(&mut tx, place.0, place.1).await?);
                }
                flags = table.as_ref().map_or(flags, |table| table.flags(&message.flags));
            }
            records.push((uid, MessageRecord::new((place.0, place.1, uid), &message, flags)));
        }
        Ok((records, next))
    }

    /// The summaries of a range of UIDs, ascending, as they were given; empty where there was none. Those of
    /// expunged messages that are still kept are among them.
    pub fn summaries(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: RangeInclusive<Uid>,
    ) -> impl Stream<Item = Result<(Uid, Bytes)>> + Send + 'static {
        let store = self.clone();
        let step = move |first: u32, last: u32| {
            let store = store.clone();
            async move { store.summaries_step((account, mailbox), first, last).await }
        };
        listing(uids, step)
    }

    async fn summaries_step(&self, place: Place, first: u32, last: u32) -> Result<Step<Bytes>> {
        let mut tx = self.inner.db.begin();
        let (pairs, next) = read_step(&mut tx, subspace::SUMMARY, place, (first, last)).await?;
        let summary = |(uid, value): (Uid, Bytes)| Ok((uid, decode_summary(&value)?.1));
        Ok((pairs.into_iter().map(summary).collect::<Result<_>>()?, next))
    }

    /// The summary of a message as it was given, also of an expunged one that is still kept. `None` where it
    /// has none and must be derived from the body.
    pub async fn summary(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Option<Bytes>> {
        let value = self.inner.db.begin().get_snapshot(&keys::summary(account, mailbox, uid.get())).await?;
        let summary = value.map(|value| decode_summary(&value)).transpose()?.map(|(_, summary)| summary);
        Ok(summary.filter(|summary| !summary.is_empty()))
    }

    /// The message's octets: the recipient's prefix, then the body. Also of an expunged one that is still kept.
    pub async fn read(&self, record: &MessageRecord) -> Result<MessageReader> {
        let prefix = self.prefix(PrefixPlace::of(record)).await?;
        let body = self.inner.bodies.open_body(record.body).await?;
        Ok(MessageReader { prefix, body })
    }

    /// As [`Self::read`] for messages of one mailbox, best by ascending UIDs, in the order given. Short bodies are
    /// loaded ahead of their use, `ahead_octets` of them (or one) at a time. One that cannot be read is an error in
    /// its place, and the others follow.
    pub fn read_many(
        &self,
        records: &[&MessageRecord],
        ahead_octets: u64,
    ) -> impl Stream<Item = Result<MessageReader>> + Send + use<> {
        let bodies = records.iter().map(|record| record.body).collect();
        let places = records.iter().map(|record| PrefixPlace::of(record)).collect();
        let bodies = self.inner.bodies.read_many(bodies, ahead_octets);
        bodies
            .zip(self.prefixes(places))
            .map(|(body, prefix)| Ok(MessageReader { prefix: prefix?, body: body? }))
    }

    fn prefixes(&self, places: Vec<PrefixPlace>) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let state = (self.clone(), places, 0, Vec::new().into_iter());
        stream::unfold(state, |(store, places, mut at, mut ready)| async move {
            if ready.len() == 0 && at < places.len() {
                let end = places.len().min(at + PREFIXES_TOGETHER);
                ready = store.prefixes_together(&places[at..end]).await.into_iter();
                at = end;
            }
            ready.next().map(|prefix| (prefix, (store, places, at, ready)))
        })
    }

    /// Prefixes of neighbours, in one range as far as they are.
    async fn prefixes_together(&self, places: &[PrefixPlace]) -> Vec<Result<Bytes>> {
        let mut wanted = places.iter().filter(|place| place.octets > 0 && place.is_beside(&places[0]));
        let mut found = Vec::new();
        if let (Some(first), Some(last)) = (wanted.next(), wanted.next_back()) {
            let mut tx = self.inner.db.begin();
            let range = (first.uid.get(), last.uid.get());
            let read = read_step(&mut tx, subspace::SUMMARY, (first.account, first.mailbox), range).await;
            // Whatever is wrong, the single reads below find it.
            found = read.map(|(values, _)| values).unwrap_or_default();
        }
        let mut prefixes = Vec::with_capacity(places.len());
        for place in places {
            let near = found.binary_search_by_key(&place.uid, |(uid, _)| *uid);
            prefixes.push(match near {
                Ok(at) if place.is_beside(&places[0]) => place.prefix_of(&found[at].1),
                _ => self.prefix(*place).await,
            });
        }
        prefixes
    }

    async fn prefix(&self, place: PrefixPlace) -> Result<Bytes> {
        if place.octets == 0 {
            return Ok(Bytes::new());
        }
        let key = keys::summary(place.account, place.mailbox, place.uid.get());
        let value = self.inner.db.begin().get_snapshot(&key).await?;
        place.prefix_of(&value.ok_or(Error::NotFound("message".into()))?)
    }

    /// The UIDs expunged after `since` (VANISHED, RFC 7162 §3.2.6), and whether the change log reaches back so
    /// far; where it does not, every UID that is not in the mailbox may be one.
    pub async fn vanished(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        since: ModSeq,
    ) -> Result<(UidSet, bool)> {
        let mut tx = self.inner.db.begin();
        let counters = read_counters(&mut tx, account, mailbox).await?;
        let complete = read_low_water(&mut tx, account, mailbox).await? <= since;
        let range = keys::changes(account, mailbox, since, counters.highest_modseq);
        let mut entries = tx.range(range, RangeOptions { snapshot: true, ..RangeOptions::default() });
        let mut vanished = UidSet::new();
        while let Some((_, value)) = entries.next().await? {
            for change in change_log::decode(&value)?.into_iter().filter(|change| change.flags.is_none()) {
                if let Some((first, last)) = Uid::new(change.first).zip(Uid::new(change.last)) {
                    vanished.insert_range(first..=last);
                }
            }
        }
        Ok((vanished, complete))
    }
}

// What one transaction read of a listing, and where to go on.
type Step<T> = (Vec<(Uid, T)>, Option<u32>);

fn listing<T, F, Fut>(uids: RangeInclusive<Uid>, step: F) -> impl Stream<Item = Result<(Uid, T)>> + Send
where
    T: Send + 'static,
    F: Fn(u32, u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Step<T>>> + Send,
{
    let last = uids.end().get();
    let step = std::sync::Arc::new(step);
    stream::try_unfold(Some(uids.start().get()), move |first| {
        let step = std::sync::Arc::clone(&step);
        async move {
            let Some(first) = first.filter(|first| *first <= last) else { return Ok(None) };
            let (items, next) = step(first, last).await?;
            Ok::<_, Error>(Some((stream::iter(items.into_iter().map(Ok)), next)))
        }
    })
    .try_flatten()
}

// Some values of a subspace in a range of UIDs. Records at or above UIDNEXT do not exist yet.
async fn read_step(
    tx: &mut Transaction,
    space: u8,
    (account, mailbox): Place,
    (first, last): (u32, u32),
) -> Result<Step<Bytes>> {
    let last = last.min(read_counters(tx, account, mailbox).await?.uid_next - 1);
    if first > last {
        return Ok((Vec::new(), None));
    }
    let range = keys::uids(space, account, mailbox, first, last);
    let limit = Some(LISTING_STEP_RECORDS);
    let mut pairs = tx.range(range, RangeOptions { limit, reverse: false, snapshot: true });
    let (mut items, mut octets) = (Vec::new(), 0);
    while octets < LISTING_STEP_OCTETS
        && let Some((key, value)) = pairs.next().await?
    {
        octets += value.len();
        items.push((keys::uid_of(&key)?, value));
    }
    let full = items.len() == LISTING_STEP_RECORDS || octets >= LISTING_STEP_OCTETS;
    let next = items.last().filter(|_| full).map(|(uid, _)| uid.get().saturating_add(1));
    Ok((items, next))
}

/// Where a message's prefix is kept, and how long it is.
#[derive(Clone, Copy)]
struct PrefixPlace {
    account: AccountId,
    mailbox: MailboxId,
    uid: Uid,
    octets: u32,
}

impl PrefixPlace {
    fn of(record: &MessageRecord) -> Self {
        let MessageRecord { account, mailbox, uid, prefix_octets, .. } = *record;
        Self { account, mailbox, uid, octets: prefix_octets }
    }

    fn is_beside(&self, other: &Self) -> bool {
        (self.account, self.mailbox) == (other.account, other.mailbox)
    }

    /// Copied, so that it does not hold the summary beside it in memory.
    fn prefix_of(self, value: &Bytes) -> Result<Bytes> {
        let (prefix, _) = decode_summary(value)?;
        if prefix.len() != self.octets as usize {
            return Err(Error::Corrupt("prefix of another length than recorded".into()));
        }
        Ok(Bytes::copy_from_slice(&prefix))
    }
}

/// A message's octets, read in ranges.
pub struct MessageReader {
    prefix: Bytes,
    body: Reader,
}

impl MessageReader {
    /// Octets of the whole message.
    pub fn len(&self) -> u64 {
        self.prefix.len() as u64 + self.body.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recipient's own header lines: the first octets of the message.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// What follows the prefix.
    pub fn body(&self) -> &Reader {
        &self.body
    }

    /// The octets of the range as far as the message has them, in chunks of at most 64 KiB.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let (prefix, body) = self.parts(range, BODY_READ_AHEAD_OCTETS);
        stream::iter(prefix.map(Ok)).chain(body).boxed()
    }

    /// As [`Self::read`], once the first octets of the body are at hand: for who announces a length before the octets,
    /// and cannot take it back. Of the body at most so many octets are in memory ahead of their use, or 64 KiB.
    pub async fn begin(
        &self,
        range: Range<u64>,
        ahead_octets: u64,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (prefix, mut body) = self.parts(range, ahead_octets);
        let first = body.try_next().await?;
        Ok(stream::iter(prefix.into_iter().chain(first).map(Ok)).chain(body).boxed())
    }

    /// What the range has of the prefix, if anything, and of the body.
    fn parts(
        &self,
        range: Range<u64>,
        ahead_octets: u64,
    ) -> (Option<Bytes>, BoxStream<'static, Result<Bytes>>) {
        let length = self.prefix.len() as u64;
        let start = range.start.min(length);
        let prefix = self.prefix.slice(start as usize..range.end.min(length).max(start) as usize);
        let of_body = range.start.saturating_sub(length)..range.end.saturating_sub(length);
        let body = self.body.read_ahead(of_body, ahead_octets);
        (Some(prefix).filter(|prefix| !prefix.is_empty()), body)
    }

    /// The octets of the range as far as the message has them, in one piece: for ranges known to be small.
    pub async fn read_all(&self, range: Range<u64>) -> Result<Bytes> {
        in_one_piece(self.read(range)).await
    }
}
