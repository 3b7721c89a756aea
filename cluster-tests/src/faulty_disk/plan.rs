//! What shall go wrong, and when.

use std::collections::BTreeSet;

use fuser::Errno;

/// What a program asks of a disk that changes it or makes it durable. Each is counted; reading is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Octets written to a file.
    Write,
    /// fsync or fdatasync of a file.
    Sync,
    /// fsync of a folder.
    SyncFolder,
    /// A file made.
    Create,
    /// A folder made.
    CreateFolder,
    /// A name moved.
    Rename,
    /// A name removed.
    Remove,
    /// ftruncate.
    SetLength,
    /// fallocate.
    Allocate,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Write,
        Self::Sync,
        Self::SyncFolder,
        Self::Create,
        Self::CreateFolder,
        Self::Rename,
        Self::Remove,
        Self::SetLength,
        Self::Allocate,
    ];
}

/// How an action fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// With an error; nothing was done, and what a sync was to write is lost.
    Error(Errno),
    /// Half of what was to be written is written; those that follow fail with the error, if more than one is to fail.
    Short(Errno),
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which actions are counted for it.
    pub actions: BTreeSet<Action>,
    /// The first one that fails, from 1.
    pub at: u64,
    /// How many fail, one after the other.
    pub times: u64,
    /// How.
    pub failure: Failure,
}

/// What shall happen while a program runs. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The power goes at this action, counted from 1: whether it is still carried out is as the seed will have it, but
    /// nobody hears of it.
    pub cut_at: Option<u64>,
    /// Decides what is not planned.
    pub seed: u64,
    /// What fails.
    pub fault: Option<Fault>,
    /// Octets that all files together may have.
    pub capacity: Option<u64>,
}
