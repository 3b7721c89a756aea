//! The node's one live view of an open mailbox: the newest snapshot, kept current by what this node's
//! commits push to it, and from the change log where something is missing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::change_log::{self, Change};
use super::edit::Push;
use super::flag_table::{FlagTable, KeywordTable, StoredFlags};
use super::keys;
use super::snapshot::{Advance, ChunkWriter, Edit, Snapshot};
use super::stored::{CountersRecord, StoredMessage};
use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{Database, RangeOptions, Transaction};
use crate::limits::{VIEW_CATCH_UP_COMMITS, VIEW_PENDING_PUSHES};
use crate::types::{AccountId, MailboxId, ModSeq};
use crate::{Error, Result};

const SNAPSHOT_READ: RangeOptions = RangeOptions { limit: None, reverse: false, snapshot: true };

// Flag sets that a table may hold beyond two for each message before it is made anew.
const SPARE_FLAG_SETS: usize = 1024;

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A live view of one mailbox, shared by all sessions of this node that have it open.
pub struct View {
    db: Database,
    account: AccountId,
    mailbox: MailboxId,
    current: ArcSwap<Snapshot>,
    newest: watch::Sender<u64>,
    // Pushes whose predecessor has not come, by the MODSEQ they build on. Also what serialises changes of `current`.
    pending: Mutex<BTreeMap<u64, Push>>,
    // Something may be missing that no push will bring.
    behind: AtomicBool,
    gone: AtomicBool,
    catching_up: tokio::sync::Mutex<()>,
    // Whether this node makes all commits.
    sole_node: bool,
    pub(super) last_used: AtomicU64,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("account", &self.account).field("mailbox", &self.mailbox).finish()
    }
}

impl View {
    /// Without content: pushes wait until [`Self::catch_up`] has read the mailbox.
    pub(super) fn new(db: Database, account: AccountId, mailbox: MailboxId, sole_node: bool) -> Self {
        Self {
            db,
            account,
            mailbox,
            current: ArcSwap::from_pointee(Snapshot::empty(0, 0)),
            newest: watch::Sender::new(0),
            pending: Mutex::default(),
            behind: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            catching_up: tokio::sync::Mutex::default(),
            sole_node,
            last_used: AtomicU64::new(0),
        }
    }

