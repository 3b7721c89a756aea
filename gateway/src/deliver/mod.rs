//! From an accepted message to mailboxes and queue entries (design §5).
//!
//! Reading order: [`envelope`] (what a queue entry remembers of its message), [`plan`] (who receives
//! it, decided without asking anyone), [`admission`] (recipients at RCPT), [`intake`] (from a session's
//! message to an arrival), [`Deliverer`] (where `250` becomes a promise, and filing in accounts),
//! [`reply`] (what storage errors are to a client).

pub mod admission;
mod deliverer;
pub mod envelope;
pub mod intake;
mod local;
pub mod plan;
pub mod reply;

pub use deliverer::{Arrival, Deliverer};
pub use envelope::Envelope;
