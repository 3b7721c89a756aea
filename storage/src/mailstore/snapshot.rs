//! A mailbox at one moment: UIDs, MODSEQs and flags in compact arrays, cut into chunks that
//! successive moments share. Pure; knows nothing of where messages are stored.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::chunk::{Chunk, ChunkWriter};
use super::flag_table::{FlagTable, FlagsId, KeywordTable};
use crate::types::{Flags, Keyword, ModSeq, SystemFlag, Uid, UidSet};

/// What befell the messages of a run of UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) modseq: u64,
    /// The flags they have now; `None` for those that are expunged.
    pub(super) flags: Option<FlagsId>,
}

/// The way from one snapshot to the next.
#[derive(Debug)]
pub(super) struct Advance {
    /// Ascending, disjoint.
    pub(super) edits: Vec<Edit>,
    /// Knows the flags of all edits and of all messages.
    pub(super) table: Arc<FlagTable>,
    pub(super) keywords: Arc<KeywordTable>,
    pub(super) uid_next: u32,
    pub(super) highest_modseq: ModSeq,
}

/// One message of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its position, from 1.
    pub sequence: u32,
    /// Its UID.
    pub uid: Uid,
    /// When it last changed.
    pub modseq: ModSeq,
    /// Its flag set, by number.
    pub flags_id: FlagsId,
    /// Its flags.
    pub flags: &'a Arc<Flags>,
}

/// A mailbox at one moment. Immutable; cheap to make from its predecessor.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// Greater than every UID in the snapshot.
    pub uid_next: u32,
    /// At least the MODSEQ of every message, and of every expunge that the snapshot reflects.
    pub highest_modseq: ModSeq,
    pub(super) table: Arc<FlagTable>,
    pub(super) keywords: Arc<KeywordTable>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    // How many messages stand before each chunk.
    pub(super) starts: Vec<u32>,
    messages: u32,
    unseen: u32,
    deleted: u32,
}

impl Snapshot {
    /// A mailbox without messages.
    pub(super) fn empty(uid_validity: u32, generation: u64) -> Self {
        Self {
            uid_validity,
            uid_next: 1,
            highest_modseq: ModSeq(0),
            table: Arc::new(FlagTable::new(generation)),
            keywords: Arc::default(),
            chunks: Vec::new(),
            starts: Vec::new(),
            messages: 0,
            unseen: 0,
            deleted: 0,
        }
    }

