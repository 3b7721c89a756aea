//! The sections of the file. Defaults are those of a server of its own on one machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use sterna_gateway::dns::DnsConfig;
use sterna_gateway::login::LoginConfig;
use sterna_gateway::login::network::Network;
use sterna_gateway::login::password::HashCost;
use sterna_gateway::outbound::OutboundConfig;
use sterna_gateway::queue::WorkerConfig;
use sterna_storage::cluster::NodeAddress;
use sterna_storage::directory::DirectoryConfig;
use sterna_storage::kv::FoundationDbConfig;
use sterna_storage::types::DomainName;

fn any_address(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port)]
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// The name by which the server greets; `None`: the machine's.
    pub host_name: Option<DomainName>,
    /// The folder that holds everything.
    pub data: PathBuf,
    /// How long sessions may take to end at a shutdown.
    pub shutdown_grace_seconds: u64,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self { host_name: None, data: "/var/lib/sterna".into(), shutdown_grace_seconds: 30 }
    }
}

/// `[metadata]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataSection {
    /// What keeps it.
    pub engine: MetadataEngine,
    /// FoundationDB's cluster file; `None`: where its client looks.
    pub cluster_file: Option<PathBuf>,
    /// FoundationDB's client library; `None`: the system's.
    pub client_library: Option<PathBuf>,
    /// Keeps this cluster apart from others in the same FoundationDB.
    pub prefix: String,
}

/// What keeps the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetadataEngine {
    /// The data folder of this one machine.
    #[default]
    Local,
    /// The data folders of the cluster's voters, each of which has all of it.
    Raft,
    /// A FoundationDB cluster, which any number of nodes share.
    FoundationDb,
}

impl Default for MetadataSection {
    fn default() -> Self {
        let FoundationDbConfig { cluster_file, client_library, prefix } = FoundationDbConfig::default();
        Self { engine: MetadataEngine::Local, cluster_file, client_library, prefix }
    }
}

impl MetadataSection {
    /// For the storage.
    pub fn foundationdb(&self) -> FoundationDbConfig {
        let Self { cluster_file, client_library, prefix, .. } = self.clone();
        FoundationDbConfig { cluster_file, client_library, prefix }
    }

    /// Settings that count for nothing, in words for the log.
    pub(super) fn unused(&self) -> Option<String> {
        let is_set = self.foundationdb() != FoundationDbConfig::default();
        (is_set && self.engine != MetadataEngine::FoundationDb).then(|| {
            "settings of FoundationDB are given, and metadata.engine is another: they count for nothing"
                .into()
        })
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// How lines look.
    pub format: LogFormat,
    /// Least level, or directives such as `info,sterna_gateway=debug`.
    pub level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormat::Plain, level: "info".into() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One JSON object per line.
    Json,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// PEM file with the certificate and those that lead to its authority; `None`: a self-signed one is
    /// made in the data folder.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
}

/// `[smtp]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpSection {
    /// Where mail from other hosts comes in (port 25).
    pub mx: Vec<SocketAddr>,
    /// Where users hand mail in, with STARTTLS (port 587).
    pub submission: Vec<SocketAddr>,
    /// Where users hand mail in, under TLS (port 465).
    pub submissions: Vec<SocketAddr>,
    /// Where programs on this machine hand mail in by LMTP.
    pub lmtp: Vec<SocketAddr>,
    /// Largest message in octets, told as SIZE.
    pub message_octets: u64,
    /// Most recipients of one message.
    pub recipients: usize,
    /// Most connections of each listener.
    pub connections: usize,
    /// Most connections of one source (IPv4 address or IPv6 /64) to each listener.
    pub connections_per_source: usize,
}

impl Default for SmtpSection {
    fn default() -> Self {
        Self {
            mx: any_address(25),
            submission: any_address(587),
            submissions: any_address(465),
            lmtp: Vec::new(),
            message_octets: 50 << 20,
            recipients: 1000,
            connections: 2000,
            connections_per_source: 100,
        }
    }
}

/// `[imap]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImapSection {
    /// IMAP with STARTTLS (port 143).
    pub imap: Vec<SocketAddr>,
    /// IMAP under TLS (port 993).
    pub imaps: Vec<SocketAddr>,
    /// Most connections of each listener.
    pub connections: usize,
    /// Most connections of one source to each listener.
    pub connections_per_source: usize,
}

impl Default for ImapSection {
    fn default() -> Self {
        let (imap, imaps) = (any_address(143), any_address(993));
        Self { imap, imaps, connections: 50_000, connections_per_source: 500 }
    }
}

/// `[pop3]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pop3Section {
    /// POP3 with STLS (port 110).
    pub pop3: Vec<SocketAddr>,
    /// POP3 under TLS (port 995).
    pub pop3s: Vec<SocketAddr>,
    /// Most connections of each listener.
    pub connections: usize,
    /// Most connections of one source to each listener.
    pub connections_per_source: usize,
}

