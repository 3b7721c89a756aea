//! Which voters are sent a state, or were sent one and catch up: what they need of the log next is kept while they
//! answer. Otherwise whoever is written to faster than a state travels would send states for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::limits;

/// The voters.
#[derive(Default)]
pub(super) struct Sending(Mutex<BTreeMap<u64, Receiver>>);

struct Receiver {
    transfer: u64,
    // The last of openraft's indices that it does not need.
    has: u64,
    heard: Instant,
    is_sent: bool,
}

/// A state on its way to a voter. It is over when this is dropped.
pub(super) struct Transfer {
    sending: Arc<Sending>,
    node: u64,
    number: u64,
}

impl Sending {
    /// A state that includes everything up to the index is sent to the node.
    pub(super) fn begin(self: &Arc<Self>, node: u64, index: u64) -> Transfer {
        let transfer = rand::random();
        let receiver = Receiver { transfer, has: index, heard: Instant::now(), is_sent: false };
        self.0.lock().insert(node, receiver);
        Transfer { sending: self.clone(), node, number: transfer }
    }

    /// The last of openraft's indices that may go, where `usual` could otherwise. `matching` tells how far a node's log
    /// is confirmed to go.
    pub(super) fn upto(&self, usual: u64, now: Instant, matching: impl Fn(u64) -> Option<u64>) -> u64 {
        let mut receivers = self.0.lock();
        receivers.retain(|node, receiver| {
            if let Some(index) = matching(*node).filter(|index| *index > receiver.has) {
                (receiver.has, receiver.heard) = (index, now);
            }
            let has_caught_up = receiver.is_sent && receiver.has >= usual;
            !has_caught_up && now.duration_since(receiver.heard) <= limits::SNAPSHOT_PATIENCE
        });
        receivers.values().map(|receiver| receiver.has).min().map_or(usual, |has| has.min(usual))
    }
}

impl Transfer {
    /// The node answered.
    pub(super) fn heard(&self) {
        self.with(|receiver| receiver.heard = Instant::now());
    }

    /// The node has the state, and now catches up.
    pub(super) fn is_whole(&self) {
        self.with(|receiver| receiver.is_sent = true);
    }

    fn with(&self, body: impl FnOnce(&mut Receiver)) {
        let mut receivers = self.sending.0.lock();
        receivers.get_mut(&self.node).filter(|receiver| receiver.transfer == self.number).map(body);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut receivers = self.sending.0.lock();
        let is_over = |receiver: &Receiver| receiver.transfer == self.number && !receiver.is_sent;
        if receivers.get(&self.node).is_some_and(is_over) {
            receivers.remove(&self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_needs_next_is_kept_while_it_answers() {
        let sending = Arc::<Sending>::default();
        let now = Instant::now();
        assert_eq!(sending.upto(50, now, |_| None), 50);
        let transfer = sending.begin(3, 10);
        let other = sending.begin(4, 20);
        assert_eq!(sending.upto(50, now, |_| None), 10);
        assert_eq!(sending.upto(5, now, |_| None), 5);
        drop(other);
        transfer.is_whole();
        drop(transfer);
        let later = now + limits::SNAPSHOT_PATIENCE / 2;
        assert_eq!(sending.upto(50, later, |_| Some(30)), 30, "it catches up");
        let much_later = later + limits::SNAPSHOT_PATIENCE;
        assert_eq!(sending.upto(50, much_later, |_| Some(30)), 30);
        assert_eq!(sending.upto(60, much_later, |_| Some(60)), 60, "it has caught up");
        assert_eq!(sending.upto(90, much_later, |_| Some(60)), 90);
        let _silent = sending.begin(3, 10);
        let for_long = Instant::now() + limits::SNAPSHOT_PATIENCE * 2;
        assert_eq!(sending.upto(50, for_long, |_| None), 50);
    }
}
