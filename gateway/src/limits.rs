//! The bounds of this floor: the number, its unit, and why it is what it is.

use std::time::Duration;

/// Time for a TLS handshake as the server: a slow phone needs seconds, half a handshake must not stay.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(30);
/// Connections that the kernel keeps until they are accepted; what it allows may be less.
pub const LISTEN_BACKLOG: u32 = 1024;
/// Pause after accept failed for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Idle time after which TCP asks whether the peer is still there: below what NAT routers forget after.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(240);
/// Time between such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Most that one read takes, in octets: a TLS record. It stands on the stack, and only while reading.
pub const READ_CHUNK_OCTETS: usize = 16 * 1024;

/// Deepest nesting of multiparts and attached messages that is parsed; what lies deeper is shown as one
/// opaque part. Real mail stays below ten; each level costs one boundary comparison per delimiter line.
pub const MIME_DEPTH: usize = 64;
/// Most parts of one message that are told apart; the rest stays within the body of its parent.
/// At about 100 octets a part the structure of the worst message stays near one megabyte.
pub const MIME_PARTS: usize = 10_000;
/// Most octets of one header section in which fields are looked for. Its extent is always exact.
pub const HEADER_OCTETS: usize = 1 << 20;
/// Most fields of one header section that are looked at.
pub const HEADER_FIELDS: usize = 10_000;
/// Most addresses of one header field that are kept.
pub const HEADER_ADDRESSES: usize = 10_000;
/// Most parameters of one Content-Type or Content-Disposition field that are kept.
pub const MIME_PARAMETERS: usize = 100;
/// Largest encoded summary kept beside a message, in octets (design §3); a larger one is derived from the body.
pub const SUMMARY_OCTETS: usize = 64 * 1024;
/// Longest PREVIEW in characters (RFC 8970 §3.2).
pub const PREVIEW_CHARACTERS: usize = 200;
/// How much of a plain text part is decoded to make a PREVIEW, in octets.
pub const PREVIEW_TEXT_OCTETS: usize = 4 * 1024;
/// How much of an HTML part is decoded to make a PREVIEW, in octets: style sheets come before the words.
pub const PREVIEW_HTML_OCTETS: usize = 64 * 1024;
