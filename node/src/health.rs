//! Whether this node lives, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sterna_gateway::net::Drain;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    serving: Arc<AtomicBool>,
    drain: Drain,
}

impl Health {
    /// Not ready yet. It stops being ready when the drain starts.
    pub fn new(drain: Drain) -> Self {
        Self { serving: Arc::default(), drain }
    }

    /// Every port is bound and the stores are open.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        self.serving.load(Ordering::Acquire) && !self.drain.is_started()
    }
}
