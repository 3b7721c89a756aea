//! SMTP and LMTP: codec, server session, client session, driver.
//!
//! Reading order: [`codec`] (octets to commands and back), [`session`] (the server's state machine),
//! `cmd` (what each command does to it), [`policy`] (what a role decides), [`driver`] (socket, session
//! and policy together), [`client`] (the other side of the dialogue).

pub mod client;
mod cmd;
pub mod codec;
pub mod driver;
pub mod policy;
pub mod session;

pub use policy::{Peer, Policy};
pub use session::Session;
