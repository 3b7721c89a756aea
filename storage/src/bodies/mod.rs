//! Message bodies: staged, packed, sealed, read in ranges, collected.
//!
//! Reading order: `store` (the handle) and `config`, `stage` and `upload` (how a body comes in), `read` and
//! `read_many` with `cache` (how it goes out); beneath them `crypt` and `domains` (keys), `frame` (how octets
//! are sealed), `record`, `segment` and `keys` (stored forms), `objects` (the object store).

#![allow(dead_code)]

mod cache;
mod config;
mod crypt;
mod domains;
mod frame;
mod keys;
mod objects;
mod read;
mod read_many;
mod record;
mod segment;
mod stage;
mod store;
mod upload;

#[cfg(test)]
mod tests;

pub use config::BodiesConfig;
pub use read::Reader;
pub use record::Owner;
pub use stage::{Staged, Writer};
pub use store::Bodies;