    /// Whose mailbox it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Which mailbox it is.
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// The newest snapshot at hand. Costs nothing.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Tells the newest snapshot's HIGHESTMODSEQ whenever it changes, and when the mailbox is deleted.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// A snapshot at least as new as every commit acknowledged before the call. `NotFound` once the mailbox
    /// is deleted.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>> {
        if self.gone.load(Ordering::Acquire) {
            return Err(Error::NotFound("mailbox".into()));
        }
        if !self.sole_node || self.behind.load(Ordering::Acquire) {
            self.catch_up().await?;
        }
        Ok(self.snapshot())
    }

    /// Whether everything that this node committed is in the snapshot.
    pub(super) fn is_loaded(&self) -> bool {
        self.current.load().highest_modseq > ModSeq(0)
    }

    pub(super) fn mark_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.newest.send_modify(|_| {});
    }

    pub(super) fn mark_behind(&self) {
        self.behind.store(true, Ordering::Release);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Follows a commit. Gives false where an earlier one is missing.
    pub(super) fn push(&self, push: Push) -> bool {
        let mut pending = self.pending.lock();
        let mut snapshot = self.current.load_full();
        if push.to <= snapshot.highest_modseq {
            return true;
        }
        if push.from != snapshot.highest_modseq {
            if pending.len() >= VIEW_PENDING_PUSHES {
                pending.clear();
            }
            pending.insert(push.from.0, push);
            self.behind.store(true, Ordering::Release);
            return false;
        }
        snapshot = follow(&snapshot, push);
        while let Some(next) = pending.remove(&snapshot.highest_modseq.0) {
            snapshot = follow(&snapshot, next);
        }
        let newest = snapshot.highest_modseq.0;
        self.current.store(snapshot);
        self.newest.send_replace(newest);
        pending.is_empty()
    }

    /// Reads what is missing: from the change log where that reaches back far enough, else the whole mailbox.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let _turn = self.catching_up.lock().await;
        // Cleared first: what goes missing from here on sets it again.
        self.behind.store(false, Ordering::Release);
        match self.read_missing().await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.behind.store(true, Ordering::Release);
                if matches!(error, Error::NotFound(_)) {
                    self.mark_gone();
                }
                Err(error)
            }
        }
    }

    async fn read_missing(&self) -> Result<()> {
        let mut tx = self.db.begin();
        let counters = read_counters(&mut tx, self.account, self.mailbox).await?;
        let known = self.current.load().highest_modseq;
        if known >= counters.highest_modseq {
            return Ok(());
        }
        let keywords = read_keywords(&mut tx, self.account, self.mailbox).await?;
        if known > ModSeq(0)
            && let Some(changes) = self.read_changes(&mut tx, known, counters.highest_modseq).await?
        {
            self.install(
                |current| {
                    let later: Changes = changes
                        .clone()
                        .into_iter()
                        .filter(|change| change.0 > current.highest_modseq.0)
                        .collect();
                    advance(
                        current,
                        later,
                        Arc::new(keywords.clone()),
                        counters.uid_next,
                        counters.highest_modseq,
                    )
                },
                counters.highest_modseq,
            );
            return Ok(());
        }
        let loaded = Arc::new(load(&mut tx, self.account, self.mailbox, counters, keywords).await?);
        self.install(|_| Arc::clone(&loaded), counters.highest_modseq);
        Ok(())
    }

    // Makes a snapshot as of `modseq` current, unless a newer one is, and lets waiting pushes follow it.
    fn install(&self, make: impl Fn(&Arc<Snapshot>) -> Arc<Snapshot>, modseq: ModSeq) {
        let mut pending = self.pending.lock();
        let current = self.current.load_full();
        if current.highest_modseq >= modseq {
            return;
        }
        let mut snapshot = make(&current);
        pending.retain(|_, push| push.to > snapshot.highest_modseq);
        while let Some(next) = pending.remove(&snapshot.highest_modseq.0) {
            snapshot = follow(&snapshot, next);
        }
        if !pending.is_empty() {
            self.behind.store(true, Ordering::Release);
        }
        let newest = snapshot.highest_modseq.0;
        self.current.store(snapshot);
        self.newest.send_replace(newest);
    }

    // The changes after `known`, or `None` where reading the whole mailbox is better or the only way.
    async fn read_changes(
        &self,
        tx: &mut Transaction,
        known: ModSeq,
        until: ModSeq,
    ) -> Result<Option<Changes>> {
        if read_low_water(tx, self.account, self.mailbox).await? > known {
            return Ok(None);
        }
        let range = keys::changes(self.account, self.mailbox, known, until);
        let limit = Some(VIEW_CATCH_UP_COMMITS);
        let pairs = tx.range(range, RangeOptions { limit, ..SNAPSHOT_READ }).collect().await?;
        if pairs.len() == VIEW_CATCH_UP_COMMITS {
            return Ok(None);
        }
        let mut changes = Vec::new();
        for (key, value) in &pairs {
            let modseq = keys::modseq_of(key)?.0;
            changes.extend(change_log::decode(value)?.into_iter().map(|change| (modseq, change)));
        }
        Ok(Some(changes))
    }
}

// Changes with the MODSEQ of their commit, ascending.
type Changes = Vec<(u64, Change)>;

// The snapshot after one commit. A snapshot only ever grows newer: `push.from` is its HIGHESTMODSEQ.
fn follow(snapshot: &Arc<Snapshot>, push: Push) -> Arc<Snapshot> {
    let keywords = push.keywords.unwrap_or_else(|| Arc::clone(&snapshot.keywords));
    let modseq = push.to;
    let changes = push.changes.into_iter().map(|change| (modseq.0, change)).collect();
    advance(snapshot, changes, keywords, push.uid_next, modseq)
}

