//! What the rows know of a server.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sterna_cluster_tests::sterna::Sterna;

/// The password of every user.
pub(crate) const PASSWORD: &str = sterna_cluster_tests::sterna::PASSWORD;

/// The address, and login, of a user.
pub(crate) fn address(user: usize) -> String {
    sterna_cluster_tests::sterna::address(&format!("user{user}"))
}

/// Ports on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// Mail from other hosts.
    pub(crate) smtp: u16,
    /// Mail from programs of this machine.
    pub(crate) lmtp: u16,
    /// IMAP in the clear, logins allowed.
    pub(crate) imap: u16,
    /// IMAP under TLS.
    pub(crate) imaps: u16,
}

/// A running server. Dropped, it ends.
pub(crate) trait Server: Sync {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// Where it listens.
    fn ports(&self) -> Ports;

    /// The same of each of its nodes.
    fn ports_of_nodes(&self) -> Vec<Ports> {
        vec![self.ports()]
    }

    /// Writes to its bucket so far; `None` without one.
    fn puts(&self) -> Option<u64> {
        None
    }

    /// The processes below which everything of it runs.
    fn roots(&self) -> Vec<u32>;

    /// The same for what serves IMAP alone.
    fn imap_roots(&self) -> Vec<u32>;

    /// The certificate that clients must trust.
    fn authority(&self) -> &Path;

    /// The folder of its data.
    fn data(&self) -> &Path;

    /// After so long without load nothing is left that it puts off.
    fn puts_off(&self) -> Duration;

    /// Ends it in good order and starts it again. Tells how long the start took, until it was ready.
    fn restart(&mut self) -> Result<Duration>;

    /// Its nodes, where it is Sterna.
    fn nodes(&self) -> Vec<&Sterna> {
        Vec::new()
    }

    /// Checks its store after all loads.
    fn verify(&self) -> Result<()>;
}
