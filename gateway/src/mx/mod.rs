//! Inbound policy of port 25 and of LMTP.

mod policy;

pub use policy::{Mx, serve};
