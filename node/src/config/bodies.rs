//! `[bodies]`: how message bodies are kept, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sterna_storage::bodies::{BodiesConfig, BucketConfig, BucketKind, Credentials};

use super::bounds::Wrong;

/// `[bodies]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BodiesSection {
    /// Where they lie.
    pub store: StoreKind,
    /// The folder, for a store that is one; `None`: `bodies` in the data folder.
    pub folder: Option<PathBuf>,
    /// The bucket's name; the container's on Azure.
    pub bucket: Option<String>,
    /// What stands before every object's name.
    pub prefix: String,
    /// The region by which requests are signed.
    pub region: Option<String>,
    /// The service's URL; `None`: the cloud's own.
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the path; `None`: where an endpoint is set.
    pub path_style: Option<bool>,
    /// Whether requests may go in the clear.
    pub plain_http: bool,
    /// Azure's storage account.
    pub account: Option<String>,
    /// What proves who asks.
    pub credentials: CredentialsSource,
    /// The file with them, if they come from one.
    pub credentials_file: Option<PathBuf>,
    /// PEM file of an authority that vouches for the service, beside those of the system.
    pub authority: Option<PathBuf>,
    /// URL of a proxy; `None`: none, whatever the environment says.
    pub proxy: Option<String>,
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
    /// How long a request may take, beside a second for each MiB.
    pub timeout_seconds: u64,
    /// Most requests at once.
    pub requests: usize,
    /// Most octets of long bodies that are kept with the metadata while the bucket is away.
    pub away_octets: u64,
    /// Bodies up to this many octets are committed with the metadata and packed later.
    pub staging_octets: usize,
    /// A segment is written once this many staged octets wait.
    pub segment_octets: usize,
    /// A segment is written at the latest so long after its first body came.
    pub segment_age_seconds: u64,
    /// Memory for bodies that were read, in octets.
    pub cache_octets: u64,
    /// How long a body is kept that nothing refers to any more.
    pub grace_seconds: u64,
}

/// Where bodies lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In a folder.
    #[default]
    Folder,
    /// In a bucket of Amazon S3, or of what speaks like it.
    S3,
    /// In a bucket of Google Cloud Storage.
    Gcs,
    /// In a container of Azure Blob Storage.
    Azure,
}

/// Where the proof comes from of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialsSource {
    /// From variables of the environment.
    #[default]
    Environment,
    /// From `credentials_file`.
    File,
    /// From the cloud in which the machine, container or pod runs.
    Instance,
}

impl Default for BodiesSection {
    fn default() -> Self {
        let floor = BodiesConfig::default();
        Self {
            store: StoreKind::Folder,
            folder: None,
            bucket: None,
            prefix: String::new(),
            region: None,
            endpoint: None,
            path_style: None,
            plain_http: false,
            account: None,
            credentials: CredentialsSource::Environment,
            credentials_file: None,
            authority: None,
            proxy: None,
            connect_timeout_seconds: 3,
            timeout_seconds: 5,
            requests: 64,
            away_octets: floor.away_octets,
            staging_octets: floor.staging_octets,
            segment_octets: floor.segment_octets,
            segment_age_seconds: floor.segment_age.as_secs(),
            cache_octets: floor.cache_octets,
            grace_seconds: floor.grace.as_secs(),
        }
    }
}

impl BodiesSection {
    /// For the storage.
    pub fn floor(&self) -> BodiesConfig {
        BodiesConfig {
            away_octets: self.away_octets,
            staging_octets: self.staging_octets,
            segment_octets: self.segment_octets,
            segment_age: Duration::from_secs(self.segment_age_seconds),
            cache_octets: self.cache_octets,
            grace: Duration::from_secs(self.grace_seconds),
            ..BodiesConfig::default()
        }
    }

    /// The folder, where the data folder is `data`.
    pub fn folder(&self, data: &Path) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| data.join("bodies"))
    }

    /// The bucket; `None` where bodies lie in a folder.
    pub fn bucket(&self) -> Option<BucketConfig> {
        let kind = match self.store {
            StoreKind::Folder => return None,
            StoreKind::S3 => BucketKind::S3,
            StoreKind::Gcs => BucketKind::Gcs,
            StoreKind::Azure => BucketKind::Azure,
        };
        let credentials = match (self.credentials, &self.credentials_file) {
            (CredentialsSource::File, path) => Credentials::File(path.clone().unwrap_or_default()),
            (CredentialsSource::Environment, _) => Credentials::Environment,
            (CredentialsSource::Instance, _) => Credentials::Instance,
        };
        Some(BucketConfig {
            kind,
            bucket: self.bucket.clone().unwrap_or_default(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style.unwrap_or(self.endpoint.is_some()),
            plain_http: self.plain_http,
            account: self.account.clone(),
            credentials,
            authority: self.authority.clone(),
            proxy: self.proxy.clone(),
            connect_timeout: Duration::from_secs(self.connect_timeout_seconds),
            timeout: Duration::from_secs(self.timeout_seconds),
            requests: self.requests,
        })
    }

    /// Settings that do not go together.
    pub(super) fn wrong(&self) -> Option<Wrong> {
        let bucket = self.bucket()?;
        if self.credentials == CredentialsSource::File && self.credentials_file.is_none() {
            return Some(("bodies.credentials", "\"file\" needs bodies.credentials_file".into()));
        }
        bucket.wrong()
    }

    /// What is set and not used.
    pub(super) fn unused(&self) -> Option<String> {
        let is_folder = self.store == StoreKind::Folder;
        if is_folder && (self.bucket.is_some() || self.endpoint.is_some()) {
            return Some("bodies.bucket or bodies.endpoint is set, and bodies.store = \"folder\"".into());
        }
        (!is_folder && self.folder.is_some())
            .then(|| "bodies.folder is set, and bodies.store is no folder".into())
    }

    /// The paths among the settings.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.folder, &mut self.credentials_file, &mut self.authority].into_iter().flatten()
    }
}
