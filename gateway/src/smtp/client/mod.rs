//! The client's side of a dialogue, SMTP and LMTP, without sockets, clocks or waiting.
//!
//! A driver opens a [`Client`] with a fresh connection, and asks [`Client::handle`] what to do: send
//! the output and read more within [`Client::patience`], make a TLS handshake, or, at
//! [`Step::Ready`], begin a transaction ([`Client::begin`]) or end ([`Client::quit`]). At
//! [`Step::SendBody`] it streams the message through [`Client::encode_body`] and
//! [`Client::end_body`]. [`Step::Done`] tells what became of each recipient; the connection can then
//! be used again.

mod extensions;
mod machine;
mod request;
#[cfg(test)]
mod tests;

pub use extensions::Extensions;
pub use machine::{Client, ClientConfig, ClientError, Outcome, RecipientOutcome, Step, TlsUse};
pub use request::{RecipientRequest, Request};
