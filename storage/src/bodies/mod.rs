//! Message bodies: staged, packed, sealed, read in ranges, collected.
//!
//! Reading order: `store` (the handle) and `config`, `stage` and `upload` (how a body comes in), `read` and
//! `read_many` with `cache` (how it goes out), `waiting` and `pack`, `collect` and `rewrite` with `workers` and `lease` (what
//! happens to it meanwhile), `verify` and `recover`, `relocate` (all objects move to another place); beneath them `crypt` and
//! `domains` (keys), `frame` (how octets are sealed), `record`, `segment` and `keys` (stored forms), `objects` (where objects
//! lie, and how they are asked for).

mod cache;
mod collect;
mod config;
mod crypt;
mod domains;
mod frame;
mod keys;
mod lease;
mod objects;
mod pack;
mod read;
mod read_many;
mod record;
mod recover;
mod relocate;
mod rewrite;
mod segment;
mod stage;
mod store;
mod upload;
mod verify;
mod waiting;
mod workers;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

pub use collect::Collected;
pub use config::BodiesConfig;
pub(crate) use keys::bound_to_nodes;
pub use objects::{
    Bucket, BucketConfig, BucketKind, BucketReport, ConditionalPut, Credentials, Meter, RequestKind, Traffic,
};
pub use pack::Packed;
pub use read::Reader;
pub(crate) use read::in_one_piece;
pub use record::Owner;
pub use recover::{Recovered, Recovery};
pub(crate) use relocate::set_placed;
pub use relocate::{Identity, Relocated, Relocation, Stock, identity};
pub use stage::{Staged, Writer};
pub use store::Bodies;
pub use verify::{Problem, VerifyOptions, VerifyReport};
pub use waiting::Waiting;