fn advance(
    snapshot: &Arc<Snapshot>,
    changes: Changes,
    keywords: Arc<KeywordTable>,
    uid_next: u32,
    highest_modseq: ModSeq,
) -> Arc<Snapshot> {
    let mut table = Arc::clone(&snapshot.table);
    let mut intern = |flags: &StoredFlags| {
        let known = table.find(flags);
        known.unwrap_or_else(|| Arc::make_mut(&mut table).intern(flags, &keywords))
    };
    let one_commit = changes.first().map(|change| change.0) == changes.last().map(|change| change.0);
    let edit = |(modseq, change): &(u64, Change), flags| Edit {
        first: change.first,
        last: change.last,
        modseq: *modseq,
        flags,
    };
    let edits = if one_commit {
        changes.iter().map(|change| edit(change, change.1.flags.as_ref().map(&mut intern))).collect()
    } else {
        latest(&changes, &mut intern)
    };
    let next = snapshot.advanced(Advance { edits, table, keywords, uid_next, highest_modseq });
    Arc::new(with_compact_table(next))
}

// The last change of each message, of several commits.
fn latest(changes: &Changes, intern: &mut impl FnMut(&StoredFlags) -> super::FlagsId) -> Vec<Edit> {
    let mut edits = BTreeMap::new();
    for (modseq, change) in changes {
        let flags = change.flags.as_ref().map(&mut *intern);
        for uid in change.first..=change.last {
            edits.insert(uid, Edit { first: uid, last: uid, modseq: *modseq, flags });
        }
    }
    edits.into_values().collect()
}

// A client may make up flag sets without end; those that no message has any more are let go.
fn with_compact_table(snapshot: Snapshot) -> Snapshot {
    if snapshot.flag_sets() <= SPARE_FLAG_SETS + 2 * snapshot.len() as usize {
        return snapshot;
    }
    let mut table = FlagTable::new(GENERATIONS.fetch_add(1, Ordering::Relaxed));
    let mut numbers = HashMap::new();
    for message in snapshot.messages() {
        numbers
            .entry(message.flags_id)
            .or_insert_with(|| table.intern(snapshot.table.stored(message.flags_id), &snapshot.keywords));
    }
    let mut writer = ChunkWriter::new(&table, snapshot.chunks.len());
    for message in snapshot.messages() {
        writer.push(message.uid.get(), message.modseq.0, numbers[&message.flags_id]);
    }
    let chunks = writer.finish();
    let mut compact = snapshot;
    compact.table = Arc::new(table);
    compact.with_chunks(chunks)
}

// The whole mailbox at the transaction's version.
async fn load(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
    counters: super::Counters,
    keywords: KeywordTable,
) -> Result<Snapshot> {
    let mut table = FlagTable::new(GENERATIONS.fetch_add(1, Ordering::Relaxed));
    let mut rows = Vec::with_capacity(counters.messages as usize);
    // Records at or above UIDNEXT are hidden.
    let range = keys::uids(subspace::MESSAGE, account, mailbox, 1, counters.uid_next - 1);
    let mut messages = tx.range(range, SNAPSHOT_READ);
    while let Some((key, value)) = messages.next().await? {
        let (flags, modseq) = StoredMessage::decode_head(&value)?;
        rows.push((keys::uid_of(&key)?.get(), modseq, table.intern(&flags, &keywords)));
    }
    drop(messages);
    let mut writer = ChunkWriter::new(&table, rows.len() / 256 + 1);
    rows.iter().for_each(|(uid, modseq, flags)| writer.push(*uid, *modseq, *flags));
    let chunks = writer.finish();
    let mut loaded = Snapshot::empty(counters.uid_validity, 0);
    loaded.uid_next = counters.uid_next;
    loaded.highest_modseq = counters.highest_modseq;
    loaded.table = Arc::new(table);
    loaded.keywords = Arc::new(keywords);
    Ok(loaded.with_chunks(chunks))
}

pub(super) async fn read_counters(
    tx: &mut Transaction,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<super::Counters> {
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
