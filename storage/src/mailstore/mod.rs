//! Mailboxes and messages over the transaction interface (design §3). Knows nothing of IMAP's or
//! POP3's syntax; keeps their numbers true (UIDs, MODSEQ, UIDVALIDITY).
//!
//! Reading order: `name`, `counters`, `flag_table`, `message` (words); `chunk`, `snapshot`, `advance` and
//! `differences` (a mailbox in memory); `keys`, `varint`, `stored`, `change_log`, `outline` (a mailbox in the store);
//! `edit` (what every commit has in common), `locks`, `block`, `pick`; `load`, `view`, `views`, `follow_others` (live snapshots);
//! `store` (the handle) with `mailboxes`, `deliver`, `append`, `flags`, `expunge`, `transfer`, `read` (what callers
//! ask for); `workers` and `outlining` (what is done later).

mod advance;
mod append;
mod block;
mod change_log;
mod chunk;
mod counters;
mod deliver;
mod differences;
mod edit;
mod expunge;
mod flag_table;
mod flags;
mod follow_others;
mod keys;
mod load;
mod locks;
mod mailboxes;
mod message;
mod name;
mod outline;
mod outlining;
mod pick;
mod read;
mod snapshot;
mod store;
mod stored;
mod transfer;
mod varint;
mod view;
mod views;
mod workers;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;

pub use append::Appended;
pub use counters::{Counters, Limits, Usage};
pub use deliver::{Delivered, Delivery, Target};
pub use differences::SnapshotChanges;
pub use flag_table::FlagsId;
pub use flags::{FlagChange, Stored};
pub use mailboxes::Mailbox;
pub use message::{Body, BodyRef, MessageRecord, NewMessage};
pub use name::{MailboxName, SpecialUse};
pub use read::MessageReader;
pub use snapshot::{Message, Snapshot};
pub use store::{MailStore, MailStoreConfig};
pub use transfer::Copied;
pub use view::View;
