//! The functions of FoundationDB's C interface, as its bindings for Rust call them: [`types`] (what goes over the border), then
//! one file for each kind of handle. Here alone is `unsafe`.

mod database;
mod future;
mod network;
mod transaction;
pub(crate) mod types;
