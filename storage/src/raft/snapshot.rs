//! A whole state on its way to a voter that is too far behind for the log: parts of a few octets each, in the order of
//! keys, at one version. A part that was lost on the way is sent again, and the receiver says where it stands; a
//! receiver that started anew gets another state from its first key. What has been received is nobody's state
//! before its last part.

use std::path::PathBuf;

use bytes::Bytes;

use super::consensus::{LogId, Vote};
use super::roster::{self, Roster};
use super::wire::{wire_fields, wire_variants};
use crate::kv::budget;
use crate::kv::engine::Version;
use crate::kv::store::import::Import;
use crate::kv::store::reading::Whole;
use crate::{Error, Result, limits};

/// What openraft hands around as a snapshot.
pub(super) enum Carried {
    /// A state of this voter's, to be read and sent.
    Outgoing(Box<Outgoing>),
    /// A state that was received whole.
    Incoming(Complete),
    /// Only that there is one.
    Nothing,
}

/// Some pairs of a state.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Names the transfer.
    pub(super) transfer: u64,
    /// The sender's.
    pub(super) vote: Vote,
    /// The state's version.
    pub(super) version: Version,
    /// How many parts came before.
    pub(super) number: u64,
    pub(super) pairs: Vec<(Bytes, Bytes)>,
    /// With the last part.
    pub(super) ending: Option<Ending>,
}

wire_fields!(Part { transfer, vote, version, number, pairs, ending });

/// What the whole state includes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub(super) last: LogId,
    pub(super) roster: Roster,
}

wire_fields!(Ending { last, roster });

/// What the receiver says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Received {
    /// It has so many parts.
    Parts(u64),
    /// It knows nothing of this transfer.
    Unknown(()),
    /// It is installed; the receiver's vote.
    Installed(Vote),
    /// The sender leads no more; the receiver's vote.
    Outvoted(Vote),
}

wire_variants!(Received { 0 => Parts, 1 => Unknown, 2 => Installed, 3 => Outvoted });

/// A state that is being sent.
pub(super) struct Outgoing {
    transfer: u64,
    whole: Whole,
    number: u64,
    ending: Ending,
}

impl Outgoing {
    /// Of a state that includes everything up to `ending`.
    pub(super) fn new(whole: Whole, ending: Ending) -> Self {
        Self { transfer: rand::random(), whole, number: 0, ending }
    }

    /// The next part. Reads files.
    pub(super) fn part(&mut self, vote: Vote) -> Result<Part> {
        let (mut pairs, mut octets, mut ending) = (Vec::new(), 0, None);
        while octets < limits::SNAPSHOT_PART_OCTETS {
            let Some(pair) = self.whole.next().transpose()? else {
                ending = Some(self.ending.clone());
                break;
            };
            octets += pair.0.len() + pair.1.len() + 8;
            pairs.push(pair);
        }
        let number = self.number;
        self.number += 1;
        Ok(Part { transfer: self.transfer, vote, version: self.whole.version, number, pairs, ending })
    }
}

/// A state that is being received.
pub(super) struct Incoming {
    transfer: u64,
    parts: u64,
    version: Version,
    import: Import,
    tree: u64,
}

/// A state that was received whole, in a tree of its own.
pub(super) struct Complete {
    pub(super) tree: u64,
    pub(super) version: Version,
    pub(super) last: LogId,
    pub(super) roster: Roster,
}

/// Where a received part leads.
pub(super) enum Taken {
    More(Incoming, u64),
    Whole(Complete),
    /// It is no part of what is being received.
    Refused,
}

impl Incoming {
    /// Takes a part in; the first one of a transfer begins a tree in place of what was received before. Blocks.
    pub(super) fn take(
        before: Option<Self>,
        part: Part,
        place: impl FnOnce() -> (u64, PathBuf),
        memtable_octets: u64,
    ) -> Result<Taken> {
        let mut incoming = match before {
            Some(before) if before.transfer == part.transfer => before,
            _ if part.number > 0 => return Ok(Taken::Refused),
            before => {
                drop(before);
                let (tree, path) = place();
                remove_folder(&path)?;
                let import = Import::begin(&path, memtable_octets, part.version)?;
                Self { transfer: part.transfer, parts: 0, version: part.version, import, tree }
            }
        };
        if part.number < incoming.parts {
            let parts = incoming.parts;
            return Ok(Taken::More(incoming, parts));
        }
        if part.number > incoming.parts || part.version != incoming.version {
            return Ok(Taken::Refused);
        }
        if part.pairs.iter().any(|(key, _)| budget::check_key(key).is_err()) {
            return Err(Error::Corrupt("a state with a key that there cannot be".into()));
        }
        incoming.import.add(&part.pairs)?;
        incoming.parts += 1;
        let Some(Ending { last, roster }) = part.ending else {
            let parts = incoming.parts;
            return Ok(Taken::More(incoming, parts));
        };
        let Self { version, import, tree, .. } = incoming;
        let applied = (super::log_store::ours(&last), last.leader_id.term);
        import.finish(applied, (roster::KEY, &roster.encode()))?;
        Ok(Taken::Whole(Complete { tree, version, last, roster }))
    }
}

/// Removes a tree's folder, if it is there.
pub(super) fn remove_folder(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::from(error)),
        _ => Ok(()),
    }
}
