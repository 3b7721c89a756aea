//! Replicated groups: the transaction interface on several nodes, of which any minority may be lost.
//!
//! # For whoever assembles a node
//!
//! - A [`Group`] is opened from a folder with [`Group::open`], which takes the [`Transport`] that reaches the other nodes.
//!   Several groups live in one process; their folders are their own.
//! - Each opened group is added to the node's [`Groups`], which is the [`Answers`] that the server's side of the transport
//!   hands calls to.
//! - [`Group::bootstrap`] makes a group of nodes that have opened it with empty folders, once. Later members open it with
//!   an empty folder under an id that was never used, and are taken in by [`Group::add_learner`] or
//!   [`Group::add_voter`]; [`Group::remove`], [`Group::transfer`] and [`Group::status`] do what they say. All of them may
//!   be called on any member.
//! - A [`Group`] is the [`crate::kv::Engine`] of its node. A node that keeps nothing of the group uses [`Remote`].
//!   What a member keeps can be read without the others too: [`crate::kv::OwnCopy`].
//! - [`Group::close`] hands the leadership over and ends in order. A group that stepped aside (disk full, log damaged) says
//!   why in its status, and its engine asks the other voters; it is closed, and opened again once the cause is gone.
//! - [`recovery`] is for the day when a majority is lost.
//!
//! # Reading order
//!
//! `transport` (how nodes call each other), `wire`, `kv_wire` and `call` (what they say), `consensus` (what of openraft we use),
//! `anchor` and `identity` (what a voter must not forget), `log_store` with `tail` and `log_traits` (openraft on our log),
//! `machine` with `trees` and `roster` (openraft on our tree), `snapshot`, `sending` and `reception` (a whole state on its
//! way), `network` (openraft's calls), `pipeline` and `leadership` (what a leader does), `rounds` and `route` (asking the leader, wherever it is), `engine`, `copy` and `remote`,
//! `answers` (the server's side), `members`, `status`, [`recovery`], and `group` (the whole) with `gate` and `ending` (its
//! end).

mod anchor;
mod answers;
mod call;
mod consensus;
mod copy;
mod ending;
mod engine;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod group;
mod identity;
mod kv_wire;
mod leadership;
mod log_store;
mod log_traits;
mod machine;
mod members;
mod network;
mod pipeline;
mod reception;
pub mod recovery;
mod remote;
mod roster;
mod rounds;
mod route;
mod sending;
mod snapshot;
mod status;
mod tail;
mod transport;
mod trees;
mod wire;

pub use answers::Groups;
pub use group::{Group, GroupConfig, Timing};
pub use remote::Remote;
pub use status::{MemberStatus, Role, Status};
pub use transport::{Answers, CallError, Lane, NodeId, Patience, Transport};

#[cfg(test)]
mod tests;
