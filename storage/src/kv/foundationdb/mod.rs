//! The engine over FoundationDB: whole cells on one database that operates itself. Versions, versionstamps, conflicts
//! and budgets are FoundationDB's own; what is written here is how our commits become its transactions.
//!
//! Reading order: [`keys`] (where in the database a cluster's keys stand), [`outcome`] (what its errors
//! mean to us), [`watch`] (one native watch per key and node), [`engine`] (the whole).
//!
//! - **The client library is loaded when the engine is opened**, by `sterna-fdb-client`, and its network
//!   thread runs until the process ends. Without FoundationDB nothing of it is loaded.
//! - **Read versions** are asked for by the client library in batches, one request for all that wait on a node.
//! - **Reads** are snapshot reads at the version that our transaction holds: its conflict ranges are ours to keep,
//!   and are handed in with the commit.
//! - **Unknown results.** FoundationDB's automatic idempotency is experimental and not used; operation ids
//!   ([`crate::kv::Database::run_once`]) are.
//! - **Nothing waits for ever.** The client library retries until a cluster answers; here each call ends after
//!   [`crate::limits::FOUNDATIONDB_READ_PATIENCE`] or [`crate::limits::FOUNDATIONDB_COMMIT_PATIENCE`].

mod engine;
mod keys;
mod outcome;
mod watch;

pub use engine::{FoundationDb, FoundationDbConfig};

#[cfg(test)]
mod tests;
