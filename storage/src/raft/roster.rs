//! Who belongs to a group, and who ever did: written to the tree with the entries that it applies.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::consensus::{LogId, Members, StoredMembers};
use super::wire::{self, wire_fields};
use crate::kv::key::subspace;
use crate::{Error, Result};

/// Where it stands in the tree.
pub(super) const KEY: &[u8] = &[subspace::ENGINE, b'm'];

const FORMAT: u8 = 1;
/// The incarnation of no folder.
const NOBODY: u64 = 0;

/// The group's last membership that was applied, and the incarnation of each node that was ever a member: an id is
/// never given to another folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Roster {
    pub(super) members: StoredMembers,
    pub(super) known: BTreeMap<u64, u64>,
}

wire_fields!(Roster { members, known });

impl Roster {
    pub(super) fn encode(&self) -> Bytes {
        wire::encode(FORMAT, self)
    }

    pub(super) fn decode(octets: &Bytes) -> Result<Self> {
        wire::decode(FORMAT, octets)
    }

    /// How often the group went on with a lone survivor.
    pub(super) fn era(&self) -> u64 {
        era_of(self.members.membership())
    }

    /// Where a lone survivor made the group anew, the folders of all others are nobody's: what they hold may not be what
    /// the group holds.
    pub(super) fn renew(&mut self, members: &Members) {
        if era_of(members) > self.era() {
            self.known.values_mut().for_each(|known| *known = NOBODY);
            self.known.extend(members.nodes().map(|(node, voter)| (*node, voter.incarnation)));
        }
    }

    /// Takes a membership in.
    pub(super) fn apply(&mut self, id: LogId, members: Members) {
        self.renew(&members);
        self.known.extend(members.nodes().map(|(node, voter)| (*node, voter.incarnation)));
        self.members = StoredMembers::new(Some(id), members);
    }

    /// Whether the folder may join under that id. `Exists` if another one has it, or had.
    pub(super) fn admits(&self, node: u64, incarnation: u64) -> Result<()> {
        match self.known.get(&node) {
            Some(known) if *known != incarnation => {
                let text =
                    format!("node {node}, with another folder: join with an empty folder under a new id");
                Err(Error::Exists(text.into()))
            }
            _ => Ok(()),
        }
    }
}

/// That of the members; each membership has one era only.
pub(super) fn era_of(members: &Members) -> u64 {
    members.nodes().map(|(_, voter)| voter.era).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::raft::consensus::{Voter, log_id};

    fn members(nodes: &[(u64, u64)], era: u64) -> Members {
        let voters: BTreeSet<u64> = nodes.iter().map(|(node, _)| *node).collect();
        let nodes: BTreeMap<u64, Voter> = nodes
            .iter()
            .map(|(node, incarnation)| (*node, Voter { incarnation: *incarnation, era }))
            .collect();
        Members::new(vec![voters], nodes).expect("voters are nodes")
    }

    #[test]
    fn a_lone_survivor_makes_the_others_nobody() {
        let mut roster = Roster::default();
        roster.apply(log_id(1, 0), members(&[(1, 11), (2, 22), (3, 33)], 0));
        roster.apply(log_id(1, 5), members(&[(2, 22), (3, 33)], 0));
        assert!(roster.admits(1, 11).is_ok() && roster.admits(1, 12).is_err());
        roster.apply(log_id(2, 9), members(&[(2, 22)], 1));
        assert!(roster.admits(2, 22).is_ok());
        for (node, incarnation) in [(1, 11), (3, 33), (3, 34)] {
            assert!(roster.admits(node, incarnation).is_err(), "node {node}");
        }
        roster.apply(log_id(2, 12), members(&[(2, 22), (4, 44)], 1));
        assert!(roster.admits(2, 22).is_ok() && roster.admits(4, 44).is_ok());
    }
}
