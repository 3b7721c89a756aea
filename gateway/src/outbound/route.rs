//! Which hosts a recipient's mail goes to: those of its domain by MX, its address literal, or the smarthost.

use std::fmt;
use std::net::SocketAddr;

use super::config::OutboundConfig;
use crate::dns::{Resolver, RouteError, Target};
use crate::smtp::codec::MailDomain;

/// What recipients have in common that can go in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The hosts of a domain.
    Domain(MailDomain),
    /// The one host for everything.
    Smarthost,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Smarthost => f.write_str("smarthost"),
        }
    }
}

/// Hosts in the order in which they are tried, each with its socket addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRoute {
    /// Host name and addresses; never empty.
    pub hosts: Vec<(String, Vec<SocketAddr>)>,
}

/// Finds routes.
#[derive(Clone)]
pub struct Router {
    resolver: Resolver,
    config: OutboundConfig,
}

impl Router {
    /// With the resolver and the operator's wishes.
    pub fn new(resolver: Resolver, config: OutboundConfig) -> Self {
        Self { resolver, config }
    }

    /// What the recipient's mail has in common with that of others.
    pub fn destination(&self, domain: &MailDomain) -> Destination {
        match self.config.smarthost {
            Some(_) => Destination::Smarthost,
            None => Destination::Domain(domain.clone()),
        }
    }

    /// The hosts for a destination, as DNS says now.
    pub async fn route(&self, destination: &Destination) -> Result<MailRoute, RouteError> {
        let (targets, port) = match (destination, &self.config.smarthost) {
            (Destination::Smarthost, Some(smarthost)) => {
                (vec![self.resolver.host(&smarthost.host).await?], smarthost.port)
            }
            (Destination::Domain(MailDomain::Name(domain)), _) => {
                let own = self.config.host.trim_end_matches('.');
                let is_own = |host: &str| host.eq_ignore_ascii_case(own);
                (self.resolver.route(domain, is_own).await?, self.config.port)
            }
            (Destination::Domain(MailDomain::Literal(address)), _) => {
                let target = Target { host: destination.to_string(), addresses: vec![*address] };
                (vec![target], self.config.port)
            }
            (Destination::Smarthost, None) => {
                let text = "no smarthost is configured any more".into();
                return Err(RouteError::Temporary { status: "4.3.5", text });
            }
        };
        let sockets = |target: Target| {
            let addresses = target.addresses.into_iter().map(|address| SocketAddr::new(address, port));
            (target.host, addresses.collect())
        };
        Ok(MailRoute { hosts: targets.into_iter().map(sockets).collect() })
    }
}
