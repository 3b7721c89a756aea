//! The order in which hosts are tried (RFC 5321 §5.1, RFC 7505): from records to a list, without lookups.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::limits;

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Lower is tried first.
    pub preference: u16,
    /// The host in lower case without the last dot; empty for the root, which accepts no mail (RFC 7505).
    pub host: String,
}

/// Hosts in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Not empty; at most [`limits::MX_HOSTS`].
    pub hosts: Vec<String>,
}

/// Why a domain has no route. Whose fault it is decides whether it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The domain cannot have mail as it is published: the message is returned.
    #[error("{text} ({status})")]
    Permanent {
        /// The enhanced status code (RFC 3463, RFC 7505).
        status: &'static str,
        /// For the sender.
        text: String,
    },
    /// Name servers did not answer: it is tried again.
    #[error("{text} ({status})")]
    Temporary {
        /// The enhanced status code.
        status: &'static str,
        /// For the sender, and the operator.
        text: String,
    },
}

impl RouteError {
    pub(super) fn permanent(status: &'static str, text: impl Into<String>) -> Self {
        Self::Permanent { status, text: text.into() }
    }

    pub(super) fn temporary(status: &'static str, text: impl Into<String>) -> Self {
        Self::Temporary { status, text: text.into() }
    }
}

/// Orders the exchanges of `domain` by preference, equal ones shuffled. Where `is_own` knows one of them, only
/// hosts of lower preference value are left. Without exchanges the domain itself is the host.
pub fn plan(
    domain: &str,
    mut exchanges: Vec<Exchange>,
    is_own: impl Fn(&str) -> bool,
    random: &mut impl Rng,
) -> Result<Plan, RouteError> {
    if exchanges.is_empty() {
        exchanges.push(Exchange { preference: 0, host: domain.to_owned() });
    }
    exchanges.retain(|exchange| !exchange.host.is_empty());
    if exchanges.is_empty() {
        // RFC 7505 §3.
        return Err(RouteError::permanent("5.1.10", format!("domain {domain} accepts no mail (null MX)")));
    }
    let own = exchanges.iter().filter(|exchange| is_own(&exchange.host)).map(|own| own.preference).min();
    if let Some(own) = own {
        exchanges.retain(|exchange| exchange.preference < own);
    }
    if exchanges.is_empty() {
        let text = format!("mail for {domain} loops back to this server");
        return Err(RouteError::permanent("5.4.6", text));
    }
    exchanges.shuffle(random);
    exchanges.sort_by_key(|exchange| exchange.preference);
    let mut hosts: Vec<String> = Vec::with_capacity(exchanges.len());
    for exchange in exchanges {
        if hosts.len() < limits::MX_HOSTS && !hosts.contains(&exchange.host) {
            hosts.push(exchange.host);
        }
    }
    Ok(Plan { hosts })
}
