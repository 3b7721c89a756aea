//! FoundationDB's client library, without a need for it when Sterna is built or when it runs on
//! something else.
//!
//! The `foundationdb` crate calls C functions that the linker wants to see. [`forward`] defines them;
//! each goes on to the function of the same name in the library that [`start`] loaded. Before that, and
//! in a process that never asks for FoundationDB, nothing is loaded and no thread runs.

mod forward;
mod network;

pub use network::{StartError, start};
