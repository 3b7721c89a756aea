//! Deliveries to other hosts. What becomes of a recipient in the end is the queue's matter; here is one run:
//! every host of the route is tried until each recipient has a lasting answer or no host is left.
//!
//! Reading order: [`Outbound`] (the run), `route` (which hosts), `pool` (connections kept, hosts known to be
//! down), `session` (one dialogue over one connection), `wire` (the octets, in the clear or under TLS).

mod config;
mod content;
mod pool;
mod route;
mod session;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

pub use config::{OutboundConfig, Smarthost};
pub use content::Content;
pub use route::{Destination, MailRoute, Router};
pub use transport::{Delivery, Job, MayEnd, Outbound, Outcome, Refusal};
