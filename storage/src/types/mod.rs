//! The words that every floor shares. No I/O here.

mod address;
mod flags;
mod ids;
mod secret;
mod time;
mod uid_set;

pub use address::{Address, AddressError, DomainName};
pub use flags::{Flags, Keyword, KeywordError, SystemFlag, SystemFlags};
pub use ids::{AccountId, BodyId, DomainId, MailboxId, ModSeq, OperationId, QueueId, Uid};
pub use secret::Secret;
pub use time::Timestamp;
pub use uid_set::UidSet;
