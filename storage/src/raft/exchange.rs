//! One call of this node about one group, and its answer.

use std::sync::Arc;

use super::call::{Answer, Call, Envelope};
use super::transport::{CallError, NodeId, Patience, Transport};
use crate::limits;

/// Who calls.
pub(super) struct Exchange {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) group: String,
    pub(super) node: NodeId,
    /// Of its folder; 0 without one.
    pub(super) incarnation: u64,
}

impl Exchange {
    /// Asks a node, or only the folder of that incarnation.
    pub(super) async fn ask(
        &self,
        (to, incarnation): (NodeId, u64),
        call: &Call,
        patience: impl Into<Patience>,
    ) -> Result<Answer, CallError> {
        let envelope = Envelope {
            group: self.group.clone(),
            to: incarnation,
            from: self.incarnation,
            call: call.clone(),
        };
        let request = envelope.encode();
        if request.len() > limits::CALL_OCTETS {
            return Err(CallError::NotSent(to, format!("a call of {} octets", request.len())));
        }
        let answer = self.transport.call(to, call.lane(), request, patience.into()).await?;
        Answer::decode(&answer).map_err(|error| CallError::Lost(to, error.to_string()))
    }
}
