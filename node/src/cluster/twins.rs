//! Which nodes are connected, and who has left. Two nodes with one identity: a folder was copied. Whoever is called by
//! both notices, keeps to the first, and tells both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use sterna_storage::raft::NodeId;
use tokio::sync::{Notify, mpsc};

use super::identity::Incarnation;
use crate::limits;

/// The runs of other nodes that are connected now. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Twins(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<HashMap<NodeId, Known>>,
    /// Whose last connection has ended.
    left: mpsc::UnboundedSender<NodeId>,
    came: Notify,
}

#[derive(Debug)]
struct Known {
    incarnation: Incarnation,
    address: IpAddr,
    /// At least 1.
    connections: usize,
    rival: Option<Rival>,
}

/// Another run of the same node.
#[derive(Debug)]
struct Rival {
    address: IpAddr,
    seen: Instant,
    told: Instant,
}

/// Why a run is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twin {
    /// Where the run is that was there first.
    pub(super) first: IpAddr,
    /// Whether that was not said for a while.
    pub(super) is_news: bool,
}

/// One connection of a node's run; it counts until dropped.
#[derive(Debug)]
pub(super) struct Presence {
    twins: Twins,
    node: NodeId,
}

impl Twins {
    /// Nobody yet; and the nodes whose last connection ends, each time.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<NodeId>) {
        let (left, leavers) = mpsc::unbounded_channel();
        let shared = Shared { known: Mutex::default(), left, came: Notify::new() };
        (Self(Arc::new(shared)), leavers)
    }

    /// Waits until the node is connected.
    pub(super) async fn comes(&self, node: NodeId) {
        loop {
            let mut came = std::pin::pin!(self.0.came.notified());
            came.as_mut().enable();
            if self.0.known.lock().contains_key(&node) {
                return;
            }
            came.await;
        }
    }

    /// Notes a connection of that run from that address, unless another run of the node is connected.
    pub(super) fn enter(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        from: IpAddr,
        now: Instant,
    ) -> Result<Presence, Twin> {
        match self.0.known.lock().entry(node) {
            Entry::Vacant(vacant) => {
                vacant.insert(Known { incarnation, address: from, connections: 1, rival: None });
                self.0.came.notify_waiters();
            }
            Entry::Occupied(mut known) if known.get().incarnation == incarnation => {
                known.get_mut().connections += 1
            }
            Entry::Occupied(mut known) => {
                let told =
                    known.get().rival.as_ref().map(|rival| rival.told).filter(|told| is_fresh(*told, now));
                let rival = Rival { address: from, seen: now, told: told.unwrap_or(now) };
                known.get_mut().rival = Some(rival);
                return Err(Twin { first: known.get().address, is_news: told.is_none() });
            }
        }
        Ok(Presence { twins: self.clone(), node })
    }
}

impl Presence {
    /// Where another run of the same node called from a while ago, this one being connected.
    pub(super) fn rival(&self, now: Instant) -> Option<IpAddr> {
        let twins = self.twins.0.known.lock();
        let rival = twins.get(&self.node)?.rival.as_ref().filter(|rival| is_fresh(rival.seen, now))?;
        Some(rival.address)
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < limits::RIVAL_REMEMBERED
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut all = self.twins.0.known.lock();
        let Some(known) = all.get_mut(&self.node) else { return };
        known.connections -= 1;
        if known.connections == 0 {
            all.remove(&self.node);
            // Nobody waits for it where the port has ended.
            let _ = self.twins.0.left.send(self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stays_and_both_are_told_for_a_while() {
        let ((twins, mut leavers), node, now) = (Twins::new(), NodeId(3), Instant::now());
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let (run, other) = (Incarnation::random(), Incarnation::random());
        let first = twins.enter(node, run, address(1), now).expect("the first");
        let second = twins.enter(node, run, address(1), now).expect("the same run");
        assert_eq!(first.rival(now), None);
        let refused = |is_news| Twin { first: address(1), is_news };
        assert_eq!(twins.enter(node, other, address(3), now).expect_err("another run"), refused(true));
        assert_eq!(twins.enter(node, other, address(3), now).expect_err("again"), refused(false));
        assert_eq!((first.rival(now), second.rival(now)), (Some(address(3)), Some(address(3))));
        let later = now + limits::RIVAL_REMEMBERED;
        assert_eq!(first.rival(later), None, "it is gone");
        assert_eq!(twins.enter(node, other, address(3), later).expect_err("it is back"), refused(true));
        drop(first);
        assert!(twins.enter(node, other, address(3), later).is_err(), "one connection is left");
        assert!(leavers.is_empty(), "it is still there");
        drop(second);
        assert_eq!(leavers.try_recv(), Ok(node));
        assert!(twins.enter(node, other, address(3), later).is_ok(), "a restart");
    }
}
