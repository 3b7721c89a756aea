//! Where mail for a domain goes: the resolver, and the attempt list made from MX records.

mod plan;
mod resolver;

#[cfg(test)]
pub(crate) mod test_zone;
#[cfg(test)]
mod tests;

pub use plan::{Exchange, Plan, RouteError, plan};
pub use resolver::{DnsConfig, DnsError, Resolver, Target};
