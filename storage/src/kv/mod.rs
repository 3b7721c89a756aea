//! The transaction interface: ordered byte keys, strict serializability, optimistic transactions
//! with read-your-writes. Shaped like FoundationDB's, so that what is written on it fits every engine.
//!
//! Reading order: [`key`] and [`record`] (how keys and values are written), [`range`] (key ranges),
//! [`engine`] (what an engine must do), [`transaction`] with `overlay` and [`reader`] (what a caller
//! sees), [`operation`] (results kept under operation ids), [`database`] (running closures), then the engines.

pub mod key;
pub mod range;
pub mod record;

mod atomic;
mod overlay;
mod resolver;
mod watches;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod database;
pub mod engine;
pub mod local;
pub mod memory;
pub mod operation;
pub mod reader;
pub mod transaction;

pub use database::Database;
pub use engine::{Committed, Engine, Version, Versionstamp, Watch};
pub use key::{KeyReader, KeyWriter};
pub use local::{Local, LocalConfig};
pub use memory::Memory;
pub use range::{KeyRange, RangeOptions};
pub use reader::RangeReader;
pub use transaction::Transaction;
