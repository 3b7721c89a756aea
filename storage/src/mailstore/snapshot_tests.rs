//! Snapshots against a naive mailbox: the same messages, positions and differences.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::flag_table::StoredFlags;
use super::snapshot::{Advance, Edit, Snapshot};
use crate::types::{ModSeq, SystemFlags, Uid, UidSet};

type Model = BTreeMap<u32, (u64, u8)>;

#[derive(Debug, Clone)]
enum Step {
    Append { count: u32, flags: u8 },
    Store { first: u32, count: u32, flags: u8 },
    Expunge { first: u32, count: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u32..600, 0u8..32).prop_map(|(count, flags)| Step::Append { count, flags }),
        (1u32..3000, 1u32..200, 0u8..32).prop_map(|(first, count, flags)| Step::Store {
            first,
            count,
            flags
        }),
        (1u32..3000, 1u32..400).prop_map(|(first, count)| Step::Expunge { first, count }),
    ]
}

fn apply(snapshot: &Snapshot, model: &mut Model, step: &Step) -> Arc<Snapshot> {
    let mut next = snapshot.clone();
    let modseq = next.highest_modseq.0 + 1;
    let keywords = Arc::clone(&next.keywords);
    let mut intern = |bits: u8| {
        let stored = StoredFlags { system: SystemFlags::from_bits(bits), ..Default::default() };
        Some(Arc::make_mut(&mut next.table).intern(&stored, &keywords))
    };
    let edit = match *step {
        Step::Append { count, flags } => {
            let (first, last) = (next.uid_next, next.uid_next + count - 1);
            model.extend((first..=last).map(|uid| (uid, (modseq, flags))));
            let edit = Edit { first, last, modseq, flags: intern(flags) };
            next.uid_next = last + 1;
            edit
        }
        Step::Store { first, count, flags } => {
            let last = (first + count - 1).min(next.uid_next.saturating_sub(1)).max(first);
            model.range_mut(first..=last).for_each(|(_, state)| *state = (modseq, flags));
            // As a commit would name them: only messages that exist.
            if model.range(first..=last).count() as u32 != last - first + 1 {
                let flags = intern(flags);
                return apply_each(next, model, first..=last, modseq, flags);
            }
            Edit { first, last, modseq, flags: intern(flags) }
        }
        Step::Expunge { first, count } => {
            let last = first + count - 1;
            model.retain(|uid, _| !(first..=last).contains(uid));
            Edit { first, last, modseq, flags: None }
        }
    };
    Arc::new(advance(next, modseq, vec![edit]))
}

fn apply_each(
    next: Snapshot,
    model: &Model,
    uids: std::ops::RangeInclusive<u32>,
    modseq: u64,
    flags: Option<super::FlagsId>,
) -> Arc<Snapshot> {
    let edits: Vec<_> =
        model.range(uids).map(|(uid, _)| Edit { first: *uid, last: *uid, modseq, flags }).collect();
    Arc::new(advance(next, modseq, edits))
}

fn advance(next: Snapshot, modseq: u64, edits: Vec<Edit>) -> Snapshot {
    let (table, keywords) = (Arc::clone(&next.table), Arc::clone(&next.keywords));
    let (uid_next, highest_modseq) = (next.uid_next, ModSeq(modseq));
    next.advanced(Advance { edits, table, keywords, uid_next, highest_modseq })
}

fn flat(snapshot: &Snapshot) -> Vec<(u32, u64, u8)> {
    snapshot
        .messages()
        .map(|message| (message.uid.get(), message.modseq.0, message.flags.system.bits()))
        .collect()
}

