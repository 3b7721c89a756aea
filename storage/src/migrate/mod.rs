//! Moving an installation: everything that its databases hold is copied to others, whatever engines keep them, and
//! compared until both sides are the same; then the old ones are marked as left and the new ones as whole.
//!
//! Reading order: `standing` (the marks, and what they tell a server that starts), `routes` (which keys go where, and which
//! stay behind), `page` and `difference` (a piece of both sides, and what makes them equal), `tally` (both sides counted and
//! hashed), `patience` (requests made again), [`mover`] (the whole). The objects of message bodies are moved by
//! [`crate::bodies::Relocation`].

mod difference;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod mover;
mod page;
mod patience;
mod routes;
mod standing;
mod tally;
#[cfg(test)]
mod tests;

pub use mover::{Beginning, Home, Mover, Pass, Stand};
pub use patience::Side;
pub use standing::{Standing, standing, take_mark_back};
pub(crate) use standing::{copied_object, copied_objects, upload_of, uploads};
pub use tally::{Sum, Tally};
