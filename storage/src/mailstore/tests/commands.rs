//! What single commands promise.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::Error;
use crate::types::{ModSeq, OperationId};

fn tagged(keyword: &str) -> Flags {
    Flags { keywords: [keyword.parse().expect("an atom")].into(), ..Flags::default() }
}

#[tokio::test]
async fn a_delivery_reads_back_octet_for_octet() {
    let house = House::new().await;
    let delivered = house.deliver("Subject: x\r\n\r\nbody\r\n").await;
    let record = house.store.record(ACCOUNT, house.inbox, delivered.uid).await.expect("is there");
    let whole = b"Delivered-To: a@example.org\r\nSubject: x\r\n\r\nbody\r\n";
    assert_eq!((record.size_octets, record.prefix_octets), (whole.len() as u64, 29));
    let reader = house.store.read(&record).await.expect("opens");
    assert_eq!(&reader.read_all(0..u64::MAX).await.expect("reads")[..], whole);
    for (start, end) in [(0, 5), (10, 40), (29, 33), (40, 1000), (1000, 2000), (7, 7)] {
        let part = reader.read_all(start..end).await.expect("reads");
        let wanted = &whole[(start as usize).min(whole.len())..(end as usize).min(whole.len())];
        assert_eq!(&part[..], wanted, "{start}..{end}");
    }
    let summary = house.store.summary(ACCOUNT, house.inbox, delivered.uid).await.expect("reads");
    assert_eq!(summary.as_deref(), Some(&b"summary of Subject: x\r\n\r\nbody\r\n"[..]));
    house.check().await;
}

#[tokio::test]
async fn a_repeated_operation_files_nothing() {
    let house = House::new().await;
    let mut once = delivery(house.message("once", Flags::default()).await);
    once.operation = OperationId::derived(&[b"once"]);
    let first = house.store.deliver(once.clone()).await.expect("delivers");
    let (second, third) = tokio::join!(house.store.deliver(once.clone()), house.store.deliver(once));
    assert_eq!((second.expect("repeats"), third.expect("repeats")), (first, first));
    assert_eq!(house.store.status(ACCOUNT, house.inbox).await.expect("exists").messages, 1);
}

#[tokio::test]
async fn one_bad_delivery_does_not_fail_the_others() {
    let house = House::new().await;
    let mut deliveries = Vec::new();
    for number in 0..20 {
        let mut delivery = delivery(house.message("x", Flags::default()).await);
        if number % 5 == 0 {
            delivery.limits.account_octets = Some(1);
        }
        deliveries.push(house.store.deliver(delivery));
    }
    let results = futures::future::join_all(deliveries).await;
    let refused = results.iter().filter(|result| matches!(result, Err(Error::OverQuota(_)))).count();
    assert_eq!((refused, results.iter().filter(|result| result.is_ok()).count()), (4, 16));
    house.check().await;
}

#[tokio::test]
async fn quota_bounds_what_is_filed() {
    let house = House::new().await;
    let one = house.message("0123456789", Flags::default()).await;
    let size = one.size_octets();
    let limits = Limits { account_octets: Some(size * 2), domain_octets: Some(size * 3) };
    let append = async || {
        let messages = vec![house.message("0123456789", Flags::default()).await];
        house.store.append(ACCOUNT, house.inbox, messages, limits).await
    };
    assert!(append().await.is_ok() && append().await.is_ok());
    assert!(matches!(append().await, Err(Error::OverQuota(_))));
    let copied = house.store.copy(ACCOUNT, (house.inbox, house.archive), &UidSet::all(), limits).await;
    assert!(matches!(copied, Err(Error::OverQuota(_))));
    house.check().await;
}

#[tokio::test]
async fn store_changes_flags_and_respects_unchanged_since() {
    let house = House::new().await;
    house.append(house.inbox, 3, &Flags::default()).await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let before = view.snapshot();
    let store = async |set: &[u32], change, since| {
        house.store.store_flags(ACCOUNT, house.inbox, &uids(set), &change, since).await.expect("stores")
    };
    let first = store(&[1, 9], FlagChange::Add(tagged("$Work")), None).await;
    assert_eq!(first.changed.len(), 1);
    let second = store(&[1, 2], FlagChange::Add(seen()), Some(before.highest_modseq)).await;
    assert_eq!((second.failed, second.changed.len()), (uids(&[1]), 1));
    // Adding what is there changes nothing, so the MODSEQ stays.
    assert!(store(&[1], FlagChange::Add(tagged("$WORK")), None).await.changed.is_empty());
    let now = view.snapshot();
    assert_eq!(now.keywords().len(), 1);
    assert_eq!(now.get(1).expect("there").flags.keywords.len(), 1);
    assert_eq!(before.changes_to(&now).flags, [1, 2]);
    store(&[1], FlagChange::Remove(tagged("$work")), None).await;
    store(&[1], FlagChange::Replace(deleted()), None).await;
    assert_eq!(**view.snapshot().get(1).expect("there").flags, deleted());
    house.check().await;
}

