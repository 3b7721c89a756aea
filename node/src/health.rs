//! Whether this node lives, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sterna_gateway::net::Drain;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    serving: Arc<AtomicBool>,
    stores: Arc<AtomicBool>,
    drain: Drain,
}

impl Health {
    /// Not ready yet. It stops being ready when the drain starts.
    pub fn new(drain: Drain) -> Self {
        Self { serving: Arc::default(), stores: Arc::new(AtomicBool::new(true)), drain }
    }

    /// Whether the stores can be read and written now: those of a cluster need a majority.
    pub fn stores_answer(&self, do_they: bool) {
        if self.stores.swap(do_they, Ordering::AcqRel) != do_they {
            tracing::warn!(do_they, "whether the stores answer has changed");
        }
    }

    /// Every port is bound and the stores are open.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        let is_up = self.serving.load(Ordering::Acquire) && self.stores.load(Ordering::Acquire);
        is_up && !self.drain.is_started()
    }
}
