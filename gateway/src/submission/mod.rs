//! Inbound policy of ports 587 and 465 (RFC 6409, RFC 8314).

mod authors;
mod policy;

pub use policy::{Submission, serve};
