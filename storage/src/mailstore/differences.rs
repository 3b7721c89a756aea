//! What a client that knows one snapshot must be told to know a newer one, and the snapshot in
//! between that hides expunges (RFC 9051 §7.5.1). Pure; chunks that both share are passed over.

use std::cmp::Ordering;
use std::sync::Arc;

use super::chunk::{Chunk, ChunkWriter};
use super::flag_table::{FlagTable, FlagsId};
use super::snapshot::Snapshot;
use crate::types::{Uid, UidSet};

/// The way from an older snapshot to a newer one. Told in this order: expunges, then existence, then flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotChanges {
    /// Sequence numbers in the older snapshot, descending, so that each is right when told one by one.
    pub expunged: Vec<u32>,
    /// The same messages by UID.
    pub expunged_uids: UidSet,
    /// Sequence numbers in the newer snapshot, ascending, of messages in both whose MODSEQ differs.
    pub flags: Vec<u32>,
    /// How many messages of the newer snapshot are not in the older one.
    pub added: u32,
    /// How many messages the newer snapshot has.
    pub exists: u32,
    /// Whether the mailbox has new keywords.
    pub keywords: bool,
}

impl SnapshotChanges {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty() && self.flags.is_empty() && self.added == 0 && !self.keywords
    }
}

/// A message of one of the two snapshots.
#[derive(Clone, Copy)]
struct Place<'a> {
    chunk: &'a Chunk,
    at: usize,
    // Its position in its snapshot, from 1.
    sequence: u32,
}

impl Place<'_> {
    fn uid(&self) -> u32 {
        self.chunk.columns.uids[self.at]
    }

    fn modseq(&self) -> u64 {
        self.chunk.columns.modseqs[self.at]
    }

    fn flags(&self) -> FlagsId {
        self.chunk.columns.flags[self.at]
    }
}

/// What a walk over two snapshots comes upon next.
enum Met<'a> {
    // Stands in both as it is.
    Shared(&'a Arc<Chunk>),
    // In the older and in the newer.
    Both(Place<'a>, Place<'a>),
    OnlyOlder(Place<'a>),
    OnlyNewer(Place<'a>),
}

// A position in a snapshot.
struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    at: usize,
    sequence: u32,
}

impl<'a> Cursor<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { chunks: &snapshot.chunks, at: 0, sequence: 1 }
    }

    // The chunk that it stands at the beginning of.
    fn whole_chunk(&self) -> Option<&'a Arc<Chunk>> {
        self.chunks.first().filter(|_| self.at == 0)
    }

    fn skip_chunk(&mut self) {
        self.sequence += self.chunks[0].len() as u32;
        self.chunks = &self.chunks[1..];
    }

    fn place(&self) -> Option<Place<'a>> {
        Some(Place { chunk: self.chunks.first()?, at: self.at, sequence: self.sequence })
    }

    fn advance(&mut self) {
        self.at += 1;
        self.sequence += 1;
        if self.at == self.chunks[0].len() {
            self.chunks = &self.chunks[1..];
            self.at = 0;
        }
    }
}

// Walks both snapshots in order of UID.
struct Walk<'a> {
    older: Cursor<'a>,
    newer: Cursor<'a>,
}

impl<'a> Walk<'a> {
    fn new(older: &'a Snapshot, newer: &'a Snapshot) -> Self {
        Self { older: Cursor::new(older), newer: Cursor::new(newer) }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Met<'a>;

    fn next(&mut self) -> Option<Met<'a>> {
        if let (Some(known), Some(chunk)) = (self.older.whole_chunk(), self.newer.whole_chunk())
            && Arc::ptr_eq(known, chunk)
        {
            self.older.skip_chunk();
            self.newer.skip_chunk();
            return Some(Met::Shared(chunk));
        }
        let met = match (self.older.place(), self.newer.place()) {
            (None, None) => return None,
            (Some(known), None) => Met::OnlyOlder(known),
            (None, Some(new)) => Met::OnlyNewer(new),
            (Some(known), Some(new)) => match known.uid().cmp(&new.uid()) {
                Ordering::Less => Met::OnlyOlder(known),
                Ordering::Equal => Met::Both(known, new),
                Ordering::Greater => Met::OnlyNewer(new),
            },
        };
        if !matches!(met, Met::OnlyNewer(_)) {
            self.older.advance();
        }
        if !matches!(met, Met::OnlyOlder(_)) {
            self.newer.advance();
        }
        Some(met)
    }
}

impl Snapshot {
    /// What a client that knows `self` must be told to know `newer`.
    pub fn changes_to(&self, newer: &Self) -> SnapshotChanges {
        let mut changes = SnapshotChanges {
            exists: newer.len(),
            keywords: self.keywords().len() != newer.keywords().len(),
            ..Default::default()
        };
        for met in Walk::new(self, newer) {
            match met {
                Met::Shared(_) => {}
                Met::Both(known, new) if known.modseq() == new.modseq() => {}
                Met::Both(_, new) => changes.flags.push(new.sequence),
                Met::OnlyOlder(known) => {
                    changes.expunged.push(known.sequence);
                    changes.expunged_uids.extend(Uid::new(known.uid()));
                }
                Met::OnlyNewer(_) => changes.added += 1,
            }
        }
        changes.expunged.reverse();
        changes
    }

    /// `newer`'s flags and new messages, with the messages of `self` that `newer` has no more kept: for
    /// commands during which no EXPUNGE may be told.
    pub fn without_expunges(&self, newer: &Arc<Self>) -> Arc<Self> {
        let mut table = Arc::clone(&newer.table);
        let kept = self.kept_flags(newer, &mut table);
        if kept.is_empty() {
            return Arc::clone(newer);
        }
        let mut kept = kept.into_iter();
        let mut writer = ChunkWriter::new(&table, newer.chunks.len() + 1);
        for met in Walk::new(self, newer) {
            match met {
                Met::Shared(chunk) => writer.share(chunk),
                Met::OnlyOlder(known) => {
                    let flags = kept.next().expect("one for each such message");
                    writer.push(known.uid(), known.modseq(), flags);
                }
                Met::Both(_, new) | Met::OnlyNewer(new) => writer.push(new.uid(), new.modseq(), new.flags()),
            }
        }
        let chunks = writer.finish();
        let mut merged = Self::clone(newer);
        merged.table = table;
        Arc::new(merged.with_chunks(chunks))
    }

    // The flags, as numbers of `table`, of each message of `self` that `newer` has no more.
    fn kept_flags(&self, newer: &Self, table: &mut Arc<FlagTable>) -> Vec<FlagsId> {
        let kept = Walk::new(self, newer).filter_map(|met| match met {
            Met::OnlyOlder(known) => Some(self.table.stored(known.flags())),
            Met::Shared(_) | Met::Both(..) | Met::OnlyNewer(_) => None,
        });
        let intern = |stored| {
            let known = table.find(stored);
            known.unwrap_or_else(|| Arc::make_mut(table).intern(stored, &newer.keywords))
        };
        kept.map(intern).collect()
    }
}
