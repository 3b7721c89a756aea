//! The engine of one machine: transactions are resolved, written to the durable log, and applied to an
//! LSM tree whose own write-ahead log that log is. What it shares with replicated groups stands in
//! `kv/store`.
//!
//! Reading order: [`pipeline`] (the thread from commit to acknowledgement), [`engine`] (the whole).

mod engine;
mod pipeline;

pub use engine::{Local, LocalConfig};

#[cfg(test)]
mod tests;
