//! Receiving a whole state, one part after the other. A part that began to be taken in is, whether or not its sender still
//! waits.

use std::sync::Arc;

use openraft::alias::SnapshotOf;
use openraft::async_runtime::WatchReceiver;
use openraft::{Raft, SnapshotMeta};
use tokio::sync::OwnedMutexGuard;

use super::call::Answer;
use super::consensus::{Types, Vote};
use super::group::Group;
use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::{Carried, Complete, Incoming, Part, Received, Taken};
use super::trees::Trees;
use crate::{Error, Result};

/// What is being received, and the last transfer that was installed: its last answer may have been lost.
#[derive(Default)]
pub(super) struct Reception(Arc<tokio::sync::Mutex<Receiving>>);

#[derive(Default)]
struct Receiving {
    incoming: Option<Incoming>,
    installed: Option<u64>,
}

/// Who takes one part in. Nobody else does meanwhile.
struct Receiver {
    raft: Raft<Types, Machine>,
    log: LogStore,
    trees: Trees,
    receiving: OwnedMutexGuard<Receiving>,
}

impl Group {
    /// Takes a part in.
    pub(super) async fn receive(&self, part: Part) -> Answer {
        // One part at a time; parts of two senders take each other's place.
        let receiver = Receiver {
            receiving: self.reception.0.clone().lock_owned().await,
            raft: self.raft.clone(),
            log: self.log.clone(),
            trees: self.state.trees.clone(),
        };
        // Goes on if this call is given up.
        let received = tokio::spawn(receiver.receive(part)).await;
        match received.unwrap_or(Err(Error::Closed)) {
            Ok(received) => Answer::Received(received),
            Err(error) => {
                tracing::warn!(%error, "a state cannot be received");
                Answer::Failed(error)
            }
        }
    }
}

impl Receiver {
    async fn receive(mut self, part: Part) -> Result<Received> {
        let mine = self.raft.metrics().borrow_watched().vote;
        let order = part.vote.partial_cmp(&mine);
        if order.is_none_or(std::cmp::Ordering::is_lt) {
            return Ok(Received::Outvoted(mine));
        }
        if self.receiving.installed == Some(part.transfer) {
            return Ok(Received::Installed(mine));
        }
        let (transfer, vote) = (part.transfer, part.vote);
        match self.take(part).await? {
            Taken::More(incoming, parts) => {
                self.receiving.incoming = Some(incoming);
                Ok(Received::Parts(parts))
            }
            Taken::Refused => Ok(Received::Unknown(())),
            Taken::Whole(complete) => {
                let vote = self.install(vote, complete).await?;
                self.receiving.installed = Some(transfer);
                Ok(Received::Installed(vote))
            }
        }
    }

    async fn take(&mut self, part: Part) -> Result<Taken> {
        let (trees, tree) = (self.trees.clone(), self.log.held().tree + 1);
        let (before, pass) = (self.receiving.incoming.take(), self.log.enter()?);
        let taken = tokio::task::spawn_blocking(move || {
            let _pass = pass;
            Incoming::take(before, part, || (tree, trees.path(tree)), trees.memtable_octets)
        });
        taken.await.unwrap_or(Err(Error::Closed))
    }

    async fn install(&self, vote: Vote, complete: Complete) -> Result<Vote> {
        let meta = SnapshotMeta {
            last_log_id: Some(complete.last),
            last_membership: complete.roster.members.clone(),
        };
        let snapshot = SnapshotOf::<Types, Carried> { meta, snapshot: Carried::Incoming(complete) };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        let installed = installed.map_err(|error| Error::Unavailable(error.to_string().into()))?;
        Ok(installed.vote)
    }
}
