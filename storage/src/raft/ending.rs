//! What of a group ends last: the tree's threads, the log, and the lock of the folder, in this order, once nobody
//! changes the folder any more.

use std::fs::File;
use std::sync::Arc;

use super::log_store::LogStore;
use super::machine::State;
use crate::kv::store::keeper::spawn;

/// A folder that is open. If it is dropped, also half way through an opening, it ends on a thread of its own.
pub(super) struct Ending(Option<Open>);

struct Open {
    state: Arc<State>,
    log: LogStore,
    lock: File,
}

impl Open {
    fn end(self) {
        self.log.shut();
        self.state.stop();
        self.log.log().close();
        drop(self.lock);
    }
}

impl Ending {
    pub(super) fn new(state: Arc<State>, log: LogStore, lock: File) -> Self {
        Self(Some(Open { state, log, lock }))
    }

    /// Ends it. Blocks.
    pub(super) fn end_here(mut self) {
        if let Some(open) = self.0.take() {
            open.end();
        }
    }

    /// Ends it; goes on if nobody waits any more.
    pub(super) async fn end(self) {
        if tokio::task::spawn_blocking(move || self.end_here()).await.is_err() {
            tracing::error!("closing a group panicked");
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(open) = self.0.take()
            && let Err(error) = spawn("raft-end", move || open.end())
        {
            tracing::error!(%error, "the threads of a group that was dropped go on");
        }
    }
}
