//! The states of a session (RFC 1939 §3), without a socket or a clock.

mod machine;
mod step;

pub(in crate::pop3) use machine::State;
pub use machine::{Facts, Session};
pub(in crate::pop3) use step::ListingKind;
pub use step::{Listing, LoginRefusal, Retrieval, Step};