    /// The same mailbox with other messages.
    pub(super) fn with_chunks(mut self, chunks: Vec<Arc<Chunk>>) -> Self {
        let (mut messages, mut unseen, mut deleted) = (0, 0, 0);
        self.starts = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            self.starts.push(messages);
            messages += chunk.len() as u32;
            unseen += chunk.unseen;
            deleted += chunk.deleted;
        }
        self.chunks = chunks;
        (self.messages, self.unseen, self.deleted) = (messages, unseen, deleted);
        self
    }

    /// The successor after `advance`.
    pub(super) fn advanced(&self, advance: Advance) -> Self {
        let mut writer = ChunkWriter::new(&advance.table, self.chunks.len() + 1);
        let mut edits = &advance.edits[..];
        for chunk in &self.chunks {
            let past = edits.iter().take_while(|edit| edit.last < chunk.columns.uids[0]).count();
            edits = &edits[past..];
            if edits.first().is_none_or(|edit| edit.first > chunk.last_uid()) {
                writer.share(chunk);
            } else {
                edit_chunk(chunk, edits, &mut writer);
            }
        }
        let last = self.chunks.last().map_or(0, |chunk| chunk.last_uid());
        for edit in edits.iter().filter(|edit| edit.last > last) {
            if let Some(flags) = edit.flags {
                writer.reopen();
                (edit.first.max(last + 1)..=edit.last).for_each(|uid| writer.push(uid, edit.modseq, flags));
            }
        }
        let chunks = writer.finish();
        Self {
            uid_next: advance.uid_next,
            highest_modseq: advance.highest_modseq,
            table: advance.table,
            keywords: advance.keywords,
            ..Self::empty(self.uid_validity, 0)
        }
        .with_chunks(chunks)
    }

    /// How many messages there are.
    pub fn len(&self) -> u32 {
        self.messages
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// How many messages are without `\Seen`.
    pub fn unseen(&self) -> u32 {
        self.unseen
    }

    /// How many messages have `\Deleted`.
    pub fn deleted(&self) -> u32 {
        self.deleted
    }

    /// The sequence number of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        let chunk = self.chunks.iter().position(|chunk| chunk.unseen > 0)?;
        let mut messages = self.messages_from(chunk, 0);
        messages.find(|message| !message.flags.contains(SystemFlag::Seen)).map(|message| message.sequence)
    }

    /// Every keyword that the mailbox ever used (the FLAGS response, RFC 9051 §7.3.5).
    pub fn keywords(&self) -> &[Keyword] {
        self.keywords.keywords()
    }

    /// The generation of this view's flag sets: what a reader derived from a [`FlagsId`] holds while it is the same.
    pub fn flags_generation(&self) -> u64 {
        self.table.generation
    }

    /// How many flag sets the view has met: every [`FlagsId`] of this snapshot is below.
    pub fn flag_sets(&self) -> usize {
        self.table.len()
    }

    /// The flags of a set of this snapshot's generation.
    pub fn flags(&self, id: FlagsId) -> &Arc<Flags> {
        self.table.set(id)
    }

    fn message(&self, chunk: usize, at: usize) -> Message<'_> {
        let columns = &self.chunks[chunk].columns;
        Message {
            sequence: self.starts[chunk] + at as u32 + 1,
            uid: Uid::new(columns.uids[at]).expect("no message has UID 0"),
            modseq: ModSeq(columns.modseqs[at]),
            flags_id: columns.flags[at],
            flags: self.table.set(columns.flags[at]),
        }
    }

    fn messages_from(&self, chunk: usize, at: usize) -> impl Iterator<Item = Message<'_>> {
        let rest = move |index: usize| if index == chunk { at } else { 0 };
        (chunk..self.chunks.len()).flat_map(move |index| {
            (rest(index)..self.chunks[index].len()).map(move |at| self.message(index, at))
        })
    }

    fn position(&self, sequence: u32) -> Option<(usize, usize)> {
        let before = sequence.checked_sub(1).filter(|before| *before < self.messages)?;
        let chunk = self.starts.partition_point(|start| *start <= before) - 1;
        Some((chunk, (before - self.starts[chunk]) as usize))
    }

    // Where the first message with at least this UID stands; behind the last chunk if there is none.
    fn position_from_uid(&self, uid: u32) -> (usize, usize) {
        let chunk = self.chunks.partition_point(|chunk| chunk.last_uid() < uid);
        let at = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.columns.uids.partition_point(|known| *known < uid));
        (chunk, at)
    }

    /// The message at a position, counted from 1.
    pub fn get(&self, sequence: u32) -> Option<Message<'_>> {
        self.position(sequence).map(|(chunk, at)| self.message(chunk, at))
    }

    /// The last message.
    pub fn last(&self) -> Option<Message<'_>> {
        self.get(self.messages)
    }

    /// Where the message with this UID stands, from 1.
    pub fn sequence_of(&self, uid: Uid) -> Option<u32> {
        self.by_uid(uid).map(|message| message.sequence)
    }

    /// The message with this UID.
    pub fn by_uid(&self, uid: Uid) -> Option<Message<'_>> {
        let (chunk, at) = self.position_from_uid(uid.get());
        let known = *self.chunks.get(chunk)?.columns.uids.get(at)?;
        (known == uid.get()).then(|| self.message(chunk, at))
    }

    /// The messages at those positions, ascending; what lies beyond the end is not there.
    pub fn iter(&self, sequences: RangeInclusive<u32>) -> impl Iterator<Item = Message<'_>> {
        let first = (*sequences.start()).max(1);
        let last = (*sequences.end()).min(self.messages);
        let (chunk, at) = self.position(first).unwrap_or((self.chunks.len(), 0));
        self.messages_from(chunk, at).take((last + 1).saturating_sub(first) as usize)
    }

    /// All messages, ascending.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.messages_from(0, 0)
    }

    /// The messages whose UIDs are in the set, ascending.
    pub fn uids_in<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = Message<'a>> + 'a {
        set.ranges().flat_map(move |range| {
            let (chunk, at) = self.position_from_uid(range.start().get());
            let last = *range.end();
            self.messages_from(chunk, at).take_while(move |message| message.uid <= last)
        })
    }

    /// The messages that changed after `since`, ascending. Chunks without such a one are passed over.
    pub fn changed_since(&self, since: ModSeq) -> impl Iterator<Item = Message<'_>> {
        let changed = move |index: &usize| self.chunks[*index].highest_modseq > since.0;
        (0..self.chunks.len())
            .filter(changed)
            .flat_map(move |index| (0..self.chunks[index].len()).map(move |at| self.message(index, at)))
            .filter(move |message| message.modseq > since)
    }
}

// Writes a chunk's messages as `edits` leave them; edits beyond the chunk are left for the next one.
fn edit_chunk(chunk: &Chunk, mut edits: &[Edit], writer: &mut ChunkWriter<'_>) {
    let columns = &chunk.columns;
    for at in 0..chunk.len() {
        let uid = columns.uids[at];
        while edits.first().is_some_and(|edit| edit.last < uid) {
            edits = &edits[1..];
        }
        match edits.first().filter(|edit| edit.first <= uid) {
            Some(Edit { flags: Some(flags), modseq, .. }) => writer.push(uid, *modseq, *flags),
            Some(Edit { flags: None, .. }) => {}
            None => writer.push(uid, columns.modseqs[at], columns.flags[at]),
        }
    }
}