#[tokio::test]
async fn an_expunged_message_stays_readable_while_it_is_kept() {
    let house = House::new().await;
    house.append(house.inbox, 3, &deleted()).await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let told = view.snapshot();
    let gone = house.store.expunge(ACCOUNT, house.inbox, Some(&uids(&[2, 7]))).await.expect("expunges");
    assert_eq!(gone, uids(&[2]));
    let record = house.store.record(ACCOUNT, house.inbox, uid(2)).await.expect("is kept");
    let reader = house.store.read(&record).await.expect("opens");
    assert!(reader.read_all(0..1000).await.expect("reads").ends_with(b"message 1"));
    assert!(house.store.summary(ACCOUNT, house.inbox, uid(2)).await.expect("reads").is_some());
    let newer = view.snapshot();
    assert_eq!(told.changes_to(&newer).expunged, [2]);
    assert_eq!(told.without_expunges(&newer).len(), 3);
    assert_eq!(house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges"), uids(&[1, 3]));
    let vanished = house.store.vanished(ACCOUNT, house.inbox, ModSeq(0)).await.expect("reads");
    assert_eq!(vanished, (uids(&[1, 2, 3]), true));
    house.check().await;
}

#[tokio::test]
async fn copies_share_the_body_and_moves_leave_nothing_behind() {
    let house = House::new().await;
    house.append(house.inbox, 4, &tagged("$Work")).await;
    let between = (house.inbox, house.archive);
    let copied =
        house.store.copy(ACCOUNT, between, &uids(&[1, 3, 9]), Limits::default()).await.expect("copies");
    assert_eq!((copied.source, copied.target), (vec![uid(1), uid(3)], vec![uid(1), uid(2)]));
    let moved = house.store.move_messages(ACCOUNT, between, &uids(&[2, 3])).await.expect("moves");
    assert_eq!((moved.source, moved.target), (vec![uid(2), uid(3)], vec![uid(3), uid(4)]));
    let record = house.store.record(ACCOUNT, house.archive, uid(2)).await.expect("is there");
    assert_eq!(record.flags, tagged("$Work"));
    assert_eq!(record.body, house.store.record(ACCOUNT, house.inbox, uid(3)).await.expect("is kept").body);
    // A mailbox may be copied and moved to itself: the messages get new UIDs.
    let itself = (house.inbox, house.inbox);
    let again = house.store.copy(ACCOUNT, itself, &UidSet::all(), Limits::default()).await.expect("copies");
    assert_eq!((again.source.len(), again.target), (2, vec![uid(5), uid(6)]));
    let again = house.store.move_messages(ACCOUNT, itself, &uids(&[1])).await.expect("moves");
    assert_eq!(again.target, [uid(7)]);
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens").snapshot();
    assert_eq!(view.messages().map(|message| message.uid.get()).collect::<Vec<_>>(), [4, 5, 6, 7]);
    house.check().await;
}

#[tokio::test]
async fn a_large_copy_is_seen_whole_or_not_at_all() {
    const COUNT: usize = 2_500;
    let house = House::new().await;
    let message = house.message("the same body", seen()).await;
    let mut messages = vec![message; COUNT];
    messages[COUNT - 1].flags = tagged("$Last");
    let appended =
        house.store.append(ACCOUNT, house.inbox, messages, Limits::default()).await.expect("appends");
    assert_eq!(appended.uids.len(), COUNT);
    let view = house.store.open(ACCOUNT, house.archive).await.expect("opens");
    let (store, archive) = (house.store.clone(), house.archive);
    let watched = tokio::spawn(async move {
        let mut newest = view.subscribe();
        loop {
            newest.changed().await.expect("the view lives");
            let other = store.records(ACCOUNT, archive, Uid::MIN..=Uid::MAX);
            let count = other.try_collect::<Vec<_>>().await.expect("reads").len();
            // A delivery made meanwhile may be seen before, but never a part of the copy.
            assert!(count <= 1 || count >= COUNT, "{count} seen");
            if view.snapshot().len() as usize > COUNT {
                return view.snapshot();
            }
        }
    });
    let between = (house.inbox, house.archive);
    let all = UidSet::all();
    let copy = house.store.copy(ACCOUNT, between, &all, Limits::default());
    let mut meanwhile = delivery(house.message("meanwhile", Flags::default()).await);
    meanwhile.target = Target::SpecialUse(SpecialUse::Archive);
    let (copied, delivered) = tokio::join!(copy, house.store.deliver(meanwhile));
    let (copied, delivered) = (copied.expect("copies"), delivered.expect("delivers"));
    assert_eq!((copied.target.len(), delivered.mailbox), (COUNT, house.archive));
    let snapshot = watched.await.expect("joins");
    assert_eq!(snapshot.by_uid(copied.target[COUNT - 1]).expect("there").flags.keywords.len(), 1);
    house.check().await;
}

#[tokio::test]
async fn a_view_of_another_node_catches_up_from_the_change_log() {
    let house = House::new().await;
    house.append(house.inbox, 1_200, &Flags::default()).await;
    let other = house.other_node();
    let view = other.open(ACCOUNT, house.inbox).await.expect("opens");
    let before = view.snapshot();
    let add = FlagChange::Add(tagged("$New"));
    house.store.store_flags(ACCOUNT, house.inbox, &uids(&[5]), &add, None).await.expect("stores");
    let add = FlagChange::Add(deleted());
    house.store.store_flags(ACCOUNT, house.inbox, &uids(&[5, 6]), &add, None).await.expect("stores");
    house.store.expunge(ACCOUNT, house.inbox, Some(&uids(&[6]))).await.expect("expunges");
    house.deliver("more").await;
    assert!(Arc::ptr_eq(&before, &view.snapshot()));
    let after = view.refresh().await.expect("reads");
    let changes = before.changes_to(&after);
    assert_eq!((changes.expunged, changes.flags, changes.added), (vec![6], vec![5], 1));
    // Only what was touched was read: the chunks between are shared.
    assert!(after.chunks.iter().any(|chunk| before.chunks.iter().any(|known| Arc::ptr_eq(chunk, known))));
    let own = house.store.open(ACCOUNT, house.inbox).await.expect("opens").snapshot();
    assert_eq!(flat(&after), flat(&own));
}

#[tokio::test]
async fn subscribers_wake_with_the_commit() {
    let house = House::new().await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let mut newest = view.subscribe();
    let delivered = house.deliver("wake up").await;
    // The push comes before the caller is told.
    assert!(newest.has_changed().expect("the view lives"));
    newest.mark_unchanged();
    assert!(view.snapshot().by_uid(delivered.uid).is_some());
}

#[tokio::test]
async fn an_open_view_knows_keywords_that_an_earlier_command_brought_in_vain() {
    let house = House::new().await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let flags = tagged("$Label");
    let change = FlagChange::Add(flags.clone());
    let none = house.store.store_flags(ACCOUNT, house.inbox, &uids(&[1]), &change, None).await;
    assert_eq!(none.expect("stores"), Stored::default());
    // A hidden block that is given up after it has brought the keyword.
    let filling = house.db.run(async |tx| {
        let mut keywords = crate::mailstore::edit::Keywords::default();
        keywords.store(tx, (ACCOUNT, house.inbox), &flags).await?;
        drop(keywords.save(tx, ACCOUNT, house.inbox));
        Ok(())
    });
    filling.await.expect("commits");
    house.append(house.inbox, 1, &flags).await;
    let snapshot = view.refresh().await.expect("reads");
    let seen: Vec<_> = snapshot.messages().map(|message| Flags::clone(message.flags)).collect();
    assert_eq!(seen, [flags]);
}

#[tokio::test]
async fn many_messages_are_read_as_each_alone() {
    let house = House::new().await;
    let mut records = Vec::new();
    for (mailbox, kind) in [(house.inbox, "in"), (house.archive, "archived")] {
        let mut messages = Vec::new();
        for number in 0..150 {
            let mut message = house.message(&format!("text {number}"), Flags::default()).await;
            let prefix = if number % 5 == 3 { String::new() } else { format!("X-Kind: {kind} {number}\r\n") };
            message.prefix = prefix.into();
            messages.push(message);
        }
        house.store.append(ACCOUNT, mailbox, messages, Limits::default()).await.expect("appends");
        let listed: Vec<_> =
            house.store.records(ACCOUNT, mailbox, Uid::MIN..=Uid::MAX).try_collect().await.expect("reads");
        records.extend(listed.into_iter().map(|(_, record)| record));
    }
    // Expunged ones are read on; the two mailboxes have the same UIDs.
    let change = FlagChange::Add(deleted());
    house.store.store_flags(ACCOUNT, house.inbox, &uids(&[1, 40, 41]), &change, None).await.expect("stores");
    house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges");
    records.sort_by_key(|record| record.uid);
    for order in [records.iter().collect::<Vec<_>>(), records.iter().rev().collect()] {
        let many: Vec<MessageReader> =
            house.store.read_many(&order, 4_000).try_collect().await.expect("reads");
        assert_eq!(many.len(), 300);
        for (record, reader) in order.iter().zip(many) {
            let alone = house.store.read(record).await.expect("reads");
            let octets = reader.read_all(0..u64::MAX).await.expect("reads");
            assert_eq!((reader.len(), reader.prefix()), (record.size_octets, alone.prefix()));
            assert_eq!(octets, alone.read_all(0..u64::MAX).await.expect("reads"));
        }
    }
    let gone = MessageRecord { body: crate::types::BodyId([0; 16]), ..records[0].clone() };
    let outcomes: Vec<_> = house.store.read_many(&[&gone, &records[1]], 4_000).collect().await;
    assert!(matches!(outcomes[..], [Err(crate::Error::NotFound(_)), Ok(_)]));
}
