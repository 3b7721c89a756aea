//! One turn at a time per mailbox on this node: commits to one mailbox are a sequence anyway, and
//! waiting in line is cheaper than conflicting. Only a courtesy: conflicts stay the truth.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::types::{AccountId, MailboxId};

type Key = (AccountId, MailboxId);

/// The lines, while anyone stands in them.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// A turn; ends when dropped.
pub(super) struct Turn {
    locks: Arc<Locks>,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Waits for the mailbox's turn.
    pub(super) async fn turn(self: &Arc<Self>, account: AccountId, mailbox: MailboxId) -> Turn {
        let key = (account, mailbox);
        let line = Arc::clone(self.0.lock().entry(key).or_default());
        // Made before the wait, so that a caller who gives up leaves no entry behind.
        let mut turn = Turn { locks: Arc::clone(self), key, guard: None };
        turn.guard = Some(line.lock_owned().await);
        turn
    }

    /// Waits for the turns of two mailboxes, in an order that is the same for all.
    pub(super) async fn turns(
        self: &Arc<Self>,
        account: AccountId,
        one: MailboxId,
        other: MailboxId,
    ) -> [Option<Turn>; 2] {
        let first = self.turn(account, one.min(other)).await;
        let second = if one == other { None } else { Some(self.turn(account, one.max(other)).await) };
        [Some(first), second]
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut lines = self.locks.0.lock();
        // Nobody else can take a share while the map is locked: one share is the map's own.
        if lines.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_by_one_and_leave_nothing() {
        let locks = Arc::new(Locks::default());
        let key = (AccountId(1), MailboxId(2));
        let turn = locks.turn(key.0, key.1).await;
        let mut waiting = Box::pin(locks.turn(key.0, key.1));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turn);
        drop(waiting.await);
        assert!(locks.0.lock().is_empty());
        let both = locks.turns(key.0, key.1, key.1).await;
        assert!(both[1].is_none());
        drop(both);
        assert!(locks.0.lock().is_empty());
    }
}
