//! `\Recent` for IMAP4rev1 clients (RFC 3501 §2.3.2): a message is recent in the first session that
//! is told of it. The node remembers up to which UID somebody was told; what it does not remember
//! (after a restart) is not recent. Best effort, as the RFC allows; never stored.

use moka::sync::Cache;
use sterna_storage::types::{AccountId, MailboxId};

use crate::limits;

/// Up to which UID sessions of this node were told, per mailbox.
#[derive(Debug, Clone)]
pub struct RecentMarks(Cache<(AccountId, MailboxId), u32>);

impl Default for RecentMarks {
    fn default() -> Self {
        Self(Cache::new(limits::IMAP_RECENT_MARKS))
    }
}

impl RecentMarks {
    /// The first UID that nobody was told of, given that `uid_next` is the next one to come.
    pub fn peek(&self, mailbox: (AccountId, MailboxId), uid_next: u32) -> u32 {
        self.0.get(&mailbox).map_or(uid_next, |mark| mark.min(uid_next))
    }

    /// The same, and from now on somebody was told of everything below `uid_next`.
    pub fn claim(&self, mailbox: (AccountId, MailboxId), uid_next: u32) -> u32 {
        let first = self.peek(mailbox, uid_next);
        if self.0.get(&mailbox).is_none_or(|mark| mark < uid_next) {
            self.0.insert(mailbox, uid_next);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_session_is_told() {
        let (marks, mailbox) = (RecentMarks::default(), (AccountId(1), MailboxId(1)));
        assert_eq!(marks.claim(mailbox, 10), 10);
        assert_eq!((marks.peek(mailbox, 13), marks.claim(mailbox, 13)), (10, 10));
        assert_eq!(marks.claim(mailbox, 13), 13);
        // A session whose view is a moment behind takes nothing back.
        assert_eq!((marks.claim(mailbox, 12), marks.claim(mailbox, 14)), (12, 13));
    }
}
