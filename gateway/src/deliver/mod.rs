//! From an accepted message to mailboxes and queue entries.
//!
//! Reading order: [`envelope`] (what a queue entry remembers of its message).

pub mod envelope;

pub use envelope::Envelope;
