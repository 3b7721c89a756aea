//! Who the other nodes are and where they are called. Changes while running; whoever needs to know is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use sterna_storage::cluster::{Node, NodeAddress};
use sterna_storage::raft::NodeId;
use tokio::sync::watch;

/// The nodes at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Where each is called, this one among them.
    pub addresses: BTreeMap<NodeId, NodeAddress>,
    /// Those that were removed: nobody calls them, and nobody answers them.
    pub removed: BTreeSet<NodeId>,
}

impl Members {
    /// Those of the roster.
    pub fn of(nodes: &[Node]) -> Self {
        let mut members = Self::default();
        for node in nodes {
            if node.removed.is_some() {
                members.removed.insert(node.id);
            } else {
                members.addresses.insert(node.id, node.address.clone());
            }
        }
        members
    }
}

/// The nodes that this one knows. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Peers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    members: watch::Sender<Arc<Members>>,
    moves: Mutex<BTreeMap<NodeId, Move>>,
}

/// Where a node says that it is called now.
#[derive(Debug)]
struct Move {
    /// What the roster said then: as long as it says so, it has not heard of the move.
    from: NodeAddress,
    to: NodeAddress,
}

impl Peers {
    /// These.
    pub fn new(members: Members) -> Self {
        let members = watch::Sender::new(Arc::new(members));
        Self(Arc::new(Inner { members, moves: Mutex::default() }))
    }

    /// Those known now.
    pub fn current(&self) -> Arc<Members> {
        self.0.members.borrow().clone()
    }

    /// Exchanges them for what the roster says, and tells whether that changed anything. A node that has said itself
    /// that it moved is called there until the roster has heard of it too.
    pub fn replace(&self, mut members: Members) -> bool {
        self.0.moves.lock().retain(|node, moved| match members.addresses.get_mut(node) {
            Some(address) if *address == moved.from => {
                *address = moved.to.clone();
                true
            }
            _ => false,
        });
        self.0.members.send_if_modified(|current| {
            let differs = **current != members;
            if differs {
                *current = Arc::new(members);
            }
            differs
        })
    }

    /// Takes in where a node says that it is called, and tells whether that is elsewhere than known. Of a node that is
    /// not known, nothing.
    pub fn says(&self, node: NodeId, address: NodeAddress) -> bool {
        let mut moves = self.0.moves.lock();
        self.0.members.send_if_modified(|current| {
            let Some(known) = current.addresses.get(&node).filter(|known| **known != address) else {
                return false;
            };
            let from = moves.remove(&node).map_or_else(|| known.clone(), |before| before.from);
            if from != address {
                moves.insert(node, Move { from, to: address.clone() });
            }
            Arc::make_mut(current).addresses.insert(node, address);
            true
        })
    }

    /// Tells of each change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Members>> {
        self.0.members.subscribe()
    }

    /// Where the node is called, if it is known and was not removed.
    pub fn address(&self, node: NodeId) -> Option<NodeAddress> {
        self.0.members.borrow().addresses.get(&node).cloned()
    }

    /// Whether it was removed.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.0.members.borrow().removed.contains(&node)
    }

    /// Ends once the node is removed.
    pub async fn removed(&self, node: NodeId) {
        let mut receiver = self.0.members.subscribe();
        // The sender lives in self: there is always a next change to wait for.
        let _ = receiver.wait_for(|members| members.removed.contains(&node)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_that_it_moved_is_called_there_until_the_roster_knows_more() {
        let node = NodeId(2);
        let address = |text: &str| text.parse::<NodeAddress>().expect("an address");
        let roster = |at: &str| Members { addresses: [(node, address(at))].into(), ..Members::default() };
        let peers = Peers::new(roster("old:1"));
        assert!(!peers.says(node, address("old:1")) && !peers.says(NodeId(9), address("any:1")));
        assert!(peers.says(node, address("new:1")));
        assert!(!peers.replace(roster("old:1")), "the roster has not heard of it");
        assert!(peers.says(node, address("newer:1")));
        assert_eq!(peers.address(node), Some(address("newer:1")));
        assert!(!peers.replace(roster("old:1")) && !peers.replace(roster("newer:1")));
        assert!(peers.replace(roster("old:1")), "it knows more by now");
        assert!(peers.says(node, address("new:1")) && peers.replace(roster("third:1")));
        assert_eq!(peers.address(node), Some(address("third:1")));
    }
}
