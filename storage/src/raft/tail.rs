//! The last entries of a group's log, in memory: those that are not on disk yet, and what followers and the tree ask for
//! next.

use std::collections::VecDeque;

use super::consensus::{LogEntry, LogId};
use super::log_store::ours;
use crate::limits;

/// Entries that follow each other.
#[derive(Default)]
pub(super) struct Tail {
    entries: VecDeque<LogEntry>,
    octets: usize,
}

impl Tail {
    /// Takes entries in, and lets the first go that are on disk up to `durable`.
    pub(super) fn push(&mut self, entries: &[LogEntry], durable: u64) {
        self.octets += entries.iter().map(octets_of).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
        while self.octets > limits::RAFT_TAIL_OCTETS
            && let Some(first) = self.entries.pop_front_if(|first| ours(&first.log_id) <= durable)
        {
            self.octets -= octets_of(&first);
        }
    }

    /// Lets go what is behind an index, or up to it.
    pub(super) fn retain(&mut self, keeps: impl Fn(u64) -> bool) {
        self.entries.retain(|entry| keeps(ours(&entry.log_id)));
        self.octets = self.entries.iter().map(octets_of).sum();
    }

    /// By our index.
    pub(super) fn get(&self, index: u64) -> Option<&LogEntry> {
        let first = ours(&self.entries.front()?.log_id);
        self.entries.get(index.checked_sub(first)? as usize)
    }

    pub(super) fn first(&self) -> Option<LogId> {
        self.entries.front().map(|first| first.log_id)
    }

    pub(super) fn last(&self) -> Option<LogId> {
        self.entries.back().map(|last| last.log_id)
    }
}

/// What an entry takes of memory.
pub(super) fn octets_of(entry: &LogEntry) -> usize {
    let payload = match &entry.payload {
        openraft::EntryPayload::Normal(proposal) => proposal.0.len(),
        _ => 0,
    };
    payload + 64
}
