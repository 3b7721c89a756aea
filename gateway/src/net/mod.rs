//! Listeners with permits, TLS, drain, and the octet budget of all sessions. Knows no protocol.
//!
//! Reading order: [`Listener`] takes connections under [`Permits`], [`Connection`] and [`Stream`] are
//! what a protocol's driver reads and writes, [`Tls`] gives certificates that can be exchanged while
//! running, [`Drain`] ends it all in order, [`ByteBudget`] bounds what all sessions hold in memory.

mod budget;
mod certificates;
mod drain;
mod listener;
mod permits;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

pub use budget::{ByteBudget, Exhausted, Reservation};
pub use drain::{Drain, Turn};
pub use listener::{Listener, Mode};
pub use permits::{Permit, Permits};
pub use stream::{Connection, Stream, TlsFacts};
pub use tls::{CertificateFiles, Tls, TlsError, crypto_provider};
