//! The durable log: entries with ascending index and term, on disk before they are acknowledged. It is
//! all that an acknowledgement waits for; what is made of the entries is its reader's matter.
//!
//! Reading order: [`files`] (what it needs of a file system), [`record`] (the form of an entry on disk),
//! [`segment`] (one file, and its recovery), `recovery` (all of them), `queue` and `writer` (the thread
//! that appends), [`journal`] (the whole).

pub mod files;
pub mod journal;
pub mod record;
pub mod segment;

#[cfg(test)]
mod fault_tests;
mod queue;
mod recovery;
#[cfg(any(test, fuzzing))]
pub mod simulated;
#[cfg(test)]
mod tests;
mod writer;

pub use journal::{Config, Log};
pub use record::{Entry, Position};
pub use writer::OnFatal;
