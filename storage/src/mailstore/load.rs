//! Reads a mailbox as a whole: by its outline and what was changed since, or by the records of its messages.

use std::sync::Arc;

use super::Counters;
use super::advance::{Changes, advance, new_table};
use super::change_log;
use super::chunk::{ChunkWriter, Columns};
use super::flag_table::{FlagTable, KeywordTable};
use super::keys;
use super::outline::{self, OutlineHead};
use super::snapshot::Snapshot;
use super::stored::{CountersRecord, StoredMessage};
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{Database, RangeOptions, Transaction};
use crate::limits::{CHANGE_LOG_COMMITS, LOAD_STEP_MESSAGES, VIEW_CATCH_UP_COMMITS};
use crate::types::{AccountId, MailboxId, ModSeq};
use crate::{Error, Result};

type Place = (AccountId, MailboxId);

const SNAPSHOT_READ: RangeOptions = RangeOptions { limit: None, reverse: false, snapshot: true };

/// The mailbox as it stands now. `NotFound`; `Overloaded` where it changes faster than it can be read.
pub(super) async fn load(db: &Database, place: Place) -> Result<Snapshot> {
    let mut tx = db.begin();
    let counters = read_counters(&mut tx, place.0, place.1).await?;
    match from_outline(&mut tx, place, counters).await {
        Ok(Some(snapshot)) => return Ok(snapshot),
        Ok(None) => {}
        Err(Error::Corrupt(reason)) => {
            tracing::warn!(%reason, account = %place.0, mailbox = %place.1, "outline is of no use");
        }
        Err(error) => return Err(error),
    }
    from_records(db, tx, place, counters).await
}

/// By the outline. `None` where there is none, or none from which the change log leads on; `Corrupt` where it is not
/// what the counters say.
pub(super) async fn from_outline(
    tx: &mut Transaction,
    place: Place,
    counters: Counters,
) -> Result<Option<Snapshot>> {
    let Some(head) = tx.get_snapshot(&keys::outline_head(place.0, place.1)).await? else { return Ok(None) };
    let OutlineHead { modseq } = OutlineHead::decode(&head)?;
    let until = counters.highest_modseq;
    let Some(changes) = read_changes(tx, place, (modseq, until), VIEW_CATCH_UP_COMMITS).await? else {
        return Ok(None);
    };
    let keywords = read_keywords(tx, place.0, place.1).await?;
    let mut reading = Reading::new(place, counters);
    let mut values = Vec::new();
    let mut parts = tx.range(keys::outline_parts(place.0, place.1), SNAPSHOT_READ);
    while let Some((key, value)) = parts.next().await? {
        values.push((keys::outline_part_of(&key)?, value));
    }
    drop(parts);
    for (part, value) in values {
        if !outline::decode(&value, part, (&mut reading.table, &keywords), &mut reading.columns)? {
            let (first, last) = outline::uids_of(part).into_inner();
            reading.records(tx, (first, last.min(counters.uid_next - 1)), None, &keywords).await?;
        }
    }
    let keywords = Arc::new(keywords);
    let base = reading.finish(counters, Arc::clone(&keywords), modseq);
    let snapshot = advance(&base, &changes, keywords, counters.uid_next, until);
    let counted = (snapshot.len(), snapshot.unseen(), snapshot.deleted());
    let is_whole = counted == (counters.messages, counters.unseen, counters.deleted)
        && snapshot.last().is_none_or(|last| last.uid.get() < counters.uid_next);
    if is_whole {
        Ok(Some(snapshot))
    } else {
        Err(Error::Corrupt("outline differs from the counters".into()))
    }
}

