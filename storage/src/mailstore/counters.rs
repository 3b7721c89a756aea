//! A mailbox's counters and an account's usage: plain numbers, kept exact by every transaction.

use serde::{Deserialize, Serialize};

use crate::kv::record::Record;
use crate::types::{ModSeq, SystemFlag, SystemFlags};

/// What STATUS answers (RFC 9051 §6.3.11), kept as one value so that it is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Changes only when the mailbox is created anew, and then grows.
    pub uid_validity: u32,
    /// Greater than every UID that the mailbox ever held. Records at or above it do not exist yet.
    pub uid_next: u32,
    /// At least the MODSEQ of every change. Changes above it have not happened yet.
    pub highest_modseq: ModSeq,
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub size_octets: u64,
    /// Octets of the messages with `\Deleted`.
    pub deleted_size_octets: u64,
}

impl Record for Counters {
    const VERSION: u8 = 1;
}

impl Counters {
    /// Of a mailbox created now.
    pub fn new(uid_validity: u32) -> Self {
        Self {
            uid_validity,
            uid_next: 1,
            highest_modseq: ModSeq(1),
            messages: 0,
            unseen: 0,
            deleted: 0,
            size_octets: 0,
            deleted_size_octets: 0,
        }
    }

    /// Counts a message in.
    pub fn add(&mut self, flags: SystemFlags, size_octets: u64) {
        self.messages += 1;
        self.size_octets += size_octets;
        self.unseen += u32::from(!flags.contains(SystemFlag::Seen));
        if flags.contains(SystemFlag::Deleted) {
            self.deleted += 1;
            self.deleted_size_octets += size_octets;
        }
    }

    /// Counts a message out that [`Self::add`] counted in.
    pub fn remove(&mut self, flags: SystemFlags, size_octets: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.size_octets = self.size_octets.saturating_sub(size_octets);
        self.unseen = self.unseen.saturating_sub(u32::from(!flags.contains(SystemFlag::Seen)));
        if flags.contains(SystemFlag::Deleted) {
            self.deleted = self.deleted.saturating_sub(1);
            self.deleted_size_octets = self.deleted_size_octets.saturating_sub(size_octets);
        }
    }
}

/// What an account or a domain stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Octets of all messages. Expunged ones do not count.
    pub octets: u64,
    /// Messages.
    pub messages: u64,
}

/// The quota that a call has to keep; `None` is no limit. What is in flight at the same time may
/// pass a limit by its own size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most octets of the account.
    pub account_octets: Option<u64>,
    /// Most octets of all accounts of the domain.
    pub domain_octets: Option<u64>,
}
