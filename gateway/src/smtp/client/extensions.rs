//! What a server offers (RFC 5321 §4.1.1.1).

use super::super::codec::PeerReply;

/// The extensions that matter to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtp_utf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 1870; with 0 octets where the server names no limit.
    pub size_octets: Option<u64>,
}

impl Extensions {
    /// From the reply to EHLO or LHLO.
    pub(super) fn of(reply: &PeerReply) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines.iter().skip(1) {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => extensions.pipelining = true,
                "STARTTLS" => extensions.starttls = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "SMTPUTF8" => extensions.smtp_utf8 = true,
                "DSN" => extensions.dsn = true,
                "SIZE" => extensions.size_octets = Some(value.trim().parse().unwrap_or(0)),
                _ => {}
            }
        }
        extensions
    }

    /// Whether a message of that size may be sent.
    pub fn takes(&self, octets: u64) -> bool {
        !matches!(self.size_octets, Some(limit) if limit > 0 && octets > limit)
    }
}
