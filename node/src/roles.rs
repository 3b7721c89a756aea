//! What listens where: binds every port of the configuration, and hands connections to their role.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use sterna_gateway::deliver::Deliverer;
use sterna_gateway::deliver::admission::Recipients;
use sterna_gateway::dns::Resolver;
use sterna_gateway::limits::COMMAND_WAIT;
use sterna_gateway::message::dkim;
use sterna_gateway::mx::{self, Mx};
use sterna_gateway::net::{Connection, Drain, Listener, Mode, Permits};
use sterna_gateway::outbound::Outbound;
use sterna_gateway::queue::{Worker, WorkerParts};
use sterna_gateway::smtp::driver::Service;
use sterna_gateway::smtp::session::{self, Role};
use sterna_gateway::submission::{self, Submission};

use crate::admin::{self, Admin, token};
use crate::assemble::{Runtime, Stores};
use crate::config::Config;
use crate::descriptors;
use crate::imap::session::recent::RecentMarks;
use crate::imap::{self, ImapConfig, ImapContext};
use crate::limits;
use crate::pop3;
use crate::pop3::lock::MaildropLocks;

const BUSY_SMTP: &[u8] = b"421 4.3.2 Too many connections, try again later\r\n";
const BUSY_IMAP: &[u8] = b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n";
const BUSY_POP3: &[u8] = b"-ERR [SYS/TEMP] Too many connections, try again later\r\n";
const BUSY_HTTP: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A bound port, ready to be served.
pub(crate) struct Port {
    name: &'static str,
    address: SocketAddr,
    serve: BoxFuture<'static, ()>,
}

/// Binds everything, so that a node that cannot serve all of it serves nothing.
pub(crate) fn bind(config: &Config, runtime: &Runtime) -> anyhow::Result<Vec<Port>> {
    let clients = Permits::new(descriptors::connections(config), usize::MAX);
    let mut ports = Ports { drain: runtime.drain.clone(), clients, bound: Vec::new() };
    let deliverer = deliverer(runtime);
    bind_smtp(config, runtime, &deliverer, &mut ports)?;
    bind_pop3(config, runtime, &mut ports)?;
    bind_imap(config, runtime, &mut ports)?;
    bind_admin(config, runtime, &mut ports)?;
    Ok(ports.bound)
}

/// Begins to serve what was bound.
pub(crate) fn serve(ports: Vec<Port>, drain: &Drain) {
    for port in ports {
        tracing::info!(role = port.name, address = %port.address, "listening");
        drain.spawn(port.serve);
    }
}

struct Ports {
    drain: Drain,
    /// What all listeners for users share.
    clients: Permits,
    bound: Vec<Port>,
}

/// How the listeners of a role take connections.
struct Entrance {
    name: &'static str,
    mode: Mode,
    permits: (usize, usize),
    /// Whether its connections count among those of users.
    for_users: bool,
    busy: &'static [u8],
}

impl Ports {
    fn add<H, F>(&mut self, addresses: &[SocketAddr], entrance: Entrance, handler: H) -> anyhow::Result<()>
    where
        H: Fn(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        for address in addresses {
            let (total, per_source) = entrance.permits;
            let permits = Permits::new(total, per_source);
            let permits = if entrance.for_users { permits.within(&self.clients) } else { permits };
            let (listener, address) = listen(*address, &entrance, &permits)?;
            let serve = Box::pin(listener.serve(self.drain.clone(), handler.clone()));
            self.bound.push(Port { name: entrance.name, address, serve });
        }
        Ok(())
    }
}

fn listen(
    address: SocketAddr,
    entrance: &Entrance,
    permits: &Permits,
) -> anyhow::Result<(Listener, SocketAddr)> {
    let bind = |address| Listener::bind(address, entrance.mode.clone(), permits.clone(), entrance.busy);
    let bound = match bind(address) {
        // A machine without IPv6: "every address" is every IPv4 address then.
        Err(error) if address.ip().is_unspecified() && is_unsupported(&error) => {
            bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        bound => bound,
    };
    let listener = bound.with_context(|| format!("listening at {address} for {}", entrance.name))?;
    let address = listener.local_address()?;
    Ok((listener, address))
}

fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| unsupported.iter().any(|errno| errno.raw_os_error() == code))
}

