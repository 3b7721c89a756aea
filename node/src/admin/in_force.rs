//! What the answer to a change of the directory adds: on how many of the cluster's nodes it is in force.

use std::time::Instant;

use axum::Json;
use serde::Serialize;

use super::server::Admin;
use super::view::{Changed, InForceView, NotYetView};
use crate::cluster::Membership;
use crate::cluster::in_force::Standing;
use crate::limits;

impl Admin {
    /// What came of a change that was just made, and where it is in force; a cluster's nodes are waited for, within
    /// bounds.
    pub(super) async fn changed<T: Serialize>(&self, what: T) -> Json<Changed<T>> {
        Json(Changed { what, in_force: self.in_force().await })
    }

    /// Where the latest change of the directory is in force. `None` for a server that is no node of a cluster.
    pub(super) async fn in_force(&self) -> Option<InForceView> {
        let membership = self.cluster.as_ref()?;
        let begun = Instant::now();
        let standing = self.standing(membership, begun).await;
        let not_yet = standing.behind.into_iter().map(|(node, reason)| NotYetView { node: node.0, reason });
        let not_yet: Vec<_> = not_yet.collect();
        Some(InForceView {
            on_nodes: standing.nodes - not_yet.len(),
            of_nodes: standing.nodes,
            milliseconds: begun.elapsed().as_secs_f64() * 1_000.0,
            not_yet,
        })
    }

    async fn standing(&self, membership: &Membership, begun: Instant) -> Standing {
        let latest = tokio::time::timeout(limits::IN_FORCE_WAIT, self.directory.latest_version()).await;
        match latest {
            Ok(Ok(version)) => {
                let left = limits::IN_FORCE_WAIT.saturating_sub(begun.elapsed());
                membership.in_force(version, left).await
            }
            _ => Standing::unknown(&membership.peers().current(), "the group config does not answer"),
        }
    }
}
