//! Puts the node together: stores, who may log in, certificates, roles; and ends it in order.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sterna_gateway::login::Authenticator;
use sterna_gateway::net::{ByteBudget, CertificateFiles, Drain, Tls};
use sterna_storage::bodies::{Bodies, BodiesConfig, Bucket};
use sterna_storage::directory::Directory;
use sterna_storage::kv::{Database, Local, LocalConfig};
use sterna_storage::mailstore::{MailStore, MailStoreConfig};
use sterna_storage::queue::{Queue, QueueConfig};
use sterna_storage::types::Secret;
use sterna_storage::{Error, folder};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::health::Health;
use crate::{limits, roles, secret_file, upkeep};

/// The three stores, on one machine.
#[derive(Clone)]
pub struct Stores {
    /// The metadata.
    pub database: Database,
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
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.server.data;
        let folder = |name: &str| data.join(name);
        let engine = LocalConfig { path: folder("metadata"), ..LocalConfig::default() };
        let engine = Local::open(engine).await.context("opening the metadata")?;
        let database = Database::new(engine);
        let key = secret_file::cluster_key(&folder("cluster.key")).context("reading the cluster key")?;
        let bodies = open_bodies(config, &database, key).await.context("opening the bodies")?;
        let settings = MailStoreConfig { sole_node: true, ..MailStoreConfig::default() };
        let mail = MailStore::new(database.clone(), bodies.clone(), settings);
        let settings = QueueConfig { exclusive: true, ..QueueConfig::default() };
        let queue =
            Queue::open(database.clone(), bodies.clone(), settings).await.context("opening the queue")?;
        let directory = Directory::open(database.clone()).await.context("opening the directory")?;
        Ok(Self { database, bodies, mail, queue, directory })
    }
}

/// Message bodies, in a folder or in a bucket. A bucket that does not answer now is looked at later; one that answers
/// with what only an operator can mend ends the start.
async fn open_bodies(config: &Config, database: &Database, key: Secret<[u8; 32]>) -> anyhow::Result<Bodies> {
    let floor = BodiesConfig { exclusive: true, ..config.bodies.floor() };
    let (bucket, settings) = match config.bodies.bucket() {
        Some(bucket) => (Bucket::connect(&bucket)?, floor),
        None => {
            let path = config.bodies.folder(&config.server.data);
            let folder = Bodies::local_folder(path).await?;
            (folder.into(), BodiesConfig { part_octets: limits::LOCAL_PART_OCTETS, ..floor })
        }
    };
    let bodies = Bodies::open(database.clone(), bucket, key, settings).await?;
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
        make_folder(&config.server.data)?;
        let tls = certificates(config)?;
        let stores = Stores::open(config).await?;
        let drain = Drain::new();
        let authenticator = Authenticator::new(stores.directory.clone(), &config.login.floor())?;
        let health = Health::new(drain.clone());
        let budget = ByteBudget::new(config.limits.session_octets);
        let runtime = Runtime { stores, authenticator, tls, budget, drain, health };
        let signals = Signals::listen()?;
        let queue_runs = roles::worker(config, &runtime)?;
        let ports = roles::bind(config, &runtime)?;
        let workers = Workers::start(&runtime.stores);
        roles::serve(ports, &runtime.drain);
        let drain = runtime.drain.clone();
        runtime.drain.spawn(async move { queue_runs.run(drain).await });
        runtime.health.serving();
        let grace = Duration::from_secs(config.server.shutdown_grace_seconds);
        Ok(Self { runtime, workers, signals, grace })
    }

    /// Serves until SIGTERM or SIGINT, and ends in order: readiness turns false, ports close, sessions
    /// finish what is in hand, workers stop, the stores close. SIGHUP reads the certificates again.
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
        self.runtime.stores.database.close().await;
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
    fn start(stores: &Stores) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        stores.bodies.spawn_workers(&tasks, stop.clone());
        stores.mail.spawn_workers(&tasks, stop.clone());
        stores.queue.spawn_heartbeat(&tasks, stop.clone());
        upkeep::spawn(stores.clone(), &tasks, stop.clone());
        Self { tasks, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Only the server's own user may look into a folder that is made here.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let make = || {
        folder::make(folder::above(path))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // Nothing in it is durable before its own name is.
        folder::make(path)
    };
    make().with_context(|| format!("making the data folder {}", path.display()))
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
