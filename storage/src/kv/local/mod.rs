//! The engine of one machine: transactions are resolved, written to the durable log, and applied to an
//! LSM tree whose own write-ahead log that log is.
//!
//! Reading order: [`entry`] (the form of a log entry), [`values`] (what the tree keeps of a value),
//! [`store`] (the tree: applying and reading at versions), [`pipeline`] (the thread from commit to
//! acknowledgement), [`upkeep`] (flush, compaction, purging of the log), [`engine`] (the whole).

pub mod entry;

mod engine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod pipeline;
mod store;
mod upkeep;
mod values;

pub use engine::{Local, LocalConfig};

#[cfg(test)]
mod tests;
