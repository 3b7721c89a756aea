//! What nodes ask each other, and answer. An envelope names the group and, where votes depend on it, the folder that
//! is meant and the one that asks.

use bytes::Bytes;
use openraft::raft::{TransferLeaderError, TransferLeaderRequest};

use super::consensus::{Append, Appended, Ballot, Balloted, LogId, Types, Vote};
use super::kv_wire::take_key;
use super::snapshot::{Part, Received};
use super::transport::{Lane, NodeId};
use super::wire::{self, Reader, Wire, Writer, wire_fields, wire_variants};
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Version};
use crate::kv::range::KeyRange;
use crate::{Error, Result};

const FORMAT: u8 = 1;

/// A call as it is sent.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The group's name.
    pub(super) group: String,
    /// The incarnation that the caller means; 0 for whoever is there.
    pub(super) to: u64,
    /// The caller's own in this group; 0 for a node that is none of its members.
    pub(super) from: u64,
    pub(super) call: Call,
}

wire_fields!(Envelope { group, to, from, call });

impl Envelope {
    pub(super) fn encode(&self) -> Bytes {
        wire::encode(FORMAT, self)
    }

    pub(super) fn decode(octets: &Bytes) -> Result<Self> {
        wire::decode(FORMAT, octets)
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// Entries of the log, or none: a heartbeat.
    Append(Append),
    Vote(Ballot),
    PreVote(Ballot),
    Lead(Succession),
    /// A part of a state.
    Part(Part),
    /// Who is there.
    Introduce(()),
    /// How far the log is committed, as a majority confirms.
    ReadIndex(()),
    /// A version at least as new as every commit acknowledged before.
    ReadVersion(()),
    Get(Get),
    Range(GetRange),
    Commit(Commit),
    /// Waits until the key may have changed, for a while.
    Watch(Get),
    Manage(Manage),
}

wire_variants!(Call {
    0 => Append, 1 => Vote, 2 => PreVote, 3 => Lead, 4 => Part, 5 => Introduce, 6 => ReadIndex, 7 => ReadVersion,
    8 => Get, 9 => Range, 10 => Commit, 11 => Watch, 12 => Manage,
});

impl Call {
    /// Which connection carries it.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Append(append) if !append.entries.is_empty() => Lane::Log,
            Self::Append(_) | Self::Vote(_) | Self::PreVote(_) | Self::Lead(_) => Lane::Votes,
            Self::Part(_) => Lane::Snapshots,
            Self::Watch(_) => Lane::Watches,
            _ => Lane::Transactions,
        }
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Appended(Appended),
    Balloted(Balloted),
    /// Whether it will stand for election.
    Led(bool),
    Received(Received),
    Introduced(Introduced),
    ReadIndex(u64),
    Version(Version),
    Value(Option<Bytes>),
    Chunk(Chunk),
    Committed(Committed),
    /// Whether the key may have changed.
    Watched(bool),
    Managed(()),
    /// It leads no more, or not yet: nothing was changed. Who does, as far as it knows.
    NotLeader(Option<u64>),
    /// It is not the folder that was meant.
    Stranger(()),
    Failed(Error),
}

wire_variants!(Answer {
    0 => Appended, 1 => Balloted, 2 => Led, 3 => Received, 4 => Introduced, 5 => ReadIndex, 6 => Version, 7 => Value,
    8 => Chunk, 9 => Committed, 10 => Watched, 11 => Managed, 12 => NotLeader, 13 => Stranger, 14 => Failed,
});

impl Answer {
    pub(super) fn encode(&self) -> Bytes {
        wire::encode(FORMAT, self)
    }

    pub(super) fn decode(octets: &Bytes) -> Result<Self> {
        wire::decode(FORMAT, octets)
    }
}

/// A leader asks another voter to take over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Succession {
    pub(super) from_leader: Vote,
    pub(super) to: u64,
    pub(super) last_log_id: Option<LogId>,
}

wire_fields!(Succession { from_leader, to, last_log_id });

impl Succession {
    pub(super) fn new(request: &TransferLeaderRequest<Types>) -> Self {
        Self {
            from_leader: *request.from_leader(),
            to: *request.to_node_id(),
            last_log_id: request.last_log_id().copied(),
        }
    }

    pub(super) fn request(self) -> TransferLeaderRequest<Types> {
        TransferLeaderRequest::new(self.from_leader, self.to, self.last_log_id)
    }

    /// Why a voter that said no would not.
    pub(super) fn refusal(&self) -> TransferLeaderError<Types> {
        TransferLeaderError::LogNotFlushed { expected: self.last_log_id, actual: None }
    }
}

/// One key at a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Get {
    pub(super) at: Version,
    pub(super) key: Bytes,
}

impl Wire for Get {
    fn put(&self, out: &mut Writer) {
        self.at.put(out);
        self.key.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        Ok(Self { at: Version::take(input)?, key: take_key(input)? })
    }
}

/// Part of a range at a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GetRange {
    pub(super) at: Version,
    pub(super) range: KeyRange,
    pub(super) limit: ChunkLimit,
}

wire_fields!(GetRange { at, range, limit });

/// Who answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Introduced {
    pub(super) incarnation: u64,
    /// Whether its folder holds nothing of the group yet.
    pub(super) is_new: bool,
}

wire_fields!(Introduced { incarnation, is_new });

/// A change of the group, carried out by its leader.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Manage {
    AddLearner(u64),
    AddVoter(u64),
    Remove(u64),
    Transfer(u64),
}

wire_variants!(Manage { 0 => AddLearner, 1 => AddVoter, 2 => Remove, 3 => Transfer });

impl Wire for NodeId {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        u64::take(input).map(Self)
    }
}
