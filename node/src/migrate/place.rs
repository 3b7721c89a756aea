//! Where an installation's bodies lie, told from where another's do.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use sterna_storage::bodies::{Bodies, Bucket, BucketConfig};

use crate::config::{Config, MetadataEngine};

/// A folder or a bucket.
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(Box<BucketConfig>),
}

impl Place {
    pub(super) fn of(config: &Config) -> Self {
        match config.bodies.bucket() {
            Some(bucket) => Self::Bucket(Box::new(bucket)),
            None => Self::Folder(config.bodies.folder(&config.server.data)),
        }
    }

    /// Whether both name the same place, whoever asks there.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(one), Self::Folder(other)) => is_same_folder(one, other),
            (Self::Bucket(one), Self::Bucket(other)) => {
                let place = |bucket: &BucketConfig| {
                    let BucketConfig { kind, bucket, prefix, endpoint, account, .. } = bucket.clone();
                    (kind, bucket, prefix, endpoint, account)
                };
                place(one) == place(other)
            }
            _ => false,
        }
    }

    /// Of the installation that is left. A folder that is not there is not made.
    pub(super) async fn source(&self, config: &Config) -> anyhow::Result<Bucket> {
        let path = match self {
            Self::Bucket(bucket) => return Ok(Bucket::connect(bucket)?),
            Self::Folder(path) => path,
        };
        if !path.is_dir() {
            bail!("the old installation's bodies are not there: {} is no folder", path.display());
        }
        let folder = Bodies::local_folder(path).await?;
        Ok(match config.metadata.engine {
            MetadataEngine::Local => folder.into(),
            MetadataEngine::Raft | MetadataEngine::FoundationDb => {
                Bucket::shared_folder(folder, self.to_string())
            }
        })
    }

    /// Of the installation that is filled. A folder gets the mark of one that nodes share: on a single machine nobody asks
    /// for it, and it may become one.
    pub(super) async fn target(&self) -> anyhow::Result<Bucket> {
        match self {
            Self::Bucket(bucket) => Ok(Bucket::connect(bucket)?),
            Self::Folder(path) => {
                Ok(Bucket::shared_folder(Bodies::local_folder(path).await?, self.to_string()))
            }
        }
    }
}

/// Whether both paths are the same folder. One that is not there yet is known by its path alone.
pub(super) fn is_same_folder(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole(one) == whole(other)
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(out, "the folder {}", path.display()),
            Self::Bucket(bucket) => write!(out, "the bucket {}", bucket.bucket),
        }
    }
}
