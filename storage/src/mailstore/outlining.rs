//! Renews the outlines of mailboxes, behind the callers' backs: as of one moment, part by part where that differs
//! from what is stored, and the head last.

use bytes::Bytes;
use std::collections::BTreeMap;

use super::keys::{self, Work};
use super::load::{load, read_counters};
use super::outline::{self, OutlineHead};
use super::store::read_account;
use super::stored::MailboxRecord;
use super::{Counters, MailStore};
use crate::kv::record::Record;
use crate::kv::{RangeOptions, Transaction};
use crate::limits::{
    OUTLINE_BEHIND_COMMITS, OUTLINE_MESSAGES, OUTLINE_MESSAGES_A_COMMIT, OUTLINE_STEP_PARTS,
};
use crate::types::{AccountId, MailboxId};
use crate::{Error, Result};

type Place = (AccountId, MailboxId);

impl MailStore {
    /// Brings an outline up to date if it has fallen behind far enough, and ends the work. Gives false where it is
    /// left for the next time.
    pub(super) async fn renew_outline(&self, work: Work, place: Place) -> Result<bool> {
        let mut tx = self.inner.db.begin();
        let known = tx.get_snapshot(&keys::outline_head(place.0, place.1)).await?;
        let counters = read_counters(&mut tx, place.0, place.1).await;
        drop(tx);
        let renewed = match counters {
            Ok(counters) if is_due(known.as_deref(), counters) => self.write_outline(place, known).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(()) => {}
            // Deleted meanwhile: those who empty it remove the outline too.
            Err(Error::NotFound(_)) => {}
            Err(Error::Exists(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let done = async |tx: &mut Transaction| {
            tx.clear(work.key());
            Ok(())
        };
        self.inner.db.run(done).await.map(|()| true)
    }

    // `Exists` if another node renews it at the same time.
    pub(super) async fn write_outline(&self, place: Place, known: Option<Bytes>) -> Result<()> {
        let snapshot = load(&self.inner.db, place).await?;
        let stored = self.stored_parts(place).await?;
        let mut stored: BTreeMap<_, _> = stored.into_iter().collect();
        let mut writes = Vec::new();
        for (part, value) in outline::parts(&snapshot) {
            if stored.remove(&part).as_ref() != Some(&value) {
                writes.push((keys::outline_part(place.0, place.1, part), Some(value)));
            }
            // A mailbox of millions would hold its thread.
            tokio::task::coop::consume_budget().await;
        }
        // Ascending, so that at any time only the newest messages may be missing: reading on adds them.
        writes.extend(stored.into_keys().map(|part| (keys::outline_part(place.0, place.1, part), None)));
        let head = OutlineHead { modseq: snapshot.highest_modseq }.encode();
        let mut steps = writes.chunks(OUTLINE_STEP_PARTS).peekable();
        loop {
            let step = steps.next().unwrap_or_default();
            let head = steps.peek().is_none().then_some(&head);
            let write = async |tx: &mut Transaction| {
                check_standing(tx, place, known.as_ref()).await?;
                for (key, value) in step {
                    match value {
                        Some(value) => tx.set(key.clone(), value.clone()),
                        None => tx.clear(key.clone()),
                    }
                }
                if let Some(head) = head {
                    tx.set(keys::outline_head(place.0, place.1), head.clone());
                }
                Ok(())
            };
            self.inner.db.run(write).await?;
            if head.is_some() {
                return Ok(());
            }
        }
    }

    async fn stored_parts(&self, place: Place) -> Result<Vec<(u32, Bytes)>> {
        let mut tx = self.inner.db.begin();
        let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
        let pairs = tx.range(keys::outline_parts(place.0, place.1), options).collect().await?;
        pairs.into_iter().map(|(key, value)| Ok((keys::outline_part_of(&key)?, value))).collect()
    }
}

// Whether what a reader would have to read on from an outline is worth writing it anew.
fn is_due(head: Option<&[u8]>, counters: Counters) -> bool {
    if counters.messages < OUTLINE_MESSAGES {
        return false;
    }
    let Some(Ok(OutlineHead { modseq })) = head.map(OutlineHead::decode) else { return true };
    let behind = counters.highest_modseq.0.saturating_sub(modseq.0);
    let wanted = u64::from(counters.messages) / OUTLINE_MESSAGES_A_COMMIT;
    behind >= wanted.clamp(1, OUTLINE_BEHIND_COMMITS)
}

// Conflicts with whoever deletes mailbox or account, and with other writers of the outline.
async fn check_standing(tx: &mut Transaction, place: Place, known: Option<&Bytes>) -> Result<()> {
    read_account(tx, place.0).await?;
    let record = tx.get(&keys::mailbox(place.0, place.1)).await?;
    let record = MailboxRecord::decode(&record.ok_or(Error::NotFound("mailbox".into()))?)?;
    if record.deleted.is_some() {
        return Err(Error::NotFound("mailbox".into()));
    }
    if tx.get(&keys::outline_head(place.0, place.1)).await?.as_ref() != known {
        return Err(Error::Exists("outline of another node".into()));
    }
    Ok(())
}
