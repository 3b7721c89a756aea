//! From settings to a bucket. Nothing is asked of the service yet; what is wrong is told with the name of its setting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder, split_sas};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use super::bucket::Bucket;
use super::credentials::{KeyFile, key_pair, of_environment, of_file};
use super::meter::{Meter, MeteredConnector};
use crate::{Error, Result};

/// Whose interface the service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketKind {
    /// Amazon S3, and what speaks like it: Garage, MinIO, Ceph, R2.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// What proves who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Variables of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
    /// GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN.
    #[default]
    Environment,
    /// The same names in a file; for Google Cloud Storage a service account's JSON.
    File(PathBuf),
    /// What the machine, container or pod is given by its cloud.
    Instance,
}

/// Where a bucket is, and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct BucketConfig {
    /// Whose interface it speaks.
    pub kind: BucketKind,
    /// The bucket's name; the container's on Azure.
    pub bucket: String,
    /// What stands before every object's name, as `mail/eu`; empty for nothing.
    pub prefix: String,
    /// The region by which requests are signed (S3 only).
    pub region: Option<String>,
    /// The service's URL; `None`: the cloud's own.
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the path, not in the host (S3 only).
    pub path_style: bool,
    /// Whether requests may go in the clear. Bodies are sealed; names, sizes and times are not.
    pub plain_http: bool,
    /// The storage account (Azure only).
    pub account: Option<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// PEM file of an authority that vouches for the service, beside those of the system.
    pub authority: Option<PathBuf>,
    /// URL of a proxy; `None`: none, whatever the environment says.
    pub proxy: Option<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a request may take, beside a second for each MiB.
    pub timeout: Duration,
    /// Most requests at once.
    pub requests: usize,
}

impl BucketConfig {
    /// What is wrong with a setting by itself or beside another, as far as that is seen without asking anyone: its
    /// name in the configuration, and what.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let scheme = self.endpoint.as_ref().map(|endpoint| endpoint.split_once("://"));
        let at_endpoint = match scheme {
            None => None,
            Some(Some(("https", rest))) if !rest.is_empty() => None,
            Some(Some(("http", rest))) if !rest.is_empty() && self.plain_http => None,
            Some(Some(("http", _))) => Some("http needs bodies.plain_http = true"),
            Some(_) => Some("is no URL that begins with https://"),
        };
        let is_s3 = self.kind == BucketKind::S3;
        let has_password = self.proxy.as_ref().is_some_and(|proxy| proxy.contains('@'));
        let is_lost = is_s3 && self.region.is_none() && self.endpoint.is_none();
        let is_nobodys = self.kind == BucketKind::Azure && self.account.is_none();
        let is_misnamed = Path::parse(&self.prefix).is_err();
        let found = [
            ("bodies.bucket", self.bucket.is_empty().then_some("is needed")),
            ("bodies.prefix", is_misnamed.then_some("is no path as \"mail/eu\"")),
            ("bodies.endpoint", at_endpoint),
            ("bodies.region", is_lost.then_some("is needed, as \"eu-central-1\"")),
            ("bodies.account", is_nobodys.then_some("is needed: the storage account's name")),
            ("bodies.proxy", has_password.then_some("must hold no password: this is no place for one")),
        ];
        found.into_iter().find_map(|(setting, what)| Some((setting, what?.to_owned())))
    }
}

/// Longest time of any request, octets included; what a client that forgot its own time is held to.
const LONGEST_REQUEST: Duration = Duration::from_secs(15 * 60);

impl Bucket {
    /// A bucket that these settings describe. `Invalid` names the setting that is wrong.
    pub fn connect(config: &BucketConfig) -> Result<Self> {
        if let Some((setting, what)) = config.wrong() {
            return Err(Error::Invalid(format!("{setting}: {what}").into()));
        }
        let prefix = Path::parse(&config.prefix).map_err(|error| wrong("prefix", error))?;
        let meter = Arc::<Meter>::default();
        let connector = MeteredConnector { meter: meter.clone() };
        let name = format!("{} bucket {:?}", kind_name(config.kind), config.bucket);
        let limits = (config.timeout, config.requests);
        match config.kind {
            BucketKind::S3 => {
                let store = s3(config)?.with_http_connector(connector).build();
                Ok(Self::remote(store.map_err(|error| wrong("store", error))?, prefix, meter, name, limits))
            }
            BucketKind::Gcs => {
                let store = gcs(config)?.with_http_connector(connector).build();
                Ok(Self::remote(store.map_err(|error| wrong("store", error))?, prefix, meter, name, limits))
            }
            BucketKind::Azure => {
                let store = azure(config)?.with_http_connector(connector).build();
                Ok(Self::remote(store.map_err(|error| wrong("store", error))?, prefix, meter, name, limits))
            }
        }
    }
}