fn deliverer(runtime: &Runtime) -> Deliverer {
    let Stores { database, bodies, mail, queue, .. } = runtime.stores.clone();
    Deliverer::new(database, bodies, mail, queue, runtime.drain.clone())
}

/// The queue's worker, not yet running. Fails where the resolver or TLS cannot be set up.
pub(crate) fn worker(config: &Config, runtime: &Runtime) -> anyhow::Result<Worker> {
    let resolver = Resolver::new(&config.dns.floor(&config.outbound))?;
    let outbound = Outbound::new(resolver, config.outbound.floor(&config.host_name()))?;
    let deliverer = deliverer(runtime);
    let Stores { database, bodies, queue, directory, .. } = runtime.stores.clone();
    let budget = runtime.budget.clone();
    let parts = WorkerParts { database, bodies, queue, directory, deliverer, outbound, budget };
    Ok(Worker::new(parts, &config.queue.floor()))
}

fn bind_smtp(
    config: &Config,
    runtime: &Runtime,
    deliverer: &Deliverer,
    ports: &mut Ports,
) -> anyhow::Result<()> {
    let (smtp, stores) = (&config.smtp, &runtime.stores);
    let recipients = Recipients::new(stores.directory.clone(), stores.mail.clone(), config.host_name());
    let inbound = Arc::new(Mx { recipients: recipients.clone(), deliverer: deliverer.clone() });
    let users = Arc::new(Submission {
        authenticator: runtime.authenticator.clone(),
        recipients,
        deliverer: deliverer.clone(),
        signers: Arc::new(dkim::Signers::default()),
    });
    let entrance = |name, mode| Entrance {
        name,
        mode,
        permits: (smtp.connections, smtp.connections_per_source),
        for_users: true,
        busy: BUSY_SMTP,
    };
    for (name, addresses, role) in [("mx", &smtp.mx, Role::Mx), ("lmtp", &smtp.lmtp, Role::Lmtp)] {
        let (service, inbound) = (service(config, runtime, role), inbound.clone());
        let handler = move |connection| mx::serve(service.clone(), inbound.clone(), connection);
        ports.add(addresses, entrance(name, Mode::Plain), handler)?;
    }
    let tls = Mode::ImplicitTls(runtime.tls.clone());
    let of_users = [("submission", &smtp.submission, Mode::Plain), ("submissions", &smtp.submissions, tls)];
    for (name, addresses, mode) in of_users {
        let (service, users) = (service(config, runtime, Role::Submission), users.clone());
        let handler = move |connection| submission::serve(service.clone(), users.clone(), connection);
        ports.add(addresses, entrance(name, mode), handler)?;
    }
    Ok(())
}

fn service(config: &Config, runtime: &Runtime, role: Role) -> Service {
    let session = session::Config {
        role,
        host_name: config.host_name().to_string(),
        message_octets: usize::try_from(config.smtp.message_octets).unwrap_or(usize::MAX),
        recipients: config.smtp.recipients,
        starttls: true,
        trusted_networks: config.login.trusted_networks.clone(),
        command_wait: Duration::from_secs(config.limits.command_timeout_seconds).min(COMMAND_WAIT),
        reply_wait: Duration::from_secs(config.limits.write_timeout_seconds),
    };
    Service {
        config: Arc::new(session),
        tls: Some(runtime.tls.clone()),
        budget: runtime.budget.clone(),
        drain: runtime.drain.clone(),
    }
}

