//! Puts the node together: stores, who may log in, certificates, roles; and ends it in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use sterna_gateway::login::Authenticator;
use sterna_gateway::net::{ByteBudget, CertificateFiles, Drain, Tls};
use sterna_storage::Error;
use sterna_storage::bodies::{Bodies, BodiesConfig, Bucket};
use sterna_storage::directory::Directory;
use sterna_storage::kv::{Database, FoundationDb, Local, LocalConfig};
use sterna_storage::mailstore::{MailStore, MailStoreConfig};
use sterna_storage::queue::{Queue, QueueConfig};
use sterna_storage::types::Secret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::{ClusterFolder, Membership};
use crate::config::{Config, MetadataEngine};
use crate::health::Health;
use crate::{limits, migrate, roles, secret_file, upkeep};

/// The three stores, on one machine or on the nodes of a cluster.
#[derive(Clone)]
pub struct Stores {
    /// The metadata.
    pub database: Database,
    /// What the directory stands on; on one machine the same.
    pub config: Database,
    /// Message bodies.
    pub bodies: Bodies,
    /// Mailboxes.
    pub mail: MailStore,
    /// Messages on their way.
    pub queue: Queue,
    /// Domains, accounts, aliases.
    pub directory: Directory,
}

/// What the roles are handed.
#[derive(Clone)]
pub struct Runtime {
    /// The stores.
    pub stores: Stores,
    /// Who is connecting.
    pub authenticator: Authenticator,
    /// Certificates.
    pub tls: Tls,
    /// Memory of all sessions.
    pub budget: ByteBudget,
    /// The other nodes, if there are any.
    pub cluster: Option<Arc<Membership>>,
    /// The server's end.
    pub drain: Drain,
    /// Whether the node is ready.
    pub health: Health,
}

/// A node whose ports are bound.
pub struct Node {
    runtime: Runtime,
    workers: Workers,
    signals: Signals,
    grace: Duration,
}

/// What the operator tells the process. Listened for before a port is open, so that whoever finds it open is heard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Background work of the stores. It ends after the roles, which need it.
struct Workers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Stores {
    /// Opens everything below the data folder, and recovers what an earlier run left.
    async fn open(config: &Config, metadata: Metadata) -> anyhow::Result<Self> {
        migrate::refuse_to_serve(&metadata.database).await?;
        let bodies = open_bodies(config, &metadata).await.context("opening the bodies")?;
        let Metadata { database, config: config_database, cluster_key: _, is_alone } = metadata;
        let settings = MailStoreConfig { sole_node: is_alone, ..MailStoreConfig::default() };
        let mail = MailStore::new(database.clone(), bodies.clone(), settings);
        let settings = QueueConfig { exclusive: is_alone, ..QueueConfig::default() };
        let queue =
            Queue::open(database.clone(), bodies.clone(), settings).await.context("opening the queue")?;
        // Now this process has shown itself there: a move that did not see it was marked before, one that is marked later sees it.
        migrate::refuse_to_serve(&database).await?;
        let directory = Directory::open_with(config_database.clone(), config.login.directory()).await;
        let directory = directory.context("opening the directory")?;
        Ok(Self { database, config: config_database, bodies, mail, queue, directory })
    }
}

/// What keeps the metadata.
struct Metadata {
    database: Database,
    config: Database,
    /// Opens the keys of bodies.
    cluster_key: Secret<[u8; 32]>,
    /// Whether nobody but this process has it open.
    is_alone: bool,
}

impl Metadata {
    async fn open(config: &Config, cluster: Option<&Arc<Membership>>) -> anyhow::Result<Self> {
        if let Some(cluster) = cluster {
            cluster.join_in().await.context("joining in with the cluster")?;
            let (database, config) = (cluster.mail_database(), cluster.config_database());
            let cluster_key = cluster.registrar().cluster_key().clone();
            return Ok(Self { database, config, cluster_key, is_alone: false });
        }
        if let Some(credentials) = ClusterFolder::below(&config.server.data).credentials()? {
            let identity = credentials.facts.identity;
            bail!("this machine is a node of a cluster ({identity}): metadata.engine must be \"raft\"");
        }
        let is_alone = config.metadata.engine == MetadataEngine::Local;
        let database = open_database(config).await.context("opening the metadata")?;
        let cluster_key = secret_file::cluster_key(&config.server.data.join("cluster.key"));
        let cluster_key = cluster_key.context("reading the cluster key")?;
        Ok(Self { config: database.clone(), database, cluster_key, is_alone })
    }
}

/// The metadata of who is no node of a cluster of our own: FoundationDB's, or the data folder's.
pub(crate) async fn open_database(config: &Config) -> sterna_storage::Result<Database> {
    if config.metadata.engine == MetadataEngine::FoundationDb {
        return Ok(Database::new(FoundationDb::open(config.metadata.foundationdb()).await?));
    }
    let path = config.server.data.join("metadata");
    Ok(Database::new(Local::open(LocalConfig { path, ..LocalConfig::default() }).await?))
}

