//! The change log: what each commit did to a mailbox, one entry under its MODSEQ. Runs of neighbouring
//! UIDs that came to the same flags are one item, so that a flag set on thousands takes a few octets.

use bytes::Bytes;

use super::flag_table::StoredFlags;
use super::stored::{put_flags, take_flags};
use super::varint::{self, Reader};
use crate::Result;
use crate::limits::CHANGE_ENTRY_OCTETS;

const VERSION: u8 = 1;

/// What befell the messages of a run of UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) first: u32,
    pub(super) last: u32,
    /// The flags that they have now; `None` for those that are expunged.
    pub(super) flags: Option<StoredFlags>,
}

/// Adds one message's change, in order of UID, joined to the last run where it continues it.
pub(super) fn add(changes: &mut Vec<Change>, uid: u32, flags: Option<StoredFlags>) {
    if let Some(run) = changes.last_mut()
        && run.last + 1 == uid
        && run.flags == flags
    {
        run.last = uid;
        return;
    }
    changes.push(Change { first: uid, last: uid, flags });
}

/// The stored form, in as many values as it takes.
pub(super) fn encode(changes: &[Change]) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut out = vec![VERSION];
    let mut before = 0;
    for change in changes {
        varint::put(&mut out, u64::from(change.first - before));
        varint::put(&mut out, u64::from(change.last - change.first));
        out.push(u8::from(change.flags.is_some()));
        if let Some(flags) = &change.flags {
            put_flags(&mut out, flags);
        }
        before = change.last;
        if out.len() >= CHANGE_ENTRY_OCTETS {
            parts.push(std::mem::replace(&mut out, vec![VERSION]).into());
            before = 0;
        }
    }
    if out.len() > 1 {
        parts.push(out.into());
    }
    parts
}

/// Reads one value back. `Corrupt` unless its runs ascend.
pub(super) fn decode(value: &[u8]) -> Result<Vec<Change>> {
    let mut from = Reader::versioned(value, VERSION)?;
    let mut changes = Vec::new();
    let mut before = 0u32;
    while !from.is_empty() {
        let first = before.checked_add(from.small()?).filter(|first| *first > before);
        let first = first.ok_or_else(varint::corrupt)?;
        let last = first.checked_add(from.small()?).ok_or_else(varint::corrupt)?;
        let flags = if from.u8()? != 0 { Some(take_flags(&mut from)?) } else { None };
        changes.push(Change { first, last, flags });
        before = last;
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::SystemFlags;

    proptest! {
        #[test]
        fn changes_read_back(states in prop::collection::btree_map(1u32..100_000, prop::option::of(0u8..4), 0..400)) {
            let flags = |bits| StoredFlags { system: SystemFlags::from_bits(bits), ..Default::default() };
            let mut changes = Vec::new();
            states.iter().for_each(|(uid, state)| add(&mut changes, *uid, state.map(flags)));
            let read: Vec<_> = encode(&changes).iter().flat_map(|part| decode(part).expect("own form")).collect();
            prop_assert_eq!(&read, &changes);
            let uids = read.iter().flat_map(|change| change.first..=change.last);
            prop_assert_eq!(uids.collect::<Vec<_>>(), states.keys().copied().collect::<Vec<_>>());
        }

        #[test]
        fn garbage_is_no_change(value: Vec<u8>) {
            if let Ok(changes) = decode(&value) {
                prop_assert!(changes.windows(2).all(|pair| pair[0].last < pair[1].first));
            }
        }
    }
}
