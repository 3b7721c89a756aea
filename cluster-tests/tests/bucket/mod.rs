//! Bodies in a bucket: the store over a service that fails in every way, and whole servers over it.

mod away;
mod faults;
mod identity;
mod outage;
pub(crate) mod scene;
pub(crate) mod whole;
