//! From waiting transactions to one entry: each is judged against what was written before, also by entries still
//! under way, and the survivors' writes are gathered.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::entry::Builder;
use super::inbox::{Pending, Refused};
use crate::Result;
use crate::kv::engine::{Committed, Version, Versionstamp};
use crate::kv::resolver::Window;

/// Judges transactions, and gives survivors their versions.
pub(crate) struct Resolver {
    window: Window,
    next_version: u64,
}

/// Who waits for an entry's outcome, with the version that each would get.
pub(crate) struct Waiters(Vec<(Version, oneshot::Sender<Result<Committed, Refused>>)>);

impl Resolver {
    /// Knows all that was written behind `applied`, which is nothing.
    pub(crate) fn new(applied: Version) -> Self {
        Self { window: Window::new(applied), next_version: applied.0 + 1 }
    }

    /// Judges the transactions, in order. The survivors' write sets stand behind `prefix`; `None` if there are none.
    pub(crate) fn resolve(
        &mut self,
        pending: Vec<Pending>,
        floor: Version,
        prefix: &[u8],
    ) -> Option<(Bytes, Waiters)> {
        self.window.forget(floor);
        let mut builder = Builder::new(prefix, Version(self.next_version));
        let mut waiting = Vec::with_capacity(pending.len());
        for pending in pending {
            if let Err(error) = self.window.check(&pending.commit) {
                pending.tell(Err(error.into()));
                continue;
            }
            let version = Version(self.next_version);
            self.next_version += 1;
            self.window.record(version, &pending.commit);
            builder.push(&pending.commit.mutations, version, pending.inline);
            waiting.push((version, pending.done));
        }
        (!waiting.is_empty()).then(|| (builder.finish(), Waiters(waiting)))
    }

    /// Nothing is under way, and of what was resolved only what is up to `applied` came about.
    pub(crate) fn take_back(&mut self, applied: Version) {
        self.next_version = applied.0 + 1;
        self.window.take_back(applied);
    }
}

impl Waiters {
    /// Tells each. A caller may have gone; the commit stands all the same.
    pub(crate) fn tell(self, outcome: &Result<(), Refused>) {
        for (version, done) in self.0 {
            let versionstamp = Versionstamp::new(version, 0);
            let _ = done.send(outcome.clone().map(|()| Committed { version, versionstamp }));
        }
    }
}
