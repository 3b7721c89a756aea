//! Keeps what a node knows of the others current with the roster, here and for its next start.

use sterna_storage::Error;
use sterna_storage::cluster::{NodeAddress, Roster};
use sterna_storage::raft::NodeId;
use tokio_util::sync::CancellationToken;

use super::folder::ClusterFolder;
use super::peers::{Members, Peers};
use crate::limits;

/// What following needs.
pub struct Follower {
    /// Who there is.
    pub roster: Roster,
    /// What is kept current.
    pub peers: Peers,
    /// Where it is written down.
    pub folder: ClusterFolder,
    /// This node.
    pub node: NodeId,
    /// Where it is called.
    pub address: NodeAddress,
}

/// How far following is.
#[derive(Default)]
struct Done {
    /// The roster knows where this node is called.
    is_told: bool,
    /// What is on the disk.
    written: Option<Members>,
}

impl Follower {
    /// Tells the roster where this node is called, then follows it until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let following = async {
            let mut done = Done::default();
            loop {
                if let Err(error) = self.step(&mut done).await {
                    tracing::debug!(%error, "the cluster's nodes cannot be looked up");
                    tokio::time::sleep(limits::ROSTER_RETRIED).await;
                }
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// Takes in what the roster says once.
    pub async fn look(&self) -> Result<(), Error> {
        self.take_in(Members::of(&self.roster.nodes().await?));
        Ok(())
    }

    /// Takes in what the roster says, and waits until that may have changed.
    async fn step(&self, done: &mut Done) -> Result<(), Error> {
        if !done.is_told {
            self.roster.moved(self.node, &self.address).await?;
            done.is_told = true;
        }
        let (nodes, changed) = self.roster.watched_nodes().await?;
        let members = Members::of(&nodes);
        self.take_in(members.clone());
        if done.written.as_ref() != Some(&members) && self.write_down(members.clone()).await {
            done.written = Some(members);
        }
        tokio::select! {
            changed = changed => changed,
            () = tokio::time::sleep(limits::ROSTER_LOOKED_AT) => Ok(()),
        }
    }

    fn take_in(&self, members: Members) {
        let is_removed = members.removed.contains(&self.node);
        let (nodes, removed) = (members.addresses.len(), members.removed.len());
        if !self.peers.replace(members) {
            return;
        }
        tracing::info!(nodes, removed, "the cluster has changed");
        if is_removed {
            tracing::error!("this node was removed from the cluster: stop it");
        }
    }

    /// Writes the nodes down for the next start, and tells whether they are; if not, the next look tries again.
    async fn write_down(&self, members: Members) -> bool {
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || folder.keep_members(&members)).await;
        match written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the cluster's nodes are not written down yet");
                false
            }
        }
    }
}
