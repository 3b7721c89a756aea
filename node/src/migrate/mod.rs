//! `sterna migrate`: an installation moves to other engines, or its bodies to another place, while no server runs on it.
//!
//! Reading order: `place` (where bodies lie), `installation` (what a configuration names, opened), [`journey`] (the whole).

mod installation;
pub mod journey;
mod place;

pub use journey::{Arrival, Journey, Sight, go_back, refuse_to_serve};
