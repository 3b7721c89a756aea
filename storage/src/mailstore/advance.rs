//! The way of a snapshot along what commits did to its mailbox. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::change_log::Change;
use super::chunk::{ChunkWriter, Columns};
use super::edit::Push;
use super::flag_table::{FlagTable, FlagsId, KeywordTable, StoredFlags};
use super::snapshot::{Advance, Edit, Snapshot};
use crate::types::ModSeq;

// Flag sets that a table may hold beyond two for each message before it is made anew.
const SPARE_FLAG_SETS: usize = 1024;

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// Changes with the MODSEQ of their commit, ascending.
pub(super) type Changes = Vec<(u64, Change)>;

/// A table of a generation of its own.
pub(super) fn new_table() -> FlagTable {
    FlagTable::new(GENERATIONS.fetch_add(1, Ordering::Relaxed))
}

/// The snapshot after one commit. A snapshot only ever grows newer: `push.from` is its HIGHESTMODSEQ.
pub(super) fn follow(snapshot: &Snapshot, push: Push) -> Arc<Snapshot> {
    let keywords = push.keywords.unwrap_or_else(|| Arc::clone(&snapshot.keywords));
    let modseq = push.to;
    let changes = push.changes.into_iter().map(|change| (modseq.0, change)).collect();
    Arc::new(advance(snapshot, &changes, keywords, push.uid_next, modseq))
}

/// The snapshot after all of `changes`. What it reflects of them already does no harm.
pub(super) fn advance(
    snapshot: &Snapshot,
    changes: &Changes,
    keywords: Arc<KeywordTable>,
    uid_next: u32,
    highest_modseq: ModSeq,
) -> Snapshot {
    let mut table = Arc::clone(&snapshot.table);
    let mut intern = |flags: &StoredFlags| {
        let known = table.find(flags);
        known.unwrap_or_else(|| Arc::make_mut(&mut table).intern(flags, &keywords))
    };
    let edits = changes.iter().map(|(modseq, change)| Edit {
        first: change.first,
        last: change.last,
        modseq: *modseq,
        flags: change.flags.as_ref().map(&mut intern),
    });
    let one_commit = changes.first().map(|change| change.0) == changes.last().map(|change| change.0);
    let edits = if one_commit { edits.collect() } else { latest(edits) };
    let next = snapshot.advanced(Advance { edits, table, keywords, uid_next, highest_modseq });
    with_compact_table(next)
}

// Disjoint edits, ascending, that come to the same as `edits` one after the other.
fn latest(edits: impl Iterator<Item = Edit>) -> Vec<Edit> {
    // By their first UID; disjoint at any time.
    let mut standing = BTreeMap::<u32, Edit>::new();
    for edit in edits {
        while let Some((_, old)) = standing.range(..=edit.last).next_back()
            && old.last >= edit.first
        {
            let old = *old;
            standing.remove(&old.first);
            if old.first < edit.first {
                standing.insert(old.first, Edit { last: edit.first - 1, ..old });
            }
            if old.last > edit.last {
                standing.insert(edit.last + 1, Edit { first: edit.last + 1, ..old });
            }
        }
        standing.insert(edit.first, edit);
    }
    standing.into_values().collect()
}

// A client may make up flag sets without end; those that no message has any more are let go.
fn with_compact_table(snapshot: Snapshot) -> Snapshot {
    if snapshot.flag_sets() <= SPARE_FLAG_SETS + 2 * snapshot.len() as usize {
        return snapshot;
    }
    let mut table = new_table();
    let mut numbers = HashMap::<FlagsId, FlagsId>::new();
    let mut columns = Columns::with_capacity(snapshot.len() as usize);
    for message in snapshot.messages() {
        let id = numbers
            .entry(message.flags_id)
            .or_insert_with(|| table.intern(snapshot.table.stored(message.flags_id), &snapshot.keywords));
        columns.push(message.uid.get(), message.modseq.0, *id);
    }
    let chunks = ChunkWriter::cut(&table, &columns);
    let mut compact = snapshot;
    compact.table = Arc::new(table);
    compact.with_chunks(chunks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_latest_edit_of_each_message_stands(
            edits in prop::collection::vec((1u32..60, 0u32..20, prop::option::of(0u32..3)), 0..40),
        ) {
            let edits: Vec<_> = (1..).zip(edits).map(|(modseq, (first, more, flags))| {
                Edit { first, last: first + more, modseq, flags: flags.map(FlagsId) }
            }).collect();
            let each = |edit: &Edit| {
                let (modseq, flags) = (edit.modseq, edit.flags);
                (edit.first..=edit.last).map(move |uid| (uid, (modseq, flags)))
            };
            let naive: BTreeMap<_, _> = edits.iter().flat_map(each).collect();
            let latest = latest(edits.into_iter());
            prop_assert!(latest.windows(2).all(|pair| pair[0].last < pair[1].first));
            prop_assert_eq!(latest.iter().flat_map(each).collect::<Vec<_>>(), naive.into_iter().collect::<Vec<_>>());
        }
    }
}
