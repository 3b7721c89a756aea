//! The servers, each started with a folder of its own on free loopback ports.

mod dovecot;
mod peer;
mod postfix;
mod sterna;
mod target;

pub(crate) use peer::{Peer, PeerKind, missing_packages};
pub(crate) use sterna::SternaServer;
pub(crate) use target::{PASSWORD, Server, address};
