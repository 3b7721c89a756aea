//! What the machine gives: free ports and addresses on loopback, and waiting for a condition.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Longest that anything is waited for. The machines of continuous integration are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A TCP port that is free on loopback, and given out once in this process. Below the range from which
/// the kernel takes ports for outgoing connections, so that no client grabs it before the server binds.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(seed) * 31 % u32::from(COUNT)) as u16 / 2 + step % (COUNT / 2);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on loopback");
}

/// A loopback address given out once in this process, for servers that need a well-known port.
pub fn loopback_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let pid = std::process::id();
    Ipv4Addr::new(127, 64 + (pid % 128) as u8, (pid / 128 % 250) as u8 ^ high, low.wrapping_add(2))
}

/// Waits until `condition` gives a value; panics with `what` after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
