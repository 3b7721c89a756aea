//! What is done behind the callers' backs: expunged messages are let go when their time is over, deleted
//! mailboxes and accounts are emptied, change logs and outbox trimmed, outlines renewed, abandoned blocks cleared. All in
//! bounded transactions; a worker that dies leaves nothing that the next one does not find.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::MailStore;
use super::edit::{Gone, day_of, keep_for_restore, note_purge};
use super::keys::{self, Work};
use super::stored::{ExpungedMessage, MailboxRecord, StoredMessage};
use crate::Result;
use crate::bodies::Owner;
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::{CHANGE_LOG_COMMITS, WORK_ITEMS, WORK_STEP_MESSAGES};
use crate::types::{AccountId, MailboxId, ModSeq, Timestamp};

fn step(limit: usize) -> RangeOptions {
    RangeOptions { limit: Some(limit), reverse: false, snapshot: true }
}

impl MailStore {
    /// Starts the workers; they end soon after `stop`.
    pub fn spawn_workers(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let store = self.clone();
        tasks.spawn(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(store.inner.config.work_interval))
                .await
                .is_some()
            {
                let work = async { store.work_once(store.inner.db.now().await?).await };
                if let Some(Err(error)) = stop.run_until_cancelled(work).await {
                    tracing::warn!(%error, "mail store worker will try again");
                }
            }
        });
    }

    /// Does all that waits to be done as of `now` on the store's clock, and tells how many items it finished. What fails is left
    /// for the next time and does not keep the rest from being done.
    pub async fn work_once(&self, now: Timestamp) -> Result<usize> {
        self.inner.views.trim();
        if let Err(error) = self.trim_outbox().await {
            tracing::warn!(%error, "the outbox is left for later");
        }
        let mut done = 0;
        for range in Work::due(day_of(self.cutoff(now))) {
            done += self.work_through(range, now).await?;
        }
        Ok(done)
    }

    // What was expunged before is no longer kept.
    fn cutoff(&self, now: Timestamp) -> Timestamp {
        let window = i64::try_from(self.inner.config.restore_window.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(window))
    }

    async fn work_through(&self, mut range: KeyRange, now: Timestamp) -> Result<usize> {
        let mut done = 0;
        loop {
            let items = self.inner.db.begin().range(range.clone(), step(WORK_ITEMS)).collect().await?;
            for (key, _) in &items {
                match self.work_on(Work::decode(key)?, now).await {
                    Ok(finished) => done += usize::from(finished),
                    Err(error) => tracing::warn!(%error, item = ?Work::decode(key), "left for later"),
                }
            }
            match items.last() {
                Some((last, _)) if items.len() == WORK_ITEMS => range.begin = KeyRange::key(last).end,
                _ => return Ok(done),
            }
        }
    }

    async fn work_on(&self, work: Work, now: Timestamp) -> Result<bool> {
        match work {
            Work::Purge { day, account, mailbox } => {
                self.purge((day, account, mailbox), self.cutoff(now)).await
            }
            Work::Drain { account, mailbox } => self.drain(work, (account, mailbox), now).await,
            Work::Erase { account } => self.erase(work, account).await,
            Work::Block { account, mailbox } => {
                self.clear_stale_block(account, mailbox).await?;
                Ok(false)
            }
            Work::Trim { account, mailbox } => self.trim_changes(work, (account, mailbox)).await,
            Work::Outline { account, mailbox } => self.renew_outline(work, (account, mailbox)).await,
        }
    }

    // Lets go of what was expunged from the mailbox before `cutoff`.
    async fn purge(
        &self,
        (day, account, mailbox): (u32, AccountId, MailboxId),
        cutoff: Timestamp,
    ) -> Result<bool> {
        let mut range = keys::all_of_mailbox(subspace::EXPUNGED, account, mailbox);
        let mut left = false;
        loop {
            let from = range.clone();
            let purge = async |tx: &mut Transaction| {
                let kept = tx.range(from.clone(), step(WORK_STEP_MESSAGES)).collect().await?;
                let (count, mut young) = (kept.len(), false);
                for (key, value) in &kept {
                    let expunged = ExpungedMessage::decode(value)?;
                    if expunged.at > cutoff {
                        young = true;
                        continue;
                    }
                    let uid = keys::uid_of(key)?;
                    let owner = Owner::Expunged { account, mailbox, uid };
                    self.inner.bodies.drop_reference(tx, expunged.message.body, owner);
                    tx.clear(key.clone());
                    tx.clear(keys::summary(account, mailbox, uid.get()));
                }
                let last = kept.last().filter(|_| count == WORK_STEP_MESSAGES);
                Ok((last.map(|(key, _)| key.clone()), young))
            };
            let (last, young) = self.inner.db.run(purge).await?;
            left |= young;
            match last {
                Some(last) => range.begin = KeyRange::key(&last).end,
                None => break,
            }
        }
        // What went later that day is let go later too; what went on a later day has its own item.
        if left && day >= day_of(cutoff) {
            return Ok(false);
        }
        self.end_purge(Work::Purge { day, account, mailbox }, (account, mailbox)).await?;
        Ok(true)
    }

    // Of a deleted mailbox nothing remains once the last message is let go.
    async fn end_purge(&self, work: Work, (account, mailbox): (AccountId, MailboxId)) -> Result<()> {
        let end = async |tx: &mut Transaction| {
            tx.clear(work.key());
            let record = tx.get(&keys::mailbox(account, mailbox)).await?;
            let deleted = match record {
                Some(value) => MailboxRecord::decode(&value)?.deleted.is_some(),
                None => false,
            };
            let options = RangeOptions { limit: Some(1), ..RangeOptions::default() };
            let kept = keys::all_of_mailbox(subspace::EXPUNGED, account, mailbox);
            let drained = tx.get(&Work::Drain { account, mailbox }.key()).await?.is_none();
            if deleted && drained && tx.range(kept, options).collect().await?.is_empty() {
                tx.clear(keys::mailbox(account, mailbox));
                tx.clear(keys::keywords(account, mailbox));
                tx.clear_range(keys::all_of_mailbox(subspace::SUMMARY, account, mailbox));
            }
            Ok(())
        };
        self.inner.db.run(end).await
    }

    // Turns the messages of a deleted mailbox into expunged ones.
    async fn drain(
        &self,
        work: Work,
        (account, mailbox): (AccountId, MailboxId),
        now: Timestamp,
    ) -> Result<bool> {
        // Nobody reads them any more, and none are added.
        for space in [subspace::CHANGE, subspace::OUTLINE] {
            self.inner.db.clear_in_steps(keys::all_of_mailbox(space, account, mailbox)).await?;
        }
        loop {
            let drain = async |tx: &mut Transaction| {
                let messages = keys::all_of_mailbox(subspace::MESSAGE, account, mailbox);
                let messages = tx.range(messages, step(WORK_STEP_MESSAGES)).collect().await?;
                for (key, value) in &messages {
                    let uid = keys::uid_of(key)?;
                    let gone = Gone { at: now, moved: false };
                    keep_for_restore(tx, self, (account, mailbox, uid), StoredMessage::decode(value)?, gone);
                }
                note_purge(tx, account, mailbox, now);
                if messages.len() < WORK_STEP_MESSAGES {
                    tx.clear_range(keys::all_of_mailbox(subspace::COUNTERS, account, mailbox));
                    tx.clear(work.key());
                    return Ok(true);
                }
                Ok(false)
            };
            if self.inner.db.run(drain).await? {
                return Ok(true);
            }
        }
    }

    // Removes all of a deleted account, first what holds bodies.
    async fn erase(&self, work: Work, account: AccountId) -> Result<bool> {
        for space in [subspace::MESSAGE, subspace::EXPUNGED] {
            while !self.erase_some(space, account).await? {}
        }
        for space in [subspace::SUMMARY, subspace::CHANGE, subspace::OUTLINE] {
            self.inner.db.clear_in_steps(keys::all_of_account(space, account)).await?;
        }
        let end = async |tx: &mut Transaction| {
            let spaces = [subspace::COUNTERS, subspace::KEYWORD];
            let names = [subspace::MAILBOX, subspace::MAILBOX_NAME, subspace::ACCOUNT];
            for space in spaces.into_iter().chain(names) {
                tx.clear_range(keys::all_of_account(space, account));
            }
            tx.clear(work.key());
            Ok(())
        };
        self.inner.db.run(end).await?;
        Ok(true)
    }

    async fn erase_some(&self, space: u8, account: AccountId) -> Result<bool> {
        let erase = async |tx: &mut Transaction| {
            let range = keys::all_of_account(space, account);
            let held = tx.range(range, step(WORK_STEP_MESSAGES)).collect().await?;
            for (key, value) in &held {
                let (uid, mailbox) = (keys::uid_of(key)?, keys::holder_of(key, space)?);
                let (body, owner) = if space == subspace::MESSAGE {
                    (StoredMessage::decode(value)?.body, Owner::Message { account, mailbox, uid })
                } else {
                    let body = ExpungedMessage::decode(value)?.message.body;
                    (body, Owner::Expunged { account, mailbox, uid })
                };
                self.inner.bodies.drop_reference(tx, body, owner);
                tx.clear(key.clone());
            }
            Ok(held.len() < WORK_STEP_MESSAGES)
        };
        self.inner.db.run(erase).await
    }

    // Keeps the newest entries of a change log, and records how far back it reaches before the others go: who reads
    // meanwhile gets a superset.
    async fn trim_changes(&self, work: Work, (account, mailbox): (AccountId, MailboxId)) -> Result<bool> {
        let log = keys::all_of_mailbox(subspace::CHANGE, account, mailbox);
        let shorten = async |tx: &mut Transaction| {
            let options = RangeOptions { reverse: true, ..step(CHANGE_LOG_COMMITS) };
            let (mut oldest, mut count) = (None, 0);
            let mut entries = tx.range(log.clone(), options);
            while let Some((key, _)) = entries.next().await? {
                oldest = Some(key);
                count += 1;
            }
            drop(entries);
            let Some(oldest) = oldest.filter(|_| count == CHANGE_LOG_COMMITS) else { return Ok(None) };
            let low_water = keys::modseq_of(&oldest)?;
            // Another worker may have gone further meanwhile: the mark never goes back.
            tx.max(keys::low_water(account, mailbox), low_water.0);
            Ok(Some(low_water))
        };
        if let Some(low_water) = self.inner.db.run(shorten).await? {
            // An entry may have several parts: it goes as a whole, and so do all before it.
            let after = keys::change(account, mailbox, ModSeq(low_water.0 + 1), 0);
            self.inner.db.clear_in_steps(KeyRange::new(log.begin.clone(), after)).await?;
        }
        let done = async |tx: &mut Transaction| {
            tx.clear(work.key());
            Ok(())
        };
        self.inner.db.run(done).await.map(|()| true)
    }

    // The outbox is for readers that are still to come (stand-by, backup, push, search), and none can register yet:
    // with no reader to wait for, all that is there goes. Views of this process do not read it: they are told directly.
    async fn trim_outbox(&self) -> Result<()> {
        for shard in 0..keys::OUTBOX_SHARDS {
            let range = keys::outbox_shard(shard);
            let newest = RangeOptions { reverse: true, ..step(1) };
            let mut tx = self.inner.db.begin();
            let Some((last, _)) = tx.range(range.clone(), newest).collect().await?.pop() else { continue };
            // By the reading's own moment: what is written later stays for the next time.
            let end = KeyRange::key(&last).end;
            self.inner.db.clear_in_steps(KeyRange::new(range.begin, end)).await?;
        }
        Ok(())
    }
}
