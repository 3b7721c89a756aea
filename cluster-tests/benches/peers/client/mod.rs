//! The load generator: connections, the two protocols that it speaks, the messages that it sends.

pub(crate) mod crew;
pub(crate) mod imap;
pub(crate) mod smtp;
pub(crate) mod text;
pub(crate) mod wire;
