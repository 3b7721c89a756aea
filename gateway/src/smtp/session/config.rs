//! What a session is told about the server it belongs to.

use std::net::IpAddr;

use super::super::codec::LineEndings;
use crate::login::network::Network;

/// What the port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Port 25: mail from other servers.
    Mx,
    /// Ports 587 and 465: mail of our own accounts (RFC 6409).
    Submission,
    /// LMTP (RFC 2033): mail from a server beside us, answered per recipient.
    Lmtp,
}

/// What keeps others from reading along on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nothing.
    Plain,
    /// The operator trusts the client's network, without TLS.
    Trusted,
    /// TLS.
    Tls,
}

/// Shared by all sessions of a listener.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the port is for.
    pub role: Role,
    /// The server's own name, in the greeting and in trace headers.
    pub host_name: String,
    /// Largest message, in octets.
    pub message_octets: usize,
    /// Most recipients of a message: at least 100 (RFC 5321 §4.5.3.1.8).
    pub recipients: usize,
    /// Whether STARTTLS can be offered.
    pub starttls: bool,
    /// Networks whose clients may log in without TLS.
    pub trusted_networks: Vec<Network>,
    /// How long a client may take over one command; RFC 5321 §4.5.3.2.7 asks for five minutes,
    /// [`COMMAND_WAIT`](crate::limits::COMMAND_WAIT).
    pub command_wait: std::time::Duration,
    /// How long a client may take nothing of a reply.
    pub reply_wait: std::time::Duration,
}

impl Config {
    /// What a connection from there is.
    pub fn channel(&self, tls: bool, peer: IpAddr) -> Channel {
        match tls {
            true => Channel::Tls,
            false if self.trusted_networks.iter().any(|network| network.contains(peer)) => Channel::Trusted,
            false => Channel::Plain,
        }
    }

    /// How line ends of message text are treated: ours are repaired, others' must be right.
    pub(in crate::smtp) fn line_endings(&self) -> LineEndings {
        match self.role {
            Role::Submission => LineEndings::Repair,
            Role::Mx | Role::Lmtp => LineEndings::Strict,
        }
    }
}
