//! The command line. Everything but `serve` and `demo` is a client of the admin API.
//!
//! Reading order: [`arguments`] (what can be typed), `client` (the API's other end), `output` (tables,
//! JSON, progress), `password` (never from the arguments), [`run`].

pub mod arguments;
mod client;
mod output;
mod password;
mod quantity;
mod run;

pub use arguments::{Arguments, Command, Place};
pub use output::complain;
pub use run::run;
