//! How the nodes of a cluster know and call each other: certificates of the cluster's own authority, and calls over
//! HTTP/2 under mutual TLS. What is said in the calls is the storage's affair.
//!
//! Reading order: [`identity`] and [`certificate`] (who is who), [`folder`] (what of it lies on the disk),
//! [`credentials`] and `tls` (what is shown and believed in a handshake), [`peers`] (who there is), `hello` (what both
//! sides tell first), then the two ends of a call: [`caller`] over `lane`, `dial` and `reach`, and [`exchange`] with `conversation`
//! and `twins`; `occasion` keeps the logs short. [`registrar`], `door` and [`join`] let new nodes in; [`renewal`] and
//! [`follow`] keep a node current; [`in_force`] tells how current the others' directories are; [`membership`] puts all of it
//! together for one process; `offline` opens a node's groups while none runs.

pub mod caller;
pub mod certificate;
mod conversation;
pub mod credentials;
mod dial;
mod door;
pub mod exchange;
pub mod folder;
pub mod follow;
mod hello;
pub mod identity;
pub mod in_force;
pub mod join;
mod lane;
pub mod membership;
mod occasion;
mod offline;
pub mod peers;
mod reach;
pub mod registrar;
pub mod renewal;
#[cfg(test)]
mod tests;
mod tls;
mod twins;

pub use caller::Caller;
pub use certificate::Authority;
pub use credentials::{Credentials, LiveCredentials};
pub use exchange::{Exchange, ExchangeParts};
pub use folder::ClusterFolder;
pub use identity::{Identity, Incarnation};
pub use membership::Membership;
pub use offline::OfflineGroups;
pub use peers::{Members, Peers};
pub use registrar::Registrar;
