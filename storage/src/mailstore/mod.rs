//! Mailboxes and messages over the transaction interface (design §3). Knows nothing of IMAP's or
//! POP3's syntax; keeps their numbers true (UIDs, MODSEQ, UIDVALIDITY).
//!
//! Reading order: `name`, `counters`, `flag_table` (words); `snapshot` and `differences` (a mailbox in
//! memory).

mod counters;
mod differences;
mod flag_table;
mod name;
mod snapshot;

#[cfg(test)]
mod snapshot_tests;

pub use counters::{Counters, Limits, Usage};
pub use differences::SnapshotChanges;
pub use flag_table::FlagsId;
pub use name::{MailboxName, SpecialUse};
pub use snapshot::{Message, Snapshot};