impl Default for Pop3Section {
    fn default() -> Self {
        let (pop3, pop3s) = (any_address(110), any_address(995));
        Self { pop3, pop3s, connections: 5_000, connections_per_source: 100 }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Admin API and health. In the clear: on loopback, or behind something that does TLS.
    pub listen: Vec<SocketAddr>,
    /// File with the admin API's token, made if it is missing; `None`: `admin.token` in the data folder.
    pub token_file: Option<PathBuf>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8425))], token_file: None }
    }
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSection {
    /// Where other nodes call this one; none: this server is no node of a cluster.
    pub listen: Vec<SocketAddr>,
    /// By which name or address they do.
    pub address: Option<NodeAddress>,
}

/// `[login]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginSection {
    /// Networks from which passwords may come without TLS (a webmail server beside this one).
    pub trusted_networks: Vec<Network>,
    /// Networks in which many people share an address: failures are counted per login only.
    pub shared_sources: Vec<Network>,
    /// Memory of a password hash in KiB.
    pub hash_memory_kib: u32,
    /// Passes of a password hash over that memory.
    pub hash_passes: u32,
    /// Threads that hash passwords; never more than there are cores.
    pub hash_threads: usize,
    /// Shortest password that the admin API takes.
    pub password_characters: usize,
    /// For how long a node that is cut off from the directory lets people in by its own copy.
    pub cut_off_seconds: u64,
}

impl Default for LoginSection {
    fn default() -> Self {
        let cost = HashCost::default();
        Self {
            trusted_networks: Vec::new(),
            shared_sources: Vec::new(),
            hash_memory_kib: cost.memory_kib,
            hash_passes: cost.passes,
            hash_threads: 64,
            password_characters: 12,
            cut_off_seconds: DirectoryConfig::default().cut_off_trusted.as_secs(),
        }
    }
}

impl LoginSection {
    /// For the gateway.
    pub fn floor(&self) -> LoginConfig {
        LoginConfig {
            shared_sources: self.shared_sources.clone(),
            hash_memory_kib: self.hash_memory_kib,
            hash_passes: self.hash_passes,
            hash_threads: self.hash_threads,
        }
    }

    /// For the storage.
    pub fn directory(&self) -> DirectoryConfig {
        DirectoryConfig { cut_off_trusted: Duration::from_secs(self.cut_off_seconds) }
    }
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSection {
    /// Name servers to ask; none: those of the machine.
    pub servers: Vec<SocketAddr>,
}

impl DnsSection {
    /// For the gateway.
    pub fn floor(&self, outbound: &OutboundSection) -> DnsConfig {
        DnsConfig { servers: self.servers.clone(), loopback: outbound.loopback, ..DnsConfig::default() }
    }
}

/// `[outbound]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundSection {
    /// Port of other mail servers.
    pub port: u16,
    /// Whether mail may go to servers at loopback addresses.
    pub loopback: bool,
    /// Most deliveries at once.
    pub connections: usize,
    /// Most deliveries to one domain at once.
    pub connections_per_destination: usize,
}

impl Default for OutboundSection {
    fn default() -> Self {
        let floor = OutboundConfig::default();
        Self {
            port: floor.port,
            loopback: false,
            connections: floor.connections,
            connections_per_destination: floor.connections_per_destination,
        }
    }
}

impl OutboundSection {
    /// For the gateway, which greets others as `host`.
    pub fn floor(&self, host: &DomainName) -> OutboundConfig {
        OutboundConfig {
            host: host.to_string(),
            port: self.port,
            connections: self.connections,
            connections_per_destination: self.connections_per_destination,
            ..OutboundConfig::default()
        }
    }
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSection {
    /// How long after the first failure a delivery is tried again; the wait doubles from then on.
    pub first_retry_seconds: u64,
    /// Longest wait between two tries.
    pub longest_retry_seconds: u64,
    /// When the sender is told that a delivery is late.
    pub delay_notice_seconds: u64,
    /// When a delivery is given up.
    pub lifetime_seconds: u64,
    /// Messages in hand at once.
    pub entries: usize,
}

impl Default for QueueSection {
    fn default() -> Self {
        Self {
            first_retry_seconds: 5 * 60,
            longest_retry_seconds: 4 * 60 * 60,
            delay_notice_seconds: 4 * 60 * 60,
            lifetime_seconds: 5 * 24 * 60 * 60,
            entries: WorkerConfig::default().entries,
        }
    }
}

impl QueueSection {
    /// For the gateway.
    pub fn floor(&self) -> WorkerConfig {
        WorkerConfig {
            entries: self.entries,
            retry_first_s: self.first_retry_seconds,
            retry_longest_s: self.longest_retry_seconds,
            give_up_after_s: self.lifetime_seconds,
            report_delay_after_s: self.delay_notice_seconds,
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Memory for what all sessions hold, in octets.
    pub session_octets: usize,
    /// How long a client may be silent within a session.
    pub command_timeout_seconds: u64,
    /// How long a client may take to log in.
    pub login_timeout_seconds: u64,
    /// How long a client may take nothing of what it is sent.
    pub write_timeout_seconds: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            session_octets: 512 << 20,
            command_timeout_seconds: 30 * 60,
            login_timeout_seconds: 60,
            write_timeout_seconds: 5 * 60,
        }
    }
}
