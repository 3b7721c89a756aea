//! Runs of the queue: what is due is tried, what fails is tried again later, and senders are told. Durability
//! is `sterna_storage::queue`'s matter, transport [`crate::outbound`]'s and [`crate::deliver`]'s.
//!
//! Reading order: [`schedule`] (when, pure), `report` (what senders are told) and `notice` (the entry that tells them),
//! `round` (one entry, once), [`Worker`] (all entries, until told to stop).

mod notice;
mod report;
mod round;
pub mod schedule;
mod worker;

pub use worker::{Worker, WorkerConfig, WorkerParts};
