//! Some messages of a snapshot as columns, and the writer that cuts a mailbox into such chunks. Pure.

use std::sync::Arc;

use super::flag_table::{FlagTable, FlagsId};
use crate::limits::SNAPSHOT_CHUNK_MESSAGES;
use crate::types::{Flags, SystemFlag};

/// Chunks smaller than this are joined with a neighbour when they are met.
const SMALL_CHUNK_MESSAGES: usize = SNAPSHOT_CHUNK_MESSAGES / 4;

/// Messages in order of UID, as columns of equal length.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) uids: Vec<u32>,
    pub(super) modseqs: Vec<u64>,
    pub(super) flags: Vec<FlagsId>,
}

impl Columns {
    pub(super) fn with_capacity(messages: usize) -> Self {
        Self {
            uids: Vec::with_capacity(messages),
            modseqs: Vec::with_capacity(messages),
            flags: Vec::with_capacity(messages),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.uids.len()
    }

    pub(super) fn push(&mut self, uid: u32, modseq: u64, flags: FlagsId) {
        self.uids.push(uid);
        self.modseqs.push(modseq);
        self.flags.push(flags);
    }

    fn extend(&mut self, from: &Self, begin: usize, end: usize) {
        self.uids.extend_from_slice(&from.uids[begin..end]);
        self.modseqs.extend_from_slice(&from.modseqs[begin..end]);
        self.flags.extend_from_slice(&from.flags[begin..end]);
    }

    fn shrink(&mut self) {
        self.uids.shrink_to_fit();
        self.modseqs.shrink_to_fit();
        self.flags.shrink_to_fit();
    }

    fn count(&self, table: &FlagTable, wanted: impl Fn(&Flags) -> bool) -> u32 {
        // Runs of equal flags are the rule: look a set up once per run.
        let runs = self.flags.chunk_by(|one, other| one == other);
        runs.filter(|run| wanted(table.set(run[0]))).map(|run| run.len() as u32).sum()
    }
}

/// Some messages. Never empty inside a snapshot.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) columns: Columns,
    pub(super) highest_modseq: u64,
    pub(super) unseen: u32,
    pub(super) deleted: u32,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn last_uid(&self) -> u32 {
        self.columns.uids.last().copied().unwrap_or(0)
    }

    fn new(mut columns: Columns, table: &FlagTable) -> Self {
        columns.shrink();
        Self {
            highest_modseq: columns.modseqs.iter().copied().max().unwrap_or(0),
            unseen: columns.count(table, |flags| !flags.contains(SystemFlag::Seen)),
            deleted: columns.count(table, |flags| flags.contains(SystemFlag::Deleted)),
            columns,
        }
    }
}

/// Collects chunks in order of UID.
pub(super) struct ChunkWriter<'a> {
    table: &'a FlagTable,
    chunks: Vec<Arc<Chunk>>,
    open: Columns,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn new(table: &'a FlagTable, chunks: usize) -> Self {
        Self { table, chunks: Vec::with_capacity(chunks), open: Columns::default() }
    }

    pub(super) fn push(&mut self, uid: u32, modseq: u64, flags: FlagsId) {
        self.open.push(uid, modseq, flags);
        if self.open.len() >= SNAPSHOT_CHUNK_MESSAGES {
            self.seal();
        }
    }

    /// The chunks of a mailbox that is at hand as a whole.
    pub(super) fn cut(table: &'a FlagTable, columns: &Columns) -> Vec<Arc<Chunk>> {
        let mut writer = Self::new(table, columns.len().div_ceil(SNAPSHOT_CHUNK_MESSAGES));
        for begin in (0..columns.len()).step_by(SNAPSHOT_CHUNK_MESSAGES) {
            writer.open.extend(columns, begin, columns.len().min(begin + SNAPSHOT_CHUNK_MESSAGES));
            writer.seal();
        }
        writer.finish()
    }

    /// Takes a chunk over as it is, or its messages where that joins two small ones.
    pub(super) fn share(&mut self, chunk: &Arc<Chunk>) {
        if self.open.len() > 0
            && self.open.len().min(chunk.len()) < SMALL_CHUNK_MESSAGES
            && self.open.len() + chunk.len() <= SNAPSHOT_CHUNK_MESSAGES
        {
            return self.copy(chunk);
        }
        self.seal();
        self.chunks.push(Arc::clone(chunk));
    }

    // Takes a chunk's messages over; they must fit.
    fn copy(&mut self, chunk: &Chunk) {
        self.open.extend(&chunk.columns, 0, chunk.len());
    }

    /// Lets what is pushed next join the last chunk, if that has room.
    pub(super) fn reopen(&mut self) {
        if self.open.len() == 0
            && let Some(chunk) = self.chunks.pop_if(|chunk| chunk.len() < SNAPSHOT_CHUNK_MESSAGES)
        {
            self.copy(&chunk);
        }
    }

    fn seal(&mut self) {
        if self.open.len() > 0 {
            self.chunks.push(Arc::new(Chunk::new(std::mem::take(&mut self.open), self.table)));
        }
    }

    pub(super) fn finish(mut self) -> Vec<Arc<Chunk>> {
        self.seal();
        self.chunks
    }
}
