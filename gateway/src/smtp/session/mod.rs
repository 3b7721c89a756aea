//! The server's side of a dialogue, without sockets, clocks or waiting (RFC 5321 §4.1.4).
//!
//! [`Session::handle`] takes octets and gives a [`Step`]: more input, a question that only a policy
//! can answer, or the end. The answer is given back by the method that the step names. Replies gather
//! in [`Session::take_output`] until the driver sends them: as late as pipelining allows
//! (RFC 2920 §3.2), always before it waits for input.

mod config;
mod line;
mod machine;
pub(super) mod replies;
#[cfg(test)]
mod tests;
mod transaction;
pub(super) mod transfer;

pub use config::{Channel, Config, Role};
pub(super) use machine::State;
pub use machine::{Session, Step};
pub use transaction::{Candidate, Hello, Incoming, Recipient, Transaction};
