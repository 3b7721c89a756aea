//! The transaction interface: ordered byte keys, strict serializability, optimistic transactions
//! with read-your-writes. Shaped like FoundationDB's, so that what is written on it fits every engine.
//!
//! Reading order: [`key`] and [`record`] (how keys and values are written), [`range`] (key ranges),
//! [`engine`] (what an engine must do), `budget` (what a transaction may hold), [`transaction`] with `overlay` and
//! [`reader`] (what a caller sees), [`clock`] (by which what is stored
//! grows old), [`operation`] (results kept under operation ids), [`database`] with `reruns`
//! (running closures), then the engines.

pub mod key;
pub mod range;
pub mod record;

mod atomic;
pub(crate) mod budget;
mod overlay;
mod reruns;
pub(crate) mod resolver;
pub(crate) mod store;
pub(crate) mod watches;

pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod database;
pub mod engine;
pub mod foundationdb;
pub mod local;
pub mod memory;
pub mod operation;
pub mod reader;
pub mod transaction;
#[cfg(test)]
pub(crate) mod unsteady;

pub use clock::Clock;
pub use database::Database;
pub use engine::{Committed, Engine, OwnCopy, Version, Versionstamp, Watch};
pub use foundationdb::{FoundationDb, FoundationDbConfig};
pub use key::{KeyReader, KeyWriter};
pub use local::{Local, LocalConfig};
pub use memory::Memory;
pub use range::{KeyRange, RangeOptions};
pub use reader::RangeReader;
pub use transaction::Transaction;