fn bind_imap(config: &Config, runtime: &Runtime, ports: &mut Ports) -> anyhow::Result<()> {
    let settings = ImapConfig {
        trusted_networks: config.login.trusted_networks.clone(),
        append_limit_octets: config.smtp.message_octets,
        login_timeout_s: config.limits.login_timeout_seconds,
        // A client that asks every 30 minutes shall find itself still connected.
        idle_timeout_s: config.limits.command_timeout_seconds + 60,
        write_timeout_s: config.limits.write_timeout_seconds,
        ..ImapConfig::default()
    };
    let stores = &runtime.stores;
    let context = Arc::new(ImapContext {
        store: stores.mail.clone(),
        bodies: stores.bodies.clone(),
        directory: stores.directory.clone(),
        authenticator: runtime.authenticator.clone(),
        tls: Some(runtime.tls.clone()),
        budget: runtime.budget.clone(),
        drain: runtime.drain.clone(),
        config: settings,
        recent: RecentMarks::default(),
    });
    let tls = Mode::ImplicitTls(runtime.tls.clone());
    for (name, addresses, mode) in
        [("imap", &config.imap.imap, Mode::Plain), ("imaps", &config.imap.imaps, tls)]
    {
        let permits = (config.imap.connections, config.imap.connections_per_source);
        let entrance = Entrance { name, mode, permits, for_users: true, busy: BUSY_IMAP };
        let context = context.clone();
        ports.add(addresses, entrance, move |connection| imap::serve(connection, context.clone()))?;
    }
    Ok(())
}

fn bind_pop3(config: &Config, runtime: &Runtime, ports: &mut Ports) -> anyhow::Result<()> {
    let shared = Arc::new(pop3::Runtime {
        host_name: config.host_name().to_string(),
        login_timeout: Duration::from_secs(config.limits.login_timeout_seconds),
        idle_timeout: Duration::from_secs(config.limits.command_timeout_seconds),
        trusted_networks: config.login.trusted_networks.clone(),
        tls: Some(runtime.tls.clone()),
        write_timeout: Duration::from_secs(config.limits.write_timeout_seconds),
        authenticator: runtime.authenticator.clone(),
        directory: runtime.stores.directory.clone(),
        store: runtime.stores.mail.clone(),
        locks: MaildropLocks::default(),
        budget: runtime.budget.clone(),
        drain: runtime.drain.clone(),
    });
    let tls = Mode::ImplicitTls(runtime.tls.clone());
    for (name, addresses, mode) in
        [("pop3", &config.pop3.pop3, Mode::Plain), ("pop3s", &config.pop3.pop3s, tls)]
    {
        let permits = (config.pop3.connections, config.pop3.connections_per_source);
        let entrance = Entrance { name, mode, permits, for_users: true, busy: BUSY_POP3 };
        let shared = shared.clone();
        ports.add(addresses, entrance, move |connection| pop3::serve(connection, shared.clone()))?;
    }
    Ok(())
}

fn bind_admin(config: &Config, runtime: &Runtime, ports: &mut Ports) -> anyhow::Result<()> {
    let file = config.token_file();
    let token = token::load_or_create(&file)
        .with_context(|| format!("reading the admin token from {}", file.display()))?;
    let admin = Arc::new(Admin {
        directory: runtime.stores.directory.clone(),
        mail: runtime.stores.mail.clone(),
        queue: runtime.stores.queue.clone(),
        bodies: runtime.stores.bodies.clone(),
        authenticator: runtime.authenticator.clone(),
        cluster: runtime.cluster.clone(),
        health: runtime.health.clone(),
        host_name: config.host_name(),
        password_characters: config.login.password_characters,
        token,
    });
    for address in config.http.listen.iter().filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "the admin API is not on loopback and has no TLS of its own");
    }
    let permits = (limits::ADMIN_CONNECTIONS, limits::ADMIN_CONNECTIONS_PER_SOURCE);
    let entrance = Entrance { name: "http", mode: Mode::Plain, permits, for_users: false, busy: BUSY_HTTP };
    let handler = admin::handler(admin, runtime.drain.clone());
    ports.add(&config.http.listen, entrance, handler)
}
