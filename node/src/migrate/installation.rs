//! An installation as its configuration names it, opened while no server of this machine uses it.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sterna_storage::kv::Database;
use sterna_storage::migrate::Home;
use sterna_storage::types::{Secret, Timestamp};

use super::place::is_same_folder;
use crate::assemble::open_database;
use crate::cluster::{ClusterFolder, OfflineGroups, join};
use crate::config::{Config, MetadataEngine};
use crate::secret_file;

/// What keeps its metadata, open.
pub(super) struct Installation {
    keeper: Keeper,
}

enum Keeper {
    One(Database),
    Groups(OfflineGroups),
}

impl Installation {
    /// The one that is left. Nothing is made where nothing is.
    pub(super) async fn source(config: &Config) -> anyhow::Result<Self> {
        let data = &config.server.data;
        if config.metadata.engine == MetadataEngine::Local && !metadata(data).is_dir() {
            bail!("{} holds no mail: are the two configurations exchanged?", data.display());
        }
        let opened = Self::open(config).await;
        opened.with_context(|| format!("opening the old installation, {}", Name(config)))
    }

    /// The one that is filled. A cluster is founded here where the configuration wants one.
    pub(super) async fn target(config: &Config, key: &Secret<[u8; 32]>) -> anyhow::Result<Self> {
        let data = &config.server.data;
        secret_file::make_folder(data)
            .with_context(|| format!("making the data folder {}", data.display()))?;
        let kept = secret_file::keep_cluster_key(&data.join("cluster.key"), key);
        kept.context("the new installation must have the old one's cluster key (a cluster is founded here, not by `sterna cluster init`)")?;
        let is_node = ClusterFolder::below(data).credentials()?.is_some();
        if config.metadata.engine == MetadataEngine::Raft && !is_node {
            let address = config.cluster.address.as_ref();
            let address = address.context("cluster.address of the new configuration is not set")?;
            join::init_beside_mail(data, address, Timestamp::now()).context("founding the cluster")?;
        }
        let opened = Self::open(config).await;
        opened.with_context(|| format!("opening the new installation, {}", Name(config)))
    }

    async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.server.data;
        let keeper = match config.metadata.engine {
            MetadataEngine::Raft => {
                let groups = OfflineGroups::open(config).await;
                Keeper::Groups(groups.map_err(|error| while_served(error, &data.join("groups")))?)
            }
            MetadataEngine::Local | MetadataEngine::FoundationDb => {
                let opened = open_database(config).await;
                Keeper::One(opened.map_err(|error| while_served(error.into(), &metadata(data)))?)
            }
        };
        Ok(Self { keeper })
    }

    pub(super) fn home(&self) -> Home {
        match &self.keeper {
            Keeper::One(database) => Home { mail: database.clone(), config: database.clone() },
            Keeper::Groups(groups) => Home { mail: groups.mail_database(), config: groups.config_database() },
        }
    }

    pub(super) async fn close(&self) {
        match &self.keeper {
            Keeper::One(database) => database.close().await,
            Keeper::Groups(groups) => groups.close().await,
        }
    }
}

fn metadata(data: &Path) -> PathBuf {
    data.join("metadata")
}

/// Says in an operator's words that a server runs.
fn while_served(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    match error.chain().any(|cause| cause.to_string().contains("is open in another process")) {
        true => {
            anyhow::anyhow!("a server runs on it, or another command: stop it first ({})", folder.display())
        }
        false => error,
    }
}

/// Whether both keep their metadata in the same place.
pub(super) fn is_same(old: &Config, new: &Config) -> bool {
    let engine = old.metadata.engine;
    engine == new.metadata.engine
        && match engine {
            MetadataEngine::FoundationDb => old.metadata == new.metadata,
            _ => is_same_folder(&old.server.data, &new.server.data),
        }
}

/// An installation for people.
pub(super) struct Name<'a>(pub(super) &'a Config);

impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { metadata, server, .. } = self.0;
        match metadata.engine {
            MetadataEngine::Local => write!(out, "local in {}", server.data.display()),
            MetadataEngine::Raft => write!(out, "raft in {}", server.data.display()),
            MetadataEngine::FoundationDb => {
                write!(out, "foundationdb under the prefix {:?}", metadata.prefix)
            }
        }
    }
}
