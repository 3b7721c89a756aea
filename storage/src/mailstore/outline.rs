//! The outline of a mailbox: what a view keeps of its messages, in one short value for each run of UIDs. Pure;
//! `load` and `save` bring it from and to the store. An outline is a copy that may be old, never the truth.
//!
//! ```text
//! version u8 (1)   form u8 (0: columns follow; 1: they would be too long, the messages' own records tell)
//! flag sets: count, then each as in a message's record
//! messages: count
//! UIDs, in runs of neighbours:            gap behind the run before, length - 1      until each has one
//! MODSEQs, in runs of equal differences:  difference from the one before, length - 1
//! flag sets, in runs of equal ones:       number of the set, length - 1
//! ```

use std::collections::HashMap;
use std::iter::repeat_n;
use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::chunk::Columns;
use super::flag_table::{FlagTable, FlagsId, KeywordTable};
use super::snapshot::Snapshot;
use super::stored::{put_flags, take_flags};
use super::varint::{self, Reader};
use crate::Result;
use crate::kv::record::Record;
use crate::limits::{OUTLINE_PART_OCTETS, OUTLINE_PART_UIDS};
use crate::types::ModSeq;

const VERSION: u8 = 1;
const COLUMNS: u8 = 0;
const RECORDS: u8 = 1;

/// `g acct mailbox 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutlineHead {
    /// No part is older than the commit of this MODSEQ; some may be newer.
    pub(super) modseq: ModSeq,
}

impl Record for OutlineHead {
    const VERSION: u8 = 1;
}

/// The UIDs of a part.
pub(super) fn uids_of(part: u32) -> RangeInclusive<u32> {
    let first = part.saturating_mul(OUTLINE_PART_UIDS);
    first.max(1)..=first.saturating_add(OUTLINE_PART_UIDS - 1)
}

/// Number and value of each part that has messages, ascending.
pub(super) fn parts(snapshot: &Snapshot) -> impl Iterator<Item = (u32, Bytes)> {
    let mut messages = snapshot.messages().peekable();
    std::iter::from_fn(move || {
        let part = messages.peek()?.uid.get() / OUTLINE_PART_UIDS;
        let mut columns = Columns::default();
        while let Some(message) = messages.next_if(|next| next.uid.get() / OUTLINE_PART_UIDS == part) {
            columns.push(message.uid.get(), message.modseq.0, message.flags_id);
        }
        let value = encode(&columns, part, &snapshot.table);
        let fits = value.len() <= OUTLINE_PART_OCTETS;
        Some((part, if fits { value } else { vec![VERSION, RECORDS] }.into()))
    })
}

pub(super) fn encode(columns: &Columns, part: u32, table: &FlagTable) -> Vec<u8> {
    let (mut numbers, mut sets) = (HashMap::<FlagsId, u64>::new(), Vec::new());
    let flags = columns.flags.iter().map(|id| {
        let next = numbers.len() as u64;
        *numbers.entry(*id).or_insert_with(|| {
            put_flags(&mut sets, table.stored(*id));
            next
        })
    });
    let flags: Vec<u64> = flags.collect();
    let mut out = vec![VERSION, COLUMNS];
    varint::put(&mut out, numbers.len() as u64);
    out.extend_from_slice(&sets);
    varint::put(&mut out, columns.uids.len() as u64);
    let mut before = uids_of(part).start() - 1;
    for run in columns.uids.chunk_by(|uid, next| uid + 1 == *next) {
        varint::put(&mut out, u64::from(run[0] - before - 1));
        varint::put(&mut out, run.len() as u64 - 1);
        before = run[0] + (run.len() as u32 - 1);
    }
    let mut before = 0u64;
    let differences: Vec<i64> = columns
        .modseqs
        .iter()
        .map(|modseq| modseq.wrapping_sub(std::mem::replace(&mut before, *modseq)).cast_signed())
        .collect();
    for run in differences.chunk_by(|one, other| one == other) {
        varint::put_signed(&mut out, run[0]);
        varint::put(&mut out, run.len() as u64 - 1);
    }
    for run in flags.chunk_by(|one, other| one == other) {
        varint::put(&mut out, run[0]);
        varint::put(&mut out, run.len() as u64 - 1);
    }
    out
}

