//! Who is connecting: SASL exchanges, passwords, the throttle, and the cache of successes. Used by
//! submission here, and by IMAP, POP3 and HTTP above, so that failures of all of them count together.
//!
//! Reading order: [`sasl`] (from a client's lines to credentials), [`network`] (how sources are
//! told apart), `throttle` (who may still try), [`password`] (hashing in a bounded pool),
//! [`Authenticator`] (all of them together), [`standing`] (whether a login still holds).

mod authenticator;
pub mod network;
pub mod password;
pub mod sasl;
pub mod standing;
mod throttle;

pub use authenticator::{Authenticator, LoginConfig, LoginError};
