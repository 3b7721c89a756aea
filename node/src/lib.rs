//! The users' protocols and the assembly of the roles.

pub mod admin;
pub mod assemble;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod demo;
mod descriptors;
pub mod health;
pub mod imap;
pub mod limits;
pub mod migrate;
pub mod pop3;
mod reading;
mod roles;
pub mod secret_file;
pub mod telemetry;
mod upkeep;
