//! What the engines that keep data themselves have in common: log entries applied to an LSM tree whose write-ahead
//! log they are.
//!
//! Reading order: [`entry`] (the form of a log entry), [`values`] (what the tree keeps of a value), [`tree`]
//! (applying) and [`reading`] (at versions), [`inbox`] and [`batch`] (from waiting transactions to an entry),
//! [`upkeep`] (flush, compaction, purging of the log), [`keeper`] (the tree with its threads), [`import`] (a tree
//! filled from another store).

pub(crate) mod batch;
pub(crate) mod entry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod import;
pub(crate) mod inbox;
pub(crate) mod keeper;
pub(crate) mod reading;
pub(crate) mod tree;
pub(crate) mod upkeep;
pub(crate) mod values;
