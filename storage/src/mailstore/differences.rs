//! What a client that knows one snapshot must be told to know a newer one, and the snapshot in
//! between that hides expunges (RFC 9051 §7.5.1). Pure; chunks that both share are passed over.

use std::cmp::Ordering;
use std::sync::Arc;

use super::flag_table::{FlagTable, FlagsId};
use super::snapshot::{Chunk, ChunkWriter, Snapshot};
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

// A position in a snapshot.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    at: usize,
    sequence: u32,
}

impl<'a> Cursor<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { chunks: &snapshot.chunks, at: 0, sequence: 1 }
    }

    fn chunk(&self) -> Option<&'a Arc<Chunk>> {
        self.chunks.first()
    }

    fn uid(&self) -> Option<u32> {
        self.chunk().map(|chunk| chunk.uids[self.at])
    }

    fn advance(&mut self) {
        self.at += 1;
        self.sequence += 1;
        if self.chunk().is_some_and(|chunk| self.at == chunk.len()) {
            self.chunks = &self.chunks[1..];
            self.at = 0;
        }
    }

    // Passes the rest of the chunk by.
    fn skip(&mut self, chunk: &Chunk) {
        self.sequence += chunk.len() as u32;
        self.chunks = &self.chunks[1..];
    }

    // The chunk that both stand at the beginning of.
    fn shared_with(&self, other: &Self) -> Option<&'a Arc<Chunk>> {
        let chunk = self.chunk().filter(|_| self.at == 0 && other.at == 0)?;
        other.chunk().is_some_and(|known| Arc::ptr_eq(chunk, known)).then_some(chunk)
    }
}

enum Met<'a> {
    Both,
    Shared(&'a Arc<Chunk>),
    OnlyOlder,
    OnlyNewer,
}

// What stands first at the two positions; `None` at the end of both.
fn meet<'a>(older: &Cursor<'a>, newer: &Cursor<'a>) -> Option<Met<'a>> {
    if let Some(chunk) = older.shared_with(newer) {
        return Some(Met::Shared(chunk));
    }
    match (older.uid(), newer.uid()) {
        (None, None) => None,
        (Some(_), None) => Some(Met::OnlyOlder),
        (None, Some(_)) => Some(Met::OnlyNewer),
        (Some(known), Some(uid)) => Some(match known.cmp(&uid) {
            Ordering::Less => Met::OnlyOlder,
            Ordering::Equal => Met::Both,
            Ordering::Greater => Met::OnlyNewer,
        }),
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
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(newer));
        while let Some(met) = meet(&old, &new) {
            match met {
                Met::Shared(chunk) => {
                    old.skip(chunk);
                    new.skip(chunk);
                }
                Met::Both => {
                    if old.chunks[0].modseqs[old.at] != new.chunks[0].modseqs[new.at] {
                        changes.flags.push(new.sequence);
                    }
                    old.advance();
                    new.advance();
                }
                Met::OnlyOlder => {
                    changes.expunged.push(old.sequence);
                    changes.expunged_uids.extend(old.uid().and_then(Uid::new));
                    old.advance();
                }
                Met::OnlyNewer => {
                    changes.added += 1;
                    new.advance();
                }
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
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(newer));
        while let Some(met) = meet(&old, &new) {
            match met {
                Met::Shared(chunk) => {
                    writer.share(chunk);
                    old.skip(chunk);
                    new.skip(chunk);
                }
                Met::OnlyOlder => {
                    let (chunk, flags) = (&old.chunks[0], kept.next().expect("one for each such message"));
                    writer.push(chunk.uids[old.at], chunk.modseqs[old.at], flags);
                    old.advance();
                }
                Met::Both | Met::OnlyNewer => {
                    let chunk = &new.chunks[0];
                    writer.push(chunk.uids[new.at], chunk.modseqs[new.at], chunk.flags[new.at]);
                    new.advance();
                    if matches!(met, Met::Both) {
                        old.advance();
                    }
                }
            }
        }
        let chunks = writer.finish();
        let mut merged = Self::clone(newer);
        merged.table = table;
        Arc::new(merged.with_chunks(chunks))
    }

    // The flags, as numbers of `table`, of each message of `self` that `newer` has no more.
    fn kept_flags(&self, newer: &Self, table: &mut Arc<FlagTable>) -> Vec<FlagsId> {
        let mut kept = Vec::new();
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(newer));
        while let Some(met) = meet(&old, &new) {
            match met {
                Met::Shared(chunk) => {
                    old.skip(chunk);
                    new.skip(chunk);
                }
                Met::OnlyOlder => {
                    let stored = self.table.stored(old.chunks[0].flags[old.at]);
                    let known = table.find(stored);
                    kept.push(known.unwrap_or_else(|| Arc::make_mut(table).intern(stored, &newer.keywords)));
                    old.advance();
                }
                Met::Both => {
                    old.advance();
                    new.advance();
                }
                Met::OnlyNewer => new.advance(),
            }
        }
        kept
    }
}
