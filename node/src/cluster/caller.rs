//! Calls other nodes: the cluster's transport, over one kept connection per node and lane.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sterna_storage::cluster::NodeAddress;
use sterna_storage::limits::CALL_OCTETS;
use sterna_storage::raft::{CallError, Lane, NodeId, Patience, Transport};

use super::credentials::LiveCredentials;
use super::dial::Dialer;
use super::identity::Incarnation;
use super::lane::Queue;
use super::peers::Peers;

/// Calls other nodes. Its connections end with it.
#[derive(Debug)]
pub struct Caller {
    dialer: Dialer,
    queues: Mutex<HashMap<(NodeId, Lane), Arc<Queue>>>,
}

impl Caller {
    /// Shows these credentials, and finds the nodes among these peers.
    pub fn new(live: LiveCredentials, peers: Peers, incarnation: Incarnation) -> Self {
        let dialer = Dialer { live, peers, incarnation, address: None, rival: Arc::default() };
        Self { dialer, queues: Mutex::default() }
    }

    /// The same; it tells those whom it calls that this node is called there.
    pub fn called_at(mut self, address: NodeAddress) -> Self {
        self.dialer.address = Some(address);
        self
    }

    /// What others have told lately of a second node under this one's identity.
    pub fn rival(&self) -> Option<String> {
        self.dialer.rival.warning(Instant::now())
    }

    fn queue(&self, to: NodeId, lane: Lane) -> Result<Arc<Queue>, String> {
        let is_known = self.dialer.peers.address(to).is_some();
        match self.queues.lock().entry((to, lane)) {
            Entry::Occupied(queue) if is_known => Ok(queue.get().clone()),
            Entry::Vacant(vacant) if is_known => {
                Ok(vacant.insert(Arc::new(Queue::start(self.dialer.clone(), to, lane))).clone())
            }
            Entry::Occupied(queue) => {
                queue.remove();
                Err("it is no node of this cluster any more".into())
            }
            Entry::Vacant(_) => Err("it is no node of this cluster".into()),
        }
    }
}

#[async_trait]
impl Transport for Caller {
    async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        patience: Patience,
    ) -> Result<Bytes, CallError> {
        if request.len() > CALL_OCTETS {
            let reason = format!("a call of {} octets, at most {CALL_OCTETS}", request.len());
            return Err(CallError::NotSent(to, reason));
        }
        let pending = self.queue(to, lane).and_then(|queue| queue.push(request));
        pending.map_err(|reason| CallError::NotSent(to, reason))?.within(to, patience).await
    }
}
