//! What is remembered between deliveries: connections that are kept for a moment, hosts that are down, servers
//! whose TLS does not work, and how many deliveries run. All of it bounded, and none of it needed: a node that
//! forgets only tries again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::session::Session;
use crate::limits;

pub(super) struct Pool {
    idle: Mutex<Vec<Session>>,
    down: Mutex<HashMap<SocketAddr, Down>>,
    no_tls: moka::sync::Cache<SocketAddr, ()>,
    destinations: Mutex<HashMap<String, Arc<Gate>>>,
    per_destination: usize,
    /// Most deliveries that wait for one destination.
    waiting: usize,
    total: Arc<Semaphore>,
}

/// One destination's deliveries: those that run, and how many wait.
struct Gate {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

struct Down {
    until: Instant,
    failures: u32,
}

/// The right to deliver to one destination. Given back when dropped.
pub(super) struct Slot {
    _total: OwnedSemaphorePermit,
    _destination: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(connections: usize, per_destination: usize, waiting: usize) -> Self {
        Self {
            idle: Mutex::default(),
            down: Mutex::default(),
            no_tls: moka::sync::Cache::builder()
                .max_capacity(limits::HOSTS_REMEMBERED as u64)
                .time_to_live(limits::NO_TLS_REMEMBERED)
                .build(),
            destinations: Mutex::default(),
            per_destination: per_destination.max(1),
            waiting,
            total: Arc::new(Semaphore::new(connections.max(1))),
        }
    }

    /// Waits for the right to deliver to `destination`; `None` where too many wait for it already. Deliveries
    /// waiting for one destination hold up no other.
    pub(super) async fn slot(&self, destination: &str) -> Option<Slot> {
        let gate = self.destination(destination);
        let running = match gate.running.clone().try_acquire_owned() {
            Ok(running) => running,
            Err(_) => {
                let _waiting = gate.waiting.try_acquire().ok()?;
                gate.running.clone().acquire_owned().await.ok()?
            }
        };
        let total = self.total.clone().acquire_owned().await.ok()?;
        Some(Slot { _total: total, _destination: running })
    }

    fn destination(&self, name: &str) -> Arc<Gate> {
        let mut destinations = self.destinations.lock();
        if let Some(known) = destinations.get(name) {
            return known.clone();
        }
        if destinations.len() >= limits::HOSTS_REMEMBERED {
            // Those that nobody waits for or uses are no different from new ones.
            let rests = |gate: &Arc<Gate>| {
                Arc::strong_count(gate) == 1 && gate.running.available_permits() == self.per_destination
            };
            destinations.retain(|_, gate| !rests(gate));
        }
        let running = Arc::new(Semaphore::new(self.per_destination));
        let gate = Arc::new(Gate { running, waiting: Semaphore::new(self.waiting) });
        destinations.insert(name.to_owned(), gate.clone());
        gate
    }

    /// A connection to that address that is open already, the latest used first.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Session> {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let fresh = |session: &Session| now.duration_since(session.idle_since) < limits::OUTBOUND_IDLE;
        let position = idle.iter().rposition(|session| session.address == address && fresh(session))?;
        Some(idle.remove(position))
    }

    /// Keeps a connection for the next delivery; gives back the one that has to go for it.
    pub(super) fn keep(&self, mut session: Session) -> Option<Session> {
        session.idle_since = Instant::now();
        let mut idle = self.idle.lock();
        idle.push(session);
        (idle.len() > limits::OUTBOUND_IDLE_CONNECTIONS).then(|| idle.remove(0))
    }

    /// Takes out the connections that have been idle for too long, or all.
    pub(super) fn expired(&self, all: bool) -> Vec<Session> {
        let now = Instant::now();
        let old =
            |session: &mut Session| all || now.duration_since(session.idle_since) >= limits::OUTBOUND_IDLE;
        self.idle.lock().extract_if(.., old).collect()
    }

    /// Whether the address failed a moment ago.
    pub(super) fn is_down(&self, address: SocketAddr, now: Instant) -> bool {
        self.down.lock().get(&address).is_some_and(|down| now < down.until)
    }

    /// Remembers a failure: the address is left alone for a while, longer each time.
    pub(super) fn failed(&self, address: SocketAddr, now: Instant) {
        let mut down = self.down.lock();
        if down.len() >= limits::HOSTS_REMEMBERED {
            down.retain(|_, entry| now < entry.until);
        }
        if down.len() >= limits::HOSTS_REMEMBERED {
            return;
        }
        let entry = down.entry(address).or_insert(Down { until: now, failures: 0 });
        // Deliveries that run side by side fail together: they count once.
        if now >= entry.until {
            entry.until = now + pause_after(entry.failures);
            entry.failures += 1;
        }
    }

    pub(super) fn succeeded(&self, address: SocketAddr) {
        self.down.lock().remove(&address);
    }

    pub(super) fn is_without_tls(&self, address: SocketAddr) -> bool {
        self.no_tls.contains_key(&address)
    }

    pub(super) fn tls_failed(&self, address: SocketAddr) {
        self.no_tls.insert(address, ());
    }
}

/// From half a minute to a quarter of an hour.
fn pause_after(failures: u32) -> Duration {
    let doubled = limits::HOST_DOWN_FIRST * 2u32.saturating_pow(failures.min(10));
    doubled.min(limits::HOST_DOWN_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_that_fail_are_left_alone_for_longer_each_time() {
        let pool = Pool::new(1, 1, 1);
        let address: SocketAddr = "192.0.2.1:25".parse().expect("an address");
        let start = Instant::now();
        assert!(!pool.is_down(address, start));
        pool.failed(address, start);
        pool.failed(address, start);
        assert!(pool.is_down(address, start));
        let later = start + limits::HOST_DOWN_FIRST;
        assert!(!pool.is_down(address, later));
        pool.failed(address, later);
        assert!(pool.is_down(address, later + limits::HOST_DOWN_FIRST));
        assert!(!pool.is_down(address, later + limits::HOST_DOWN_FIRST * 2));
        pool.succeeded(address);
        assert!(!pool.is_down(address, later));
        assert_eq!(pause_after(30), limits::HOST_DOWN_LONGEST);
    }

    #[tokio::test]
    async fn one_destination_does_not_hold_up_another() {
        let pool = Pool::new(2, 1, 1);
        let held = pool.slot("a").await;
        let mut waiting = Box::pin(pool.slot("a"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(pool.slot("a").await.is_none(), "only one may wait");
        assert!(pool.slot("b").await.is_some());
        drop(held);
        assert!(waiting.await.is_some());
    }
}
