//! Where objects lie, and how they are asked for.
//!
//! Reading order: `name` (what there is), `bucket` (where), `connect` with `credentials` (how a bucket is reached), `client`
//! with `presence` and `fault` (requests, made again after faults), `parts` (uploads in parts), `mark` and `check` (whose
//! bucket it is, and what it can), `meter` (what was asked, and what it costs); `local_folder` is a bucket that is a folder.

mod bucket;
mod check;
mod client;
mod connect;
mod credentials;
mod fault;
mod local_folder;
mod mark;
mod meter;
mod name;
mod parts;
mod presence;
#[cfg(test)]
mod tests;

pub use bucket::Bucket;
pub use check::{BucketReport, ConditionalPut};
pub use connect::{BucketConfig, BucketKind, Credentials};
pub use meter::{Meter, RequestKind, Traffic};

pub(super) use client::Objects;
pub(super) use local_folder::open as local_folder;
pub(super) use mark::{Claim, claim, note_place};
pub(super) use name::ObjectName;
pub(super) use parts::{Parts, Sending};
