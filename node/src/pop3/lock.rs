//! The exclusive lock on a maildrop (RFC 1939 §4): one POP3 session per account. IMAP sessions and deliveries go on;
//! a session sees INBOX as it was at its login.
//!
//! Held in this process's memory: of several nodes each has its own (`docs/cluster.md`).

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use sterna_storage::types::AccountId;

/// The locks of a node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MaildropLocks {
    held: Arc<Mutex<HashSet<AccountId>>>,
}

/// A lock held; dropping it lets go.
#[derive(Debug)]
pub struct MaildropLock {
    locks: MaildropLocks,
    account: AccountId,
}

impl MaildropLocks {
    /// Takes the lock, unless another session has it.
    pub fn acquire(&self, account: AccountId) -> Option<MaildropLock> {
        let free = self.held.lock().insert(account);
        free.then(|| MaildropLock { locks: self.clone(), account })
    }
}

impl MaildropLock {
    /// Whose maildrop it is.
    pub fn account(&self) -> AccountId {
        self.account
    }
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        self.locks.held.lock().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_per_account() {
        let locks = MaildropLocks::default();
        let ann = locks.acquire(AccountId(1)).expect("free");
        assert!(locks.acquire(AccountId(1)).is_none());
        assert!(locks.acquire(AccountId(2)).is_some(), "another account");
        drop(ann);
        assert!(locks.acquire(AccountId(1)).is_some(), "let go");
    }
}
