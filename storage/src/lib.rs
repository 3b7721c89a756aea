//! The bottom floor: the three stores (directory, metadata, bodies) and the words that everyone
//! shares. It knows nothing of SMTP, IMAP, POP3 or HTTP, and opens no socket.

pub mod bodies;
pub mod cluster;
pub mod directory;
mod error;
pub mod folder;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod kv;
pub mod limits;
pub mod log;
pub mod mailstore;
pub mod migrate;
pub mod queue;
pub mod raft;
pub mod types;
#[cfg(any(test, fuzzing, feature = "faults"))]
pub mod volatile_file;

pub use error::{Error, Result};
