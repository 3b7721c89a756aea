//! The command line. Everything but `serve`, `demo`, `migrate` and what makes a node is a client of the admin API.
//!
//! Reading order: [`arguments`] (what can be typed), `client` (the API's other end), `output` (tables,
//! JSON, progress), `password` (never from the arguments), [`run`] with `cluster`, `import`, and `migrate` over `bar`.

pub mod arguments;
mod bar;
mod client;
mod cluster;
mod import;
mod migrate;
mod output;
mod password;
mod quantity;
mod run;

pub use arguments::{Arguments, Command, Place};
pub use output::complain;
pub use run::run;
