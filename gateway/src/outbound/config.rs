//! What an operator can set about outbound delivery.

/// How mail leaves.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// This server's name in EHLO; also how it knows itself in MX records.
    pub host: String,
    /// The port of other servers: 25 but in tests.
    pub port: u16,
    /// Where all remote mail goes instead of to its domain's hosts.
    pub smarthost: Option<Smarthost>,
    /// Whether TLS is used where a server offers it.
    pub tls: bool,
    /// Deliveries to one domain at once.
    pub connections_per_destination: usize,
    /// Deliveries that wait for one domain; further ones are put back into the queue for a moment, so that a slow
    /// domain leaves room for others. A smarthost has no such bound.
    pub waiting_per_destination: usize,
    /// Deliveries at once in all.
    pub connections: usize,
    /// Most recipients of one transaction; RFC 5321 §4.5.3.1.8 makes servers take 100.
    pub recipients_per_transaction: usize,
}

/// A server that takes all remote mail.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smarthost {
    /// Its name or address; the name's own addresses are used, not MX records.
    pub host: String,
    /// Its port.
    #[serde(default = "smtp_port")]
    pub port: u16,
}

fn smtp_port() -> u16 {
    25
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            host: "localhost".into(),
            port: smtp_port(),
            smarthost: None,
            tls: true,
            connections_per_destination: 10,
            waiting_per_destination: 500,
            connections: 200,
            recipients_per_transaction: 100,
        }
    }
}
