//! The measurements, in groups that are asked for by name.

mod append;
mod cluster;
mod cold;
mod config;
mod deliver;
mod directory;
mod disk;
mod fetch;
mod fill;
mod groups;
mod idle;
mod memory;
mod million;
mod search;
mod smtp;
mod stage;
mod store;
mod written;

pub(crate) use groups::{GROUPS, measure_all};
pub(crate) use stage::Stage;
