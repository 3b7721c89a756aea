//! The socket's side of IMAP: reads commands, runs them one after another, writes what they answer;
//! STARTTLS, logins, IDLE, APPEND's message, time-outs, drain.

mod append;
mod connection;
mod idle;
mod login;
mod output;
mod revoked;

pub use connection::serve;
pub(crate) use output::Output;