/// Message bodies, in a folder or in a bucket. A bucket that does not answer now is looked at later; one that answers
/// with what only an operator can mend ends the start.
async fn open_bodies(config: &Config, metadata: &Metadata) -> anyhow::Result<Bodies> {
    let floor = BodiesConfig { exclusive: metadata.is_alone, ..config.bodies.floor() };
    let (bucket, settings) = match config.bodies.bucket() {
        Some(bucket) => (Bucket::connect(&bucket)?, floor),
        None => {
            let path = config.bodies.folder(&config.server.data);
            let folder = Bodies::local_folder(&path).await?;
            let bucket = match metadata.is_alone {
                true => folder.into(),
                false => Bucket::shared_folder(folder, format!("the folder {}", path.display())),
            };
            (bucket, BodiesConfig { part_octets: limits::LOCAL_PART_OCTETS, ..floor })
        }
    };
    let key = metadata.cluster_key.clone();
    let bodies = Bodies::open(metadata.database.clone(), bucket, key, settings).await?;
    match bodies.check_bucket().await {
        Ok(Some(report)) => tracing::info!(?report, "the bucket is fit"),
        Ok(None) => {}
        Err(error @ Error::Unavailable(_)) => {
            tracing::warn!(%error, "the bucket does not answer: mail is staged, and it is looked at again");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(bodies)
}

impl Node {
    /// Opens the stores, binds every port, and begins to serve.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let data = &config.server.data;
        secret_file::make_folder(data)
            .with_context(|| format!("making the data folder {}", data.display()))?;
        let tls = certificates(config)?;
        let cluster = match config.metadata.engine {
            MetadataEngine::Local | MetadataEngine::FoundationDb => None,
            MetadataEngine::Raft => Some(Membership::start(config).await?),
        };
        let metadata = Metadata::open(config, cluster.as_ref()).await?;
        let stores = Stores::open(config, metadata).await?;
        if let Some(cluster) = &cluster {
            cluster.tell_progress(stores.directory.subscribe());
        }
        let drain = Drain::new();
        let authenticator = Authenticator::new(stores.directory.clone(), &config.login.floor())?;
        let health = Health::new(drain.clone());
        let budget = ByteBudget::new(config.limits.session_octets);
        let runtime = Runtime { stores, authenticator, tls, budget, cluster, drain, health };
        let signals = Signals::listen()?;
        let queue_runs = roles::worker(config, &runtime)?;
        let ports = roles::bind(config, &runtime)?;
        let workers = Workers::start(&runtime);
        roles::serve(ports, &runtime.drain);
        let drain = runtime.drain.clone();
        runtime.drain.spawn(async move { queue_runs.run(drain).await });
        runtime.health.serving();
        let grace = Duration::from_secs(config.server.shutdown_grace_seconds);
        Ok(Self { runtime, workers, signals, grace })
    }

    /// Serves until SIGTERM or SIGINT, and ends in order: readiness turns false, ports close, sessions
    /// finish what is in hand, workers stop, the stores close, a cluster's lead being handed over. SIGHUP reads the
    /// certificates again.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
                _ = self.signals.hangup.recv() => match self.runtime.tls.reload() {
                    Ok(()) => tracing::info!("the certificates were read again"),
                    Err(error) => tracing::error!(%error, "the certificates stay as they are"),
                },
            }
        }
        self.end().await;
    }

    async fn end(self) {
        tracing::info!(grace_s = self.grace.as_secs(), "ending");
        if !self.runtime.drain.run(self.grace).await {
            tracing::warn!("the grace period is over; sessions were dropped");
        }
        self.workers.end().await;
        match &self.runtime.cluster {
            Some(cluster) => cluster.end().await,
            None => self.runtime.stores.database.close().await,
        }
        tracing::info!("ended");
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

impl Workers {
    fn start(runtime: &Runtime) -> Self {
        let (stores, tasks, stop) = (&runtime.stores, TaskTracker::new(), CancellationToken::new());
        stores.database.spawn_clock(&tasks, stop.clone());
        if !stores.config.is_same(&stores.database) {
            stores.config.spawn_clock(&tasks, stop.clone());
        }
        stores.bodies.spawn_workers(&tasks, stop.clone());
        stores.mail.spawn_workers(&tasks, stop.clone());
        stores.queue.spawn_heartbeat(&tasks, stop.clone());
        upkeep::spawn(stores.clone(), &tasks, stop.clone());
        if let Some(cluster) = &runtime.cluster {
            cluster.spawn_workers(runtime.health.clone(), &tasks, &stop);
        }
        Self { tasks, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The configured certificates, or self-signed ones that are made once.
fn certificates(config: &Config) -> anyhow::Result<Tls> {
    let data = &config.server.data;
    let files = match (&config.tls.certificate, &config.tls.key) {
        (Some(chain), Some(key)) => CertificateFiles { chain: chain.clone(), key: key.clone() },
        (None, None) => {
            let files =
                CertificateFiles { chain: data.join("self-signed.pem"), key: data.join("self-signed.key") };
            if !files.chain.exists() {
                let names = vec![config.host_name().to_string(), "localhost".to_owned()];
                let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
                secret_file::create(&files.key, made.signing_key.serialize_pem().as_bytes())?;
                secret_file::create_public(&files.chain, made.cert.pem().as_bytes())?;
            }
            tracing::warn!(
                certificate = %files.chain.display(),
                "no certificate is configured (tls.certificate): a self-signed one is used"
            );
            files
        }
        _ => bail!("tls.certificate and tls.key go together"),
    };
    Ok(Tls::from_files(vec![files])?)
}
