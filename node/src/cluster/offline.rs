//! A node's groups while no server runs on it: for work on what they hold, by a node that keeps them alone. No other node is
//! called, and none is answered.

use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use sterna_storage::Error;
use sterna_storage::kv::Database;
use sterna_storage::raft::{CallError, Group, GroupConfig, Lane, NodeId, Patience, Transport, recovery};
use tokio::time::Instant;

use super::folder::ClusterFolder;
use super::join;
use super::membership::{CONFIG_GROUP, MAIL_GROUP, answers, found, group_config};
use crate::config::Config;
use crate::limits;

/// The groups of a node that is their only voter.
pub struct OfflineGroups {
    config: Arc<Group>,
    mail: Arc<Group>,
}

/// Nobody is there.
struct Alone;

#[async_trait]
impl Transport for Alone {
    async fn call(&self, to: NodeId, _: Lane, _: Bytes, _: Patience) -> Result<Bytes, CallError> {
        Err(CallError::NotSent(to, "this node works alone".into()))
    }
}

impl OfflineGroups {
    /// Opens them; the founder's are made, as its first start does. Fails where a server has them open, where the node is one
    /// that has joined and has nothing yet, and where others keep the groups too.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let folder = ClusterFolder::below(&config.server.data);
        let credentials = folder.credentials()?.context("this machine is no node of a cluster")?;
        let node = credentials.facts.identity.node;
        let is_founder = join::founding(&folder)?.is_some();
        for name in [CONFIG_GROUP, MAIL_GROUP] {
            check_alone(&group_config(config, name, node), is_founder).await?;
        }
        let mail = opened(config, MAIL_GROUP, node).await?;
        let groups = match opened(config, CONFIG_GROUP, node).await {
            Ok(config) => Self { config, mail },
            Err(error) => {
                mail.close().await;
                return Err(error);
            }
        };
        match groups.begin(node, is_founder).await {
            Ok(()) => Ok(groups),
            Err(error) => {
                groups.close().await;
                Err(error)
            }
        }
    }

    async fn begin(&self, node: NodeId, is_founder: bool) -> anyhow::Result<()> {
        for group in [&self.mail, &self.config] {
            let name = group.name();
            if is_founder {
                found(group, node).await?;
            }
            let begun = Instant::now();
            while !answers(group).await {
                if begun.elapsed() > limits::OFFLINE_GROUP_WAIT {
                    bail!("the group {name} does not answer");
                }
                tokio::time::sleep(limits::GROUP_ASKED_AGAIN).await;
            }
        }
        Ok(())
    }

    /// What the directory stands on.
    pub fn config_database(&self) -> Database {
        Database::new(self.config.clone())
    }

    /// What the other stores stand on.
    pub fn mail_database(&self) -> Database {
        Database::new(self.mail.clone())
    }

    /// Closes them in order.
    pub async fn close(&self) {
        self.mail.close().await;
        self.config.close().await;
    }
}

/// Looks who votes, before the group takes part in anything.
async fn check_alone(group: &GroupConfig, is_founder: bool) -> anyhow::Result<()> {
    let GroupConfig { name, node, .. } = group;
    let voters = match recovery::look(group).await {
        Ok(remains) => remains.voters,
        Err(Error::NotFound(_)) => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("looking at the group {name}")),
    };
    if voters.is_empty() && !is_founder {
        bail!("node {node} has joined a cluster, and keeps nothing of the group {name}");
    }
    if voters.iter().any(|voter| voter != node) {
        bail!(
            "other nodes keep the group {name} too: a node works alone where it is the only one (`sterna cluster remove`)"
        );
    }
    Ok(())
}

async fn opened(config: &Config, name: &str, node: NodeId) -> anyhow::Result<Arc<Group>> {
    let group = Group::open(group_config(config, name, node), Arc::new(Alone)).await;
    group.with_context(|| format!("opening the group {name}"))
}
