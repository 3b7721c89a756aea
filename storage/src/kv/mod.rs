//! The transaction interface: ordered byte keys, strict serializability, optimistic transactions
//! with read-your-writes. Shaped like FoundationDB's, so that what is written on it fits every engine.
//!
//! Reading order: [`key`] and [`record`] (how keys and values are written), [`engine`] (what an engine
//! must do), [`transaction`] (what a caller sees), `database` (running closures, operation ids),
//! then the engines.

pub mod engine;
pub mod key;
pub mod record;
pub mod transaction;

pub use engine::{Engine, Version, Versionstamp, Watch};
pub use key::{KeyReader, KeyWriter};
pub use transaction::{KeyRange, RangeOptions};