fn check_against(snapshot: &Snapshot, model: &Model) {
    let expected: Vec<_> = model.iter().map(|(uid, (modseq, flags))| (*uid, *modseq, *flags)).collect();
    assert_eq!(flat(snapshot), expected);
    assert_eq!(snapshot.len() as usize, model.len());
    assert_eq!(snapshot.unseen() as usize, model.values().filter(|(_, flags)| flags & 1 == 0).count());
    assert_eq!(snapshot.deleted() as usize, model.values().filter(|(_, flags)| flags & 8 != 0).count());
    let unseen = model.values().position(|(_, flags)| flags & 1 == 0);
    assert_eq!(snapshot.first_unseen(), unseen.map(|at| at as u32 + 1));
    for (at, uid) in model.keys().enumerate() {
        let sequence = at as u32 + 1;
        assert_eq!(snapshot.get(sequence).expect("within").uid.get(), *uid);
        assert_eq!(snapshot.sequence_of(Uid::new(*uid).expect("not 0")), Some(sequence));
    }
    assert!(snapshot.get(0).is_none() && snapshot.get(snapshot.len() + 1).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn snapshots_agree_with_a_naive_mailbox(steps in prop::collection::vec(step(), 1..25)) {
        let mut model = Model::new();
        let mut history = vec![(Arc::new(Snapshot::empty(1, 0)), Model::new())];
        for step in &steps {
            let next = apply(&history[history.len() - 1].0, &mut model, step);
            check_against(&next, &model);
            history.push((next, model.clone()));
        }
        let (newest, newest_model) = &history[history.len() - 1];
        for (older, older_model) in &history {
            let changes = older.changes_to(newest);
            let gone: Vec<_> = older_model.keys().enumerate()
                .filter(|(_, uid)| !newest_model.contains_key(uid))
                .map(|(at, uid)| (at as u32 + 1, *uid)).collect();
            prop_assert_eq!(&changes.expunged, &gone.iter().rev().map(|(at, _)| *at).collect::<Vec<_>>());
            prop_assert_eq!(changes.expunged_uids.iter().map(Uid::get).collect::<Vec<_>>(),
                gone.iter().map(|(_, uid)| *uid).collect::<Vec<_>>());
            let flags: Vec<_> = newest_model.iter().enumerate()
                .filter(|(_, (uid, state))| older_model.get(uid).is_some_and(|old| old.0 != state.0))
                .map(|(at, _)| at as u32 + 1).collect();
            prop_assert_eq!(&changes.flags, &flags);
            let added = newest_model.keys().filter(|uid| !older_model.contains_key(uid)).count();
            prop_assert_eq!((changes.added as usize, changes.exists as usize), (added, newest_model.len()));

            let kept = older.without_expunges(newest);
            let mut merged = older_model.clone();
            merged.extend(newest_model.iter().map(|(uid, state)| (*uid, *state)));
            check_against(&kept, &merged);
            prop_assert!(older.changes_to(&kept).expunged.is_empty());
            prop_assert_eq!(kept.changes_to(newest).expunged_uids, changes.expunged_uids);
        }
    }

    #[test]
    fn ranges_and_sets_pick_the_same_messages(
        steps in prop::collection::vec(step(), 1..10),
        low in 0u32..2000, count in 0u32..500, since in 0u64..12,
    ) {
        let mut model = Model::new();
        let snapshot = steps.iter().fold(Arc::new(Snapshot::empty(1, 0)), |s, step| apply(&s, &mut model, step));
        let all = flat(&snapshot);
        let picked: Vec<_> = snapshot.iter(low..=low + count).map(|message| message.uid.get()).collect();
        let skip = (low.max(1) - 1) as usize;
        let take = (low + count) as usize - skip;
        prop_assert_eq!(picked, all.iter().skip(skip).take(take).map(|m| m.0).collect::<Vec<_>>());

        let mut set = UidSet::new();
        for first in [low + 1, low + 700] {
            set.insert_range(Uid::new(first).expect("not 0")..=Uid::new(first + count).expect("not 0"));
        }
        let picked: Vec<_> = snapshot.uids_in(&set).map(|message| message.uid.get()).collect();
        let wanted = all.iter().map(|m| m.0).filter(|uid| set.contains(Uid::new(*uid).expect("not 0")));
        prop_assert_eq!(picked, wanted.collect::<Vec<_>>());

        let changed: Vec<_> = snapshot.changed_since(ModSeq(since)).map(|m| m.uid.get()).collect();
        prop_assert_eq!(changed, all.iter().filter(|m| m.1 > since).map(|m| m.0).collect::<Vec<_>>());
    }
}

#[test]
fn one_more_message_copies_one_chunk() {
    let mut model = Model::new();
    let many = Step::Append { count: 10_000, flags: 0 };
    let before = apply(&Snapshot::empty(1, 0), &mut model, &many);
    let after = apply(&before, &mut model, &Step::Append { count: 1, flags: 0 });
    let shared =
        before.chunks.iter().filter(|chunk| after.chunks.iter().any(|other| Arc::ptr_eq(chunk, other)));
    assert_eq!(shared.count(), before.chunks.len() - 1);
}