/// Appends the messages of a part's value. Gives false, and appends nothing, where their own records tell.
/// `Corrupt` where the value cannot be [`parts`]'.
pub(super) fn decode(
    value: &[u8],
    part: u32,
    (table, keywords): (&mut FlagTable, &KeywordTable),
    columns: &mut Columns,
) -> Result<bool> {
    let mut from = Reader::versioned(value, VERSION)?;
    match from.u8()? {
        COLUMNS => {}
        RECORDS if from.is_empty() => return Ok(false),
        _ => return Err(varint::corrupt()),
    }
    let most = OUTLINE_PART_UIDS as usize;
    let count = Some(from.small::<usize>()?).filter(|sets| *sets <= most).ok_or_else(varint::corrupt)?;
    let mut sets = Vec::with_capacity(count);
    for _ in 0..count {
        sets.push(table.intern(&take_flags(&mut from)?, keywords));
    }
    let count = Some(from.small::<usize>()?).filter(|count| *count <= most).ok_or_else(varint::corrupt)?;
    let last_of_part = *uids_of(part).end();
    let mut before = uids_of(part).start() - 1;
    each_run(
        &mut from,
        count,
        |from, length| {
            let first =
                before.checked_add(1).and_then(|next| next.checked_add(from)).ok_or_else(varint::corrupt)?;
            let last = first.checked_add(length as u32 - 1).filter(|last| *last <= last_of_part);
            before = last.ok_or_else(varint::corrupt)?;
            columns.uids.extend(first..=before);
            Ok(())
        },
        Reader::small,
    )?;
    let mut modseq = 0u64;
    each_run(
        &mut from,
        count,
        |difference, length| {
            if difference == 0 {
                columns.modseqs.extend(repeat_n(modseq, length));
            } else {
                columns.modseqs.extend((0..length).map(|_| {
                    modseq = modseq.wrapping_add_signed(difference);
                    modseq
                }));
            }
            Ok(())
        },
        Reader::signed,
    )?;
    each_run(
        &mut from,
        count,
        |set: usize, length| {
            let id = sets.get(set).ok_or_else(varint::corrupt)?;
            columns.flags.extend(repeat_n(*id, length));
            Ok(())
        },
        Reader::small,
    )?;
    if from.is_empty() { Ok(true) } else { Err(varint::corrupt()) }
}

// Reads runs, each a value and its length, until `count` items have one.
fn each_run<'a, T>(
    from: &mut Reader<'a>,
    count: usize,
    mut take: impl FnMut(T, usize) -> Result<()>,
    read: impl Fn(&mut Reader<'a>) -> Result<T>,
) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let value = read(from)?;
        let length = from.small::<usize>()?.checked_add(1).filter(|length| *length <= left);
        let length = length.ok_or_else(varint::corrupt)?;
        left -= length;
        take(value, length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::advance::new_table;
    use super::super::chunk::ChunkWriter;
    use super::super::flag_table::StoredFlags;
    use super::*;
    use crate::types::SystemFlags;

    type Messages = BTreeMap<u32, (u64, StoredFlags)>;

    fn flags() -> impl Strategy<Value = StoredFlags> {
        (0u8..32, prop::collection::btree_set(0u16..20, 0..3)).prop_map(|(system, keywords)| StoredFlags {
            system: SystemFlags::from_bits(system),
            keywords: keywords.into_iter().collect(),
        })
    }

    fn snapshot_of(messages: &Messages) -> Snapshot {
        let (mut table, mut columns) = (new_table(), Columns::default());
        for (uid, (modseq, flags)) in messages {
            columns.push(*uid, *modseq, table.intern(flags, &KeywordTable::default()));
        }
        let chunks = ChunkWriter::cut(&table, &columns);
        let mut snapshot = Snapshot::empty(1, 0);
        snapshot.table = Arc::new(table);
        snapshot.with_chunks(chunks)
    }

    proptest! {
        #[test]
        fn parts_read_back(
            runs in prop::collection::vec((1u32..12, 1u32..20, any::<u64>(), flags(), 0i64..3), 0..12),
        ) {
            let (mut messages, mut uid) = (Messages::new(), 0);
            for (gap, length, modseq, flags, step) in runs {
                uid += gap;
                for number in 0..length {
                    let modseq = modseq.wrapping_add_signed(step * i64::from(number));
                    messages.insert(uid, (modseq, flags.clone()));
                    uid += 1;
                }
            }
            let snapshot = snapshot_of(&messages);
            let (mut table, mut columns) = (new_table(), Columns::default());
            let mut by_records = Vec::new();
            for (part, value) in parts(&snapshot) {
                prop_assert!(value.len() <= OUTLINE_PART_OCTETS);
                if !decode(&value, part, (&mut table, &KeywordTable::default()), &mut columns).expect("own form") {
                    by_records.push(uids_of(part));
                }
            }
            let read = (0..columns.len())
                .map(|at| (columns.uids[at], (columns.modseqs[at], table.stored(columns.flags[at]).clone())));
            messages.retain(|uid, _| !by_records.iter().any(|part| part.contains(uid)));
            prop_assert_eq!(read.collect::<Vec<_>>(), messages.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn garbage_is_no_part(value: Vec<u8>, part: u32, formed: bool) {
            let value = if formed { [&[VERSION, COLUMNS][..], &value].concat() } else { value };
            let mut columns = Columns::default();
            if decode(&value, part, (&mut new_table(), &KeywordTable::default()), &mut columns).is_ok() {
                prop_assert!(columns.uids.iter().all(|uid| uids_of(part).contains(uid)));
                prop_assert!(columns.uids.is_sorted_by(|uid, next| uid < next));
                prop_assert_eq!((columns.modseqs.len(), columns.flags.len()), (columns.len(), columns.len()));
            }
        }
    }
}
