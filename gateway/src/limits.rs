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
