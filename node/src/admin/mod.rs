//! The HTTP admin API: everything that a person does from the command line, and health.
//!
//! Reading order: [`view`] (what goes over the wire), [`token`] (who may), `reply` (errors and
//! progress), `server` (routes, bounds, connections), `in_force` (what the answer to a change adds), then one file per kind of
//! thing.

mod account;
mod alias;
mod bodies;
mod cluster;
mod domain;
mod health;
mod import;
mod in_force;
mod queue;
mod reply;
mod server;
#[cfg(test)]
mod tests;
pub mod token;
pub mod view;

pub use server::{Admin, handler};
