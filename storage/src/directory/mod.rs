//! The directory: which domains, accounts and aliases exist, and where mail to an address goes.
//!
//! Reading order: [`record`] (what there is), `key` (where it is kept), `stored` (how it is written),
//! `change` (the change log and who follows it), `cache` (what a node remembers of it), `bells` (who
//! waits for a change), `source` and `lookup` (single things, and whether they are current), [`Directory`] with its `domain`, `account`, `many` (accounts at once) and `alias` operations, and `resolve` (from an address
//! to recipients).

mod account;
mod alias;
mod bells;
mod cache;
mod change;
mod domain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handle;
mod key;
mod lookup;
mod many;
mod record;
mod resolve;
mod source;
mod stored;
#[cfg(test)]
mod tests;

pub use account::NewAccount;
pub use domain::NewDomain;
pub use handle::{Directory, DirectoryConfig};
pub(crate) use key::all_of_log as bound_to_engine;
pub use many::Creation;
pub use record::{
    Account, Alias, AliasDomain, DeletedAccount, DkimAlgorithm, DkimKey, Domain, MailGroup, Page, Seen,
    Settings,
};
pub use resolve::{Resolution, is_role};
