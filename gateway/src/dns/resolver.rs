//! Lookups over hickory-resolver: cached, bounded in time, with the name servers of the system or given ones.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use sterna_storage::types::DomainName;

use super::plan::{Exchange, RouteError, plan};
use crate::limits;

/// How names are looked up.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Name servers, each reached over UDP and TCP; none: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one server is waited for, in milliseconds.
    pub timeout_ms: u64,
    /// How often a query is sent again.
    pub retries: usize,
    /// Whether hosts are also reached over IPv6.
    pub ipv6: bool,
    /// Whether mail may be sent to loopback addresses: for tests and for filters on this machine.
    pub loopback: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout_ms: 5_000, retries: 2, ipv6: true, loopback: false }
    }
}

/// The resolver cannot be set up: the configuration's or the system's fault.
#[derive(Debug, thiserror::Error)]
#[error("DNS resolver: {0}")]
pub struct DnsError(String);

/// A host to be tried, with its addresses in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host's name.
    pub host: String,
    /// Not empty; at most [`limits::HOST_ADDRESSES`]; IPv6 and IPv4 in turn.
    pub addresses: Vec<IpAddr>,
}

/// Looks names up. Cheap to clone: one cache behind all clones.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    ipv6: bool,
    loopback: bool,
}

impl Resolver {
    /// Reads the system's configuration where no servers are given; asks nobody yet.
    pub fn new(config: &DnsConfig) -> Result<Self, DnsError> {
        let failed = |error: NetError| DnsError(error.to_string());
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(failed)?
        } else {
            let servers = config.servers.iter().map(|server| name_server(*server)).collect();
            let servers = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = Duration::from_millis(config.timeout_ms);
        options.attempts = config.retries;
        options.cache_size = limits::DNS_CACHE_ANSWERS;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        options.positive_max_ttl = Some(limits::DNS_CACHE_AGE);
        options.negative_max_ttl = Some(limits::DNS_CACHE_NEGATIVE_AGE);
        let inner = builder.build().map_err(failed)?;
        Ok(Self { inner, ipv6: config.ipv6, loopback: config.loopback })
    }

    /// The hosts for a domain's mail, in the order in which they are tried, each with its addresses (RFC 5321
    /// §5.1). `is_own` tells this server's own names.
    pub async fn route(
        &self,
        domain: &DomainName,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Vec<Target>, RouteError> {
        let exchanges = self.exchanges(domain).await?;
        let is_implicit = exchanges.is_empty();
        let hosts = plan(domain.as_str(), exchanges, is_own, &mut rand::rng())?.hosts;
        let lookups = stream::iter(hosts).map(async |host| {
            let found = self.addresses(&host).await;
            (host, found)
        });
        let found: Vec<_> = lookups.buffered(limits::DNS_PARALLEL).collect().await;
        let mut unanswered = None;
        let mut targets = Vec::new();
        for (host, found) in found {
            match found {
                Ok(addresses) if addresses.is_empty() => {}
                Ok(addresses) => targets.push(Target { host, addresses }),
                Err(error) => unanswered = Some(error),
            }
        }
        match (targets.is_empty(), unanswered) {
            (false, _) => Ok(targets),
            (true, Some(error)) => Err(error),
            (true, None) if is_implicit => {
                Err(RouteError::permanent("5.1.2", format!("domain {domain} has no mail server")))
            }
            (true, None) => {
                let text = format!("no mail server of {domain} has an address");
                Err(RouteError::permanent("5.4.4", text))
            }
        }
    }

    /// The addresses of one configured host, such as a smarthost.
    pub async fn host(&self, host: &str) -> Result<Target, RouteError> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.addresses(host).await?,
        };
        if addresses.is_empty() {
            // A configured name without an address is a mistake that somebody will mend.
            return Err(RouteError::temporary("4.4.4", format!("host {host} has no address")));
        }
        Ok(Target { host: host.to_owned(), addresses })
    }

    async fn exchanges(&self, domain: &DomainName) -> Result<Vec<Exchange>, RouteError> {
        let invalid = || RouteError::permanent("5.1.2", format!("{domain} is no name for DNS"));
        let name = absolute(domain.as_str()).ok_or_else(invalid)?;
        match self.inner.lookup(name, RecordType::MX).await {
            Ok(lookup) => Ok(lookup.answers().iter().filter_map(|record| exchange(&record.data)).collect()),
            Err(error) if error.is_nx_domain() => {
                Err(RouteError::permanent("5.1.2", format!("domain {domain} does not exist")))
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(unanswered(domain.as_str(), &error)),
        }
    }

    /// The usable addresses of a host: none where it has none.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, RouteError> {
        let Some(name) = absolute(host) else { return Ok(Vec::new()) };
        let (v4, v6) = tokio::join!(self.lookup(&name, RecordType::A), async {
            if self.ipv6 { self.lookup(&name, RecordType::AAAA).await } else { Ok(Vec::new()) }
        });
        let (v4, v6) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(unanswered(host, &error)),
            (Err(error), Ok(v6)) if v6.is_empty() => return Err(unanswered(host, &error)),
            (Ok(v4), Err(error)) if v4.is_empty() => return Err(unanswered(host, &error)),
            (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
        };
        Ok(in_turn(v6, v4))
    }

    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, NetError> {
        match self.inner.lookup(name.clone(), kind).await {
            Ok(lookup) => {
                let addresses = lookup.answers().iter().filter_map(|record| record.data.ip_addr());
                Ok(addresses.filter(|address| self.is_usable(*address)).collect())
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Loopback is where spammers' domains point to, and where this server would find itself.
    fn is_usable(&self, address: IpAddr) -> bool {
        !address.is_unspecified()
            && !address.is_multicast()
            && (self.loopback || !address.to_canonical().is_loopback())
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at_port);
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// A name that no search list is added to.
fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn exchange(data: &RData) -> Option<Exchange> {
    let RData::MX(record) = data else { return None };
    let host = record.exchange.to_ascii().to_ascii_lowercase();
    Some(Exchange { preference: record.preference, host: host.trim_end_matches('.').to_owned() })
}

fn unanswered(name: &str, error: &NetError) -> RouteError {
    tracing::debug!(name, %error, "name not resolved");
    RouteError::temporary("4.4.3", format!("name servers did not answer for {name}"))
}

/// One of each in turn, the first kind first; so that a broken network of one kind costs one attempt.
fn in_turn(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut addresses = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            break;
        }
        addresses.extend(pair.0.into_iter().chain(pair.1));
    }
    addresses.truncate(limits::HOST_ADDRESSES);
    addresses
}
