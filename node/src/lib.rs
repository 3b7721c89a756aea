//! The users' protocols and the assembly of the roles.

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod health;
pub mod imap;
pub mod limits;
pub mod pop3;
pub mod telemetry;