fn kind_name(kind: BucketKind) -> &'static str {
    match kind {
        BucketKind::S3 => "S3",
        BucketKind::Gcs => "Google Cloud Storage",
        BucketKind::Azure => "Azure",
    }
}

fn wrong(setting: &str, what: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("bodies.{setting}: {what}").into())
}

fn client(config: &BucketConfig) -> Result<ClientOptions> {
    let options = ClientOptions::new()
        .with_allow_http(config.plain_http)
        .with_connect_timeout(config.connect_timeout)
        .with_timeout(LONGEST_REQUEST)
        .with_pool_max_idle_per_host(config.requests);
    let mut options = match &config.proxy {
        Some(proxy) => options.with_proxy_url(proxy),
        // One that nothing goes through, by name or address: else the client would look for one in the environment.
        None => options.with_proxy_url("http://proxy.invalid").with_proxy_excludes("*,0.0.0.0/0,::/0"),
    };
    if let Some(path) = &config.authority {
        let pem = std::fs::read(path).map_err(|error| wrong("authority", error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong("authority", error))?;
        if certificates.is_empty() {
            return Err(wrong("authority", "holds no certificate"));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// Requests are made again by [`super::Objects`] alone, which knows how long its callers wait.
fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

fn s3(config: &BucketConfig) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(config.region.as_deref().unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(!config.path_style)
        .with_client_options(client(config)?)
        .with_retry(no_retries())
        // Not every service knows how, and one object goes at a time.
        .with_disable_bulk_delete(true)
        .with_disable_tagging(true);
    if let Some(endpoint) = &config.endpoint {
        let at_host = endpoint.split_once("://").filter(|_| !config.path_style);
        builder = builder.with_endpoint(match at_host {
            Some((scheme, host)) => format!("{scheme}://{}.{host}", config.bucket),
            None => endpoint.clone(),
        });
    }
    match &config.credentials {
        Credentials::Environment => {
            let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
            let pair = key_pair(&of_environment(&names), "bodies.credentials: in the environment")?;
            builder = builder.with_access_key_id(pair.key_id).with_secret_access_key(pair.secret_key);
            Ok(match pair.token {
                Some(token) => builder.with_token(token),
                None => builder,
            })
        }
        Credentials::File(path) => {
            let keys = KeyFile::open(path).map_err(|error| wrong("credentials_file", error))?;
            Ok(builder.with_credentials(Arc::new(keys)))
        }
        Credentials::Instance => {
            use AmazonS3ConfigKey as Key;
            let given = [
                ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
                ("AWS_ROLE_ARN", Key::RoleArn),
                ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
                ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
            ];
            for (name, key) in given {
                if let Ok(value) = std::env::var(name) {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(builder)
        }
    }
}

fn gcs(config: &BucketConfig) -> Result<GoogleCloudStorageBuilder> {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&config.bucket)
        .with_client_options(client(config)?)
        .with_retry(no_retries());
    let builder = match &config.endpoint {
        Some(endpoint) => builder.with_base_url(endpoint),
        None => builder,
    };
    match &config.credentials {
        Credentials::Environment => {
            let path = std::env::var("GOOGLE_APPLICATION_CREDENTIALS").map_err(|_| {
                wrong("credentials", "in the environment there is no GOOGLE_APPLICATION_CREDENTIALS")
            })?;
            Ok(builder.with_application_credentials(path))
        }
        Credentials::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| wrong("credentials_file", error))?;
            Ok(builder.with_service_account_key(text))
        }
        Credentials::Instance => Ok(builder),
    }
}

fn azure(config: &BucketConfig) -> Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(&config.bucket)
        .with_account(config.account.as_deref().unwrap_or_default())
        .with_client_options(client(config)?)
        .with_retry(no_retries())
        .with_disable_tagging(true);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let secrets = match &config.credentials {
        Credentials::Environment => of_environment(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"]),
        Credentials::File(path) => of_file(path).map_err(|error| wrong("credentials_file", error))?,
        Credentials::Instance => {
            let given = [
                ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
                ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
                ("AZURE_FEDERATED_TOKEN_FILE", AzureConfigKey::FederatedTokenFile),
            ];
            for (name, key) in given {
                if let Ok(value) = std::env::var(name) {
                    builder = builder.with_config(key, value);
                }
            }
            return Ok(builder);
        }
    };
    match (secrets.get("azure_storage_key"), secrets.get("azure_storage_sas_token")) {
        (Some(key), _) => Ok(builder.with_access_key(key.expose())),
        (None, Some(token)) => {
            let pairs =
                split_sas(token.expose()).map_err(|_| wrong("credentials", "the SAS token is none"))?;
            Ok(builder.with_sas_authorization(pairs))
        }
        (None, None) => {
            Err(wrong("credentials", "there is neither AZURE_STORAGE_KEY nor AZURE_STORAGE_SAS_TOKEN"))
        }
    }
}
