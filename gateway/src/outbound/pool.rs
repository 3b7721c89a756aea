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
    idle: Mutex<Idle>,
    down: Mutex<HashMap<SocketAddr, Down>>,
    no_tls: moka::sync::Cache<SocketAddr, ()>,
    destinations: Mutex<HashMap<String, Arc<Gate>>>,
    bounds: Bounds,
    total: Arc<Semaphore>,
}

/// How much there may be of each.
pub(super) struct Bounds {
    /// Deliveries that run.
    pub(super) connections: usize,
    /// Of them to one destination, and how many more may wait for it.
    pub(super) per_destination: usize,
    pub(super) waiting: usize,
    /// Time that a connection is kept for the next delivery.
    pub(super) idle: Duration,
}

/// Connections that wait for the next delivery.
#[derive(Default)]
struct Idle {
    sessions: Vec<Session>,
    /// Nothing is kept any more.
    is_closed: bool,
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
    pub(super) fn new(bounds: Bounds) -> Self {
        let total = Arc::new(Semaphore::new(bounds.connections.max(1)));
        Self {
            idle: Mutex::default(),
            down: Mutex::default(),
            no_tls: moka::sync::Cache::builder()
                .max_capacity(limits::HOSTS_REMEMBERED as u64)
                .time_to_live(limits::NO_TLS_REMEMBERED)
                .build(),
            destinations: Mutex::default(),
            bounds: Bounds { per_destination: bounds.per_destination.max(1), ..bounds },
            total,
        }
    }

    /// How long a connection is kept for the next delivery.
    pub(super) fn idle_time(&self) -> Duration {
        self.bounds.idle
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
                Arc::strong_count(gate) == 1
                    && gate.running.available_permits() == self.bounds.per_destination
            };
            destinations.retain(|_, gate| !rests(gate));
        }
        let running = Arc::new(Semaphore::new(self.bounds.per_destination));
        let gate = Arc::new(Gate { running, waiting: Semaphore::new(self.bounds.waiting) });
        destinations.insert(name.to_owned(), gate.clone());
        gate
    }

    /// A connection to that address that is open already, the latest used first.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Session> {
        let now = Instant::now();
        let sessions = &mut self.idle.lock().sessions;
        let fresh = |session: &Session| now.duration_since(session.idle_since) < self.bounds.idle;
        let position = sessions.iter().rposition(|session| session.address == address && fresh(session))?;
        Some(sessions.remove(position))
    }

    /// Keeps a connection for the next delivery; gives back the one that has to go for it.
    pub(super) fn keep(&self, mut session: Session) -> Option<Session> {
        session.idle_since = Instant::now();
        let mut idle = self.idle.lock();
        if idle.is_closed {
            return Some(session);
        }
        idle.sessions.push(session);
        (idle.sessions.len() > limits::OUTBOUND_IDLE_CONNECTIONS).then(|| idle.sessions.remove(0))
    }

    /// Takes out the connections that have been idle for too long.
    pub(super) fn expired(&self) -> Vec<Session> {
        let now = Instant::now();
        let is_old = |session: &mut Session| now.duration_since(session.idle_since) >= self.bounds.idle;
        self.idle.lock().sessions.extract_if(.., is_old).collect()
    }

    /// Takes out all connections; from now on none is kept.
    pub(super) fn close(&self) -> Vec<Session> {
        let mut idle = self.idle.lock();
        idle.is_closed = true;
        std::mem::take(&mut idle.sessions)
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

    fn pool(connections: usize) -> Pool {
        Pool::new(Bounds { connections, per_destination: 1, waiting: 1, idle: limits::OUTBOUND_IDLE })
    }

    #[tokio::test]
    async fn hosts_that_fail_are_left_alone_for_longer_each_time() {
        let pool = pool(1);
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
        let pool = pool(2);
        let held = pool.slot("a").await;
        let mut waiting = Box::pin(pool.slot("a"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(pool.slot("a").await.is_none(), "only one may wait");
        assert!(pool.slot("b").await.is_some());
        drop(held);
        assert!(waiting.await.is_some());
    }
}
