//! What every IMAP session of a node shares.

use std::net::IpAddr;

use sterna_gateway::login::Authenticator;
use sterna_gateway::net::{ByteBudget, Drain, Tls};
use sterna_storage::bodies::Bodies;
use sterna_storage::directory::Directory;
use sterna_storage::mailstore::MailStore;

use super::config::ImapConfig;
use super::session::recent::RecentMarks;

/// Handed to each connection.
pub struct ImapContext {
    /// Mailboxes and messages.
    pub store: MailStore,
    /// Where appended messages are written.
    pub bodies: Bodies,
    /// Domains' quotas.
    pub directory: Directory,
    /// Who logs in.
    pub authenticator: Authenticator,
    /// For STARTTLS; without it only trusted networks can log in on a plain port.
    pub tls: Option<Tls>,
    /// Memory of all sessions of the node.
    pub budget: ByteBudget,
    /// When to end.
    pub drain: Drain,
    /// Settings.
    pub config: ImapConfig,
    /// Which messages no IMAP4rev1 session was told of yet.
    pub recent: RecentMarks,
}

impl ImapContext {
    /// Whether a client there may log in without TLS.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.config.trusted_networks.iter().any(|network| network.contains(peer))
    }
}
