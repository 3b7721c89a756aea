//! An S3 service of the tests, in process, that fails when it is told to.
//!
//! Reading order: `plan` (what fails, and what was asked), `store` (the objects: `s3s-fs` on a temporary folder), `server`
//! (the socket, and where faults happen). It knows nothing of who asks.

mod plan;
mod server;
mod store;

pub use plan::{Fault, Plan};
pub use server::{ACCESS_KEY, S3Server, SECRET_KEY};