// In steps, each at a version of its own: what was changed between them is read from the change log.
async fn from_records(
    db: &Database,
    mut tx: Transaction,
    place: Place,
    counters: Counters,
) -> Result<Snapshot> {
    let mut reading = Reading::new(place, counters);
    let (mut first, last) = (1, counters.uid_next - 1);
    loop {
        // Later steps may meet keywords that earlier ones did not know.
        let keywords = read_keywords(&mut tx, place.0, place.1).await?;
        let limit = Some(LOAD_STEP_MESSAGES);
        let next = reading.records(&mut tx, (first, last), limit, &keywords).await?;
        let Some(next) = next else {
            let now = read_counters(&mut tx, place.0, place.1).await?;
            let keywords = Arc::new(keywords);
            let base = reading.finish(now, Arc::clone(&keywords), counters.highest_modseq);
            let until = now.highest_modseq;
            if until == counters.highest_modseq {
                return Ok(base);
            }
            let span = (counters.highest_modseq, until);
            let changes = read_changes(&mut tx, place, span, CHANGE_LOG_COMMITS).await?;
            let changes = changes
                .ok_or_else(|| Error::Overloaded("a mailbox changes faster than it can be read".into()))?;
            return Ok(advance(&base, &changes, keywords, now.uid_next, until));
        };
        first = next;
        tx = db.begin();
        tokio::task::yield_now().await;
    }
}

// What was read so far.
struct Reading {
    place: Place,
    table: FlagTable,
    columns: Columns,
}

impl Reading {
    fn new(place: Place, counters: Counters) -> Self {
        let columns = Columns::with_capacity(counters.messages as usize);
        Self { place, table: new_table(), columns }
    }

    // Appends the messages of a range of UIDs, at most so many; gives the UID to go on with if there may be more.
    async fn records(
        &mut self,
        tx: &mut Transaction,
        (first, last): (u32, u32),
        limit: Option<usize>,
        keywords: &KeywordTable,
    ) -> Result<Option<u32>> {
        let before = self.columns.len();
        let range = keys::uids(subspace::MESSAGE, self.place.0, self.place.1, first, last);
        let mut messages = tx.range(range, RangeOptions { limit, ..SNAPSHOT_READ });
        while let Some((key, value)) = messages.next().await? {
            let (flags, modseq) = StoredMessage::decode_head(&value)?;
            self.columns.push(keys::uid_of(&key)?.get(), modseq, self.table.intern(&flags, keywords));
        }
        let full = limit.is_some_and(|limit| self.columns.len() - before == limit);
        Ok(self.columns.uids.last().filter(|_| full).map(|last| last + 1))
    }

    fn finish(self, counters: Counters, keywords: Arc<KeywordTable>, modseq: ModSeq) -> Snapshot {
        let mut snapshot = Snapshot::empty(counters.uid_validity, 0);
        let chunks = ChunkWriter::cut(&self.table, &self.columns);
        snapshot.uid_next = counters.uid_next;
        snapshot.highest_modseq = modseq;
        snapshot.table = Arc::new(self.table);
        snapshot.keywords = keywords;
        snapshot.with_chunks(chunks)
    }
}

/// The changes after the first MODSEQ up to the second, or `None` where the change log does not reach back so far,
/// or has more than `most` entries since.
pub(super) async fn read_changes(
    tx: &mut Transaction,
    place: Place,
    (known, until): (ModSeq, ModSeq),
    most: usize,
) -> Result<Option<Changes>> {
    if read_low_water(tx, place.0, place.1).await? > known {
        return Ok(None);
    }
    let range = keys::changes(place.0, place.1, known, until);
    let pairs = tx.range(range, RangeOptions { limit: Some(most + 1), ..SNAPSHOT_READ }).collect().await?;
    if pairs.len() > most {
        return Ok(None);
    }
    let mut changes = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        let modseq = keys::modseq_of(key)?.0;
        changes.extend(change_log::decode(value)?.into_iter().map(|change| (modseq, change)));
    }
    Ok(Some(changes))
}

/// `NotFound` if there is no such mailbox.
pub(super) async fn read_counters(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<Counters> {
    let value = tx.get_snapshot(&keys::counters(account, mailbox)).await?;
    Ok(CountersRecord::decode(&value.ok_or(Error::NotFound("mailbox".into()))?)?.counters)
}

pub(super) async fn read_keywords(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<KeywordTable> {
    match tx.get_snapshot(&keys::keywords(account, mailbox)).await? {
        Some(value) => KeywordTable::decode(&value),
        None => Ok(KeywordTable::default()),
    }
}

/// The MODSEQ below which the change log no longer reaches.
pub(super) async fn read_low_water(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<ModSeq> {
    let value = tx.get_snapshot(&keys::low_water(account, mailbox)).await?;
    let octets = value.as_deref().and_then(|value| value.first_chunk::<8>());
    Ok(ModSeq(octets.map_or(0, |octets| u64::from_le_bytes(*octets))))
}
