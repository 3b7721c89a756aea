//! The live views of this node, bounded in number and memory: those that no session holds are let go,
//! least recently used first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::edit::Pushes;
use super::view::View;
use crate::kv::Database;
use crate::types::{AccountId, MailboxId};
use crate::{Error, Result};

type Key = (AccountId, MailboxId);

pub(super) struct Views {
    db: Database,
    // Views beyond which idle ones are let go, and octets of all of them likewise.
    most_views: usize,
    most_octets: u64,
    sole_node: bool,
    views: Mutex<HashMap<Key, Arc<View>>>,
    clock: AtomicU64,
}

impl Views {
    pub(super) fn new(db: Database, most_views: usize, most_octets: u64, sole_node: bool) -> Self {
        let (views, clock) = (Mutex::default(), AtomicU64::new(0));
        Self { db, most_views, most_octets, sole_node, views, clock }
    }

    /// The mailbox's view, which is current as of this call.
    pub(super) async fn open(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<View>> {
        match self.open_known(account, mailbox).await {
            // Perhaps only the view is gone: of what the mailbox was before another node made it another.
            Err(Error::NotFound(_)) => self.open_known(account, mailbox).await,
            outcome => outcome,
        }
    }

    async fn open_known(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<View>> {
        let view = self.entry((account, mailbox))?;
        let current = if view.is_loaded() { view.refresh().await.map(|_| ()) } else { view.catch_up().await };
        if let Err(error) = current {
            self.forget(&view);
            return Err(error);
        }
        Ok(view)
    }

    fn entry(&self, key: Key) -> Result<Arc<View>> {
        let mut views = self.views.lock();
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(view) = views.get(&key) {
            view.last_used.store(now, Ordering::Relaxed);
            return Ok(Arc::clone(view));
        }
        self.make_room(&mut views)?;
        let view = Arc::new(View::new(self.db.clone(), key.0, key.1, self.sole_node));
        view.last_used.store(now, Ordering::Relaxed);
        views.insert(key, Arc::clone(&view));
        Ok(view)
    }

    // The sum over all views is only taken every so often; the workers take it too.
    fn make_room(&self, views: &mut HashMap<Key, Arc<View>>) -> Result<()> {
        if views.len() >= self.most_views {
            self.let_go(views, self.most_views - self.most_views.div_ceil(8));
        } else if views.len().is_multiple_of(64) {
            self.let_go(views, usize::MAX);
        }
        if views.len() >= self.most_views {
            return Err(Error::Overloaded("as many mailboxes are open as may be".into()));
        }
        Ok(())
    }

    /// Lets idle views go while all of them take more memory than they may.
    pub(super) fn trim(&self) {
        self.let_go(&mut self.views.lock(), usize::MAX);
    }

    // Those that nobody holds, least recently used first, while there are more than `most`, or too many octets.
    fn let_go(&self, views: &mut HashMap<Key, Arc<View>>, most: usize) {
        let mut octets: u64 = views.values().map(|view| view.octets()).sum();
        if views.len() <= most && octets <= self.most_octets {
            return;
        }
        let mut idle: Vec<_> = views
            .iter()
            .filter(|(_, view)| Arc::strong_count(view) == 1)
            .map(|(key, view)| (view.last_used.load(Ordering::Relaxed), *key, view.octets()))
            .collect();
        idle.sort_unstable_by_key(|(used, ..)| *used);
        for (_, key, of_view) in idle {
            if views.len() <= most && octets <= self.most_octets {
                return;
            }
            views.remove(&key);
            octets -= of_view;
        }
    }

    // Forgets this very view, not one that took its place.
    fn forget(&self, view: &Arc<View>) {
        let mut views = self.views.lock();
        let key = (view.account(), view.mailbox());
        if views.get(&key).is_some_and(|known| Arc::ptr_eq(known, view)) {
            views.remove(&key);
        }
    }

    /// The view, if the mailbox is open.
    pub(super) fn find(&self, account: AccountId, mailbox: MailboxId) -> Option<Arc<View>> {
        self.views.lock().get(&(account, mailbox)).cloned()
    }

    /// Tells the views what was committed.
    pub(super) fn push(&self, pushes: Pushes) {
        for push in pushes {
            if let Some(view) = self.find(push.account, push.mailbox)
                && !view.push(push)
            {
                catch_up_soon(view);
            }
        }
    }

    /// The mailbox may have changed in a way that nobody could tell.
    pub(super) fn doubt(&self, account: AccountId, mailbox: MailboxId) {
        if let Some(view) = self.find(account, mailbox) {
            view.mark_behind();
            catch_up_soon(view);
        }
    }

    /// The mailbox is deleted.
    pub(super) fn gone(&self, account: AccountId, mailbox: MailboxId) {
        if let Some(view) = self.views.lock().remove(&(account, mailbox)) {
            view.mark_gone();
        }
    }
}

// Commits may be told out of order for a moment; if something is still missing after that, it is read,
// so that a session in IDLE hears of it.
fn catch_up_soon(view: Arc<View>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        tokio::task::yield_now().await;
        if view.is_behind()
            && let Err(error) = view.catch_up().await
        {
            tracing::debug!(%error, account = %view.account(), mailbox = %view.mailbox(), "view stays behind");
        }
    });
}
