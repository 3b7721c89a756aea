//! How many connections there may be: in all, and from one source. A source is an IPv4 address or an
//! IPv6 /64, which is what one customer of a provider is given.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The permits of one protocol, shared by its listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Permits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: usize,
    per_source: usize,
    held: Mutex<Held>,
    whole: Option<Permits>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    sources: HashMap<IpAddr, usize>, // no entry is 0
}

/// One connection's permit; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    source: IpAddr,
    _of_whole: Option<Box<Permit>>,
}

impl Permits {
    /// At most `total` connections, of which at most `per_source` from one source.
    pub fn new(total: usize, per_source: usize) -> Self {
        Self { inner: Arc::new(Inner { total, per_source, held: Mutex::default(), whole: None }) }
    }

    /// As many of its own, each of which is also one of `whole`.
    pub fn within(&self, whole: &Self) -> Self {
        let Inner { total, per_source, .. } = *self.inner;
        let whole = Some(whole.clone());
        Self { inner: Arc::new(Inner { total, per_source, held: Mutex::default(), whole }) }
    }

    /// A permit for a connection from `peer`, if there is one.
    pub fn acquire(&self, peer: IpAddr) -> Option<Permit> {
        let source = source_of(peer);
        let mut held = self.inner.held.lock();
        let of_source = held.sources.get(&source).copied().unwrap_or(0);
        if held.total >= self.inner.total || of_source >= self.inner.per_source {
            return None;
        }
        let of_whole = match &self.inner.whole {
            Some(whole) => Some(Box::new(whole.acquire(peer)?)),
            None => None,
        };
        held.total += 1;
        held.sources.insert(source, of_source + 1);
        Some(Permit { permits: self.clone(), source, _of_whole: of_whole })
    }

    /// Connections there are.
    pub fn held(&self) -> usize {
        self.inner.held.lock().total
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.permits.inner.held.lock();
        held.total -= 1;
        if let Some(of_source) = held.sources.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                held.sources.remove(&self.source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address (also when mapped into IPv6), or an IPv6 /64.
fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn sources_and_the_total_are_bounded() {
        let permits = Permits::new(3, 2);
        let first = permits.acquire(ip("2001:db8::1")).expect("free");
        let _second = permits.acquire(ip("2001:db8::2")).expect("free");
        assert!(permits.acquire(ip("2001:db8::3")).is_none(), "same /64");
        let _third = permits.acquire(ip("192.0.2.1")).expect("another source");
        assert!(permits.acquire(ip("192.0.2.2")).is_none(), "total");
        drop(first);
        let _again = permits.acquire(ip("2001:db8::4")).expect("given back");
        assert_eq!(permits.held(), 3);
    }

    #[test]
    fn what_several_share_is_bounded_too() {
        let whole = Permits::new(3, usize::MAX);
        let (one, other) = (Permits::new(2, 2).within(&whole), Permits::new(2, 2).within(&whole));
        let first = one.acquire(ip("192.0.2.1")).expect("free");
        let _second = one.acquire(ip("192.0.2.1")).expect("free");
        let _third = other.acquire(ip("192.0.2.1")).expect("free");
        assert!(other.acquire(ip("192.0.2.2")).is_none(), "all three are held");
        assert_eq!((other.held(), whole.held()), (1, 3), "who is refused holds nothing");
        drop(first);
        let _fourth = other.acquire(ip("192.0.2.2")).expect("given back to both");
        assert_eq!((one.held(), other.held(), whole.held()), (1, 2, 3));
    }

    #[test]
    fn a_mapped_address_is_its_own_source() {
        let permits = Permits::new(9, 1);
        let _held = permits.acquire(ip("::ffff:192.0.2.1")).expect("free");
        assert!(permits.acquire(ip("192.0.2.1")).is_none());
        assert!(permits.acquire(ip("192.0.2.2")).is_some());
    }
}
