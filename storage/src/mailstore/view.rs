//! The node's one live view of an open mailbox: the newest snapshot, kept current by what this node's
//! commits push to it, and from the change log where something is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::advance::{advance, follow};
use super::edit::Push;
use super::follow_others::follow_others;
use super::load::{load, read_changes, read_counters, read_keywords};
use super::snapshot::Snapshot;
use crate::kv::Database;
use crate::limits::{VIEW_CATCH_UP_COMMITS, VIEW_MESSAGE_OCTETS, VIEW_OCTETS, VIEW_PENDING_PUSHES};
use crate::types::{AccountId, MailboxId, ModSeq};
use crate::{Error, Result};

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
    // Whether someone follows what other nodes commit.
    follows_others: AtomicBool,
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
            follows_others: AtomicBool::new(false),
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

    /// Tells the newest snapshot's HIGHESTMODSEQ whenever it changes, and when the mailbox is deleted: what other nodes
    /// commit too, for as long as the receiver lives. To be called in a runtime.
    pub fn subscribe(self: &Arc<Self>) -> watch::Receiver<u64> {
        let told = self.newest.subscribe();
        if !self.sole_node && !self.follows_others.swap(true, Ordering::AcqRel) {
            tokio::spawn(follow_others(Arc::clone(self)));
        }
        told
    }

    /// Ends once no receiver lives.
    pub(super) async fn nobody_waits(&self) {
        self.newest.closed().await;
    }

    /// Whether who follows other nodes may end: nobody has begun to wait meanwhile, or another one follows.
    pub(super) fn ends_following(&self) -> bool {
        self.follows_others.store(false, Ordering::Release);
        self.newest.is_closed() || self.follows_others.swap(true, Ordering::AcqRel)
    }

    pub(super) fn database(&self) -> &Database {
        &self.db
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

    /// About what it takes in memory.
    pub(super) fn octets(&self) -> u64 {
        VIEW_OCTETS + VIEW_MESSAGE_OCTETS * u64::from(self.current.load().len())
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
        let place = (self.account, self.mailbox);
        let known = self.current.load().highest_modseq;
        if known > ModSeq(0) {
            let mut tx = self.db.begin();
            let counters = read_counters(&mut tx, self.account, self.mailbox).await?;
            let newest = counters.highest_modseq;
            self.check_is_same(counters.uid_validity)?;
            if known >= newest {
                return Ok(());
            }
            let changes = read_changes(&mut tx, place, (known, newest), VIEW_CATCH_UP_COMMITS).await?;
            if let Some(changes) = changes {
                let keywords = Arc::new(read_keywords(&mut tx, self.account, self.mailbox).await?);
                let uid_next = counters.uid_next;
                let follow = |current: &Snapshot| {
                    Arc::new(advance(current, &changes, Arc::clone(&keywords), uid_next, newest))
                };
                self.install(follow, newest);
                return Ok(());
            }
        }
        let loaded = Arc::new(load(&self.db, place).await?);
        if known > ModSeq(0) {
            self.check_is_same(loaded.uid_validity)?;
        }
        self.install(|_| Arc::clone(&loaded), loaded.highest_modseq);
        Ok(())
    }

    // `NotFound` where another node has made the mailbox another (RENAME of INBOX, RFC 9051 §6.3.6): to who has it open it
    // is gone.
    fn check_is_same(&self, uid_validity: u32) -> Result<()> {
        match self.current.load().uid_validity == uid_validity {
            true => Ok(()),
            false => Err(Error::NotFound("mailbox".into())),
        }
    }

    // Makes a snapshot as of `modseq` current, unless a newer one is, and lets waiting pushes follow it.
    fn install(&self, make: impl Fn(&Snapshot) -> Arc<Snapshot>, modseq: ModSeq) {
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
}
