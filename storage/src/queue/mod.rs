//! The queue of messages that are accepted and not yet delivered: entries, the index of what is due, and claims,
//! so that one worker of one node has an entry at a time. Durability only: when to try again is the caller's
//! schedule, and what is in an entry's payload is the caller's alone.
//!
//! Reading order: `entry` (what is stored), `store` (the handle), `claim` (taking what is due, and ending with
//! it), `lease` (who is alive, and taking over from who is not), `wait` (sleeping until something is due).

mod claim;
mod entry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lease;
mod store;
mod wait;

#[cfg(test)]
mod tests;

pub use claim::Claim;
pub use entry::{Entry, Listed};
pub use store::{Counts, Queue, QueueConfig};
