//! What of openraft's types we use, and their octets. No other file decides how one of them is written.

use std::fmt;

use bytes::Bytes;
use openraft::alias::{CommittedLeaderIdOf, EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_std::LeaderId;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::vote::RaftVote;
use openraft::{EntryPayload, Membership, StoredMembership};

use super::wire::{Reader, Wire, Writer, corrupt, wire_fields};
use crate::Result;

openraft::declare_raft_types!(
    /// Our choice of openraft's types: one leader a term, entries that are octets.
    pub(crate) Types:
        D = Proposal,
        R = Outcome,
        NodeId = u64,
        Node = Voter,
        LeaderId = LeaderId<u64, u64>,
);

pub(super) type LogId = LogIdOf<Types>;
pub(super) type Vote = VoteOf<Types>;
pub(super) type LogEntry = EntryOf<Types>;
pub(super) type Members = Membership<u64, Voter>;
pub(super) type StoredMembers = StoredMembershipOf<Types>;
pub(super) type Append = AppendEntriesRequest<Types>;
pub(super) type Appended = AppendEntriesResponse<Types>;
pub(super) type Ballot = VoteRequest<Types>;
pub(super) type Balloted = VoteResponse<Types>;

/// What a group remembers of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Voter {
    /// Its folder's own number, which no other folder has.
    pub(crate) incarnation: u64,
    /// How often the group had gone on with a lone survivor when it joined.
    pub(crate) era: u64,
}

wire_fields!(Voter { incarnation, era });

/// An entry's whole payload: an octet that says it is one, the term that it was resolved in, the write sets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Bytes);

/// What became of an entry once it was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    /// It was appended in another term than it was resolved in.
    Skipped,
}

const BLANK: u8 = b'B';
const MEMBERS: u8 = b'M';
const PROPOSAL: u8 = b'P';

impl Proposal {
    /// What stands before the write sets.
    pub(super) const HEAD_OCTETS: usize = 9;

    /// The octets before the write sets.
    pub(super) fn head(term: u64) -> [u8; Self::HEAD_OCTETS] {
        let mut head = [PROPOSAL; Self::HEAD_OCTETS];
        head[1..].copy_from_slice(&term.to_le_bytes());
        head
    }

    /// The term that it was resolved in, and its write sets.
    pub(super) fn parts(&self) -> Result<(u64, Bytes)> {
        let mut input = Reader::new(self.0.clone());
        if input.octet()? != PROPOSAL {
            return Err(corrupt("not a proposal"));
        }
        let term = u64::take(&mut input)?;
        Ok((term, self.0.slice(Self::HEAD_OCTETS..)))
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} octets", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} octets", self.0.len())
    }
}

/// The payload of a log entry as it stands on disk and on the wire.
pub(super) fn encode_payload(payload: &EntryPayload<Proposal, u64, Voter>) -> Bytes {
    match payload {
        EntryPayload::Blank => Bytes::from_static(&[BLANK]),
        EntryPayload::Normal(proposal) => proposal.0.clone(),
        EntryPayload::Membership(members) => {
            let mut out = Writer::default();
            out.octet(MEMBERS);
            members.put(&mut out);
            out.finish()
        }
    }
}

/// From those octets.
pub(super) fn decode_payload(octets: Bytes) -> Result<EntryPayload<Proposal, u64, Voter>> {
    match octets.first() {
        Some(&BLANK) if octets.len() == 1 => Ok(EntryPayload::Blank),
        Some(&PROPOSAL) if octets.len() > Proposal::HEAD_OCTETS => Ok(EntryPayload::Normal(Proposal(octets))),
        Some(&MEMBERS) => {
            let mut input = Reader::new(octets.slice(1..));
            let members = Members::take(&mut input)?;
            input.end()?;
            Ok(EntryPayload::Membership(members))
        }
        _ => Err(corrupt("payload of an entry")),
    }
}

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    openraft::LogId { leader_id: CommittedLeaderIdOf::<Types>::new(term), index }
}

impl Wire for LogId {
    fn put(&self, out: &mut Writer) {
        self.leader_id.term.put(out);
        self.index.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        Ok(log_id(u64::take(input)?, u64::take(input)?))
    }
}

impl Wire for Vote {
    fn put(&self, out: &mut Writer) {
        self.leader_id.term.put(out);
        self.leader_id.voted_for.put(out);
        self.committed.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let (term, voted_for) = (u64::take(input)?, u64::take(input)?);
        Ok(Self::from_leader_id(LeaderId { term, voted_for }, bool::take(input)?))
    }
}

impl Wire for Members {
    fn put(&self, out: &mut Writer) {
        self.get_joint_config().put(out);
        let nodes: Vec<(u64, Voter)> = self.nodes().map(|(id, voter)| (*id, *voter)).collect();
        nodes.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let voters = Wire::take(input)?;
        let nodes: std::collections::BTreeMap<u64, Voter> = Wire::take(input)?;
        if nodes.is_empty() {
            // Of a group that does not exist yet.
            return Ok(Self::default());
        }
        Self::new(voters, nodes).map_err(|_| corrupt("membership"))
    }
}

impl Wire for StoredMembers {
    fn put(&self, out: &mut Writer) {
        self.log_id().put(out);
        self.membership().put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        Ok(StoredMembership::new(Wire::take(input)?, Wire::take(input)?))
    }
}

impl Wire for LogEntry {
    fn put(&self, out: &mut Writer) {
        self.log_id.put(out);
        out.octets(&encode_payload(&self.payload));
    }

    fn take(input: &mut Reader) -> Result<Self> {
        let log_id = LogId::take(input)?;
        Ok(Self { log_id, payload: decode_payload(input.octets()?)? })
    }
}

wire_fields!(Append { vote, prev_log_id, entries, leader_commit });
wire_fields!(Ballot { vote, last_log_id, leadership_transfer });
wire_fields!(Balloted { vote, vote_granted, last_log_id });

impl Wire for Appended {
    fn put(&self, out: &mut Writer) {
        match self {
            Self::Success => out.octet(0),
            Self::PartialSuccess(matching) => {
                out.octet(1);
                matching.put(out);
            }
            Self::Conflict => out.octet(2),
            Self::HigherVote(vote) => {
                out.octet(3);
                vote.put(out);
            }
        }
    }

    fn take(input: &mut Reader) -> Result<Self> {
        match input.octet()? {
            0 => Ok(Self::Success),
            1 => Ok(Self::PartialSuccess(Wire::take(input)?)),
            2 => Ok(Self::Conflict),
            3 => Ok(Self::HigherVote(Wire::take(input)?)),
            _ => Err(corrupt("answer to entries")),
        }
    }
}
