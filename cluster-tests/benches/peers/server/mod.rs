//! The servers, each started with a folder of its own on free loopback ports.

mod cluster;
mod dovecot;
mod peer;
mod postfix;
mod sterna;
mod target;

pub(crate) use cluster::Cluster;
pub(crate) use peer::{Peer, PeerKind, missing_packages};
pub(crate) use sterna::{PASSWORD_HASH, SternaServer};
pub(crate) use target::{PASSWORD, Server, address};
