//! What the nodes of a cluster know of each other, kept in the group that all of them share: the cluster's identity and
//! its certificate authority, its nodes, and the tokens by which new ones are let in. Who signs certificates and who
//! carries them over a network is the floors' above.
//!
//! Reading order: [`words`] (ids, addresses, tokens), `stored` (how they are written), `seal` (the authority's key at
//! rest), [`roster`] (what can be done with them).

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod roster;
mod seal;
mod stored;
#[cfg(test)]
mod tests;
pub mod words;

pub use roster::{Admission, Founding, Roster};
pub use words::{Cluster, ClusterId, Fingerprint, Node, NodeAddress, Token};
