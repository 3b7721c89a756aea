//! Settings of the IMAP role.

use sterna_gateway::login::network::Network;

/// What the role is told; the configuration's bounds hold for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapConfig {
    /// Networks from which logins in the clear are allowed: a webmail server beside this one, a
    /// balancer that ends TLS.
    pub trusted_networks: Vec<Network>,
    /// Largest message that APPEND takes, in octets (`APPENDLIMIT`, RFC 7889).
    pub append_limit_octets: u64,
    /// How long a client may take to log in, in seconds.
    pub login_timeout_s: u64,
    /// How long a logged-in client may be silent, in seconds; at least 1,800 (RFC 9051 §5.4).
    pub idle_timeout_s: u64,
    /// After how long without a word to it an idle client is told that the server is there, in seconds.
    pub idle_notice_s: u64,
    /// How long a client may refuse to take what it asked for, in seconds.
    pub write_timeout_s: u64,
}

impl Default for ImapConfig {
    fn default() -> Self {
        Self {
            trusted_networks: Vec::new(),
            append_limit_octets: 50 << 20,
            login_timeout_s: crate::limits::IMAP_LOGIN_TIME.as_secs(),
            idle_timeout_s: 1_860,
            idle_notice_s: crate::limits::IMAP_IDLE_NOTICE.as_secs(),
            write_timeout_s: 300,
        }
    }
}
