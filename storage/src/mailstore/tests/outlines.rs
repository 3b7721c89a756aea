//! Outlines: mailboxes are opened from them, whatever happened since, and never believed over the counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::Error;
use crate::kv::Transaction;
use crate::limits::{OUTLINE_CHECK_MESSAGES, OUTLINE_MESSAGES};
use crate::mailstore::stored::StoredMessage;

impl House {
    async fn write(&self, key: Bytes, value: Option<Bytes>) {
        let write = async |tx: &mut Transaction| {
            match &value {
                Some(value) => tx.set(key.clone(), value.clone()),
                None => tx.clear(key.clone()),
            }
            Ok(())
        };
        self.db.run(write).await.expect("writes");
    }

    async fn opened_cold(&self) -> Vec<(u32, u64, Flags)> {
        flat(&self.other_node().open(ACCOUNT, self.inbox).await.expect("opens").snapshot())
    }

    async fn add_flag(&self, uids: &UidSet, flags: Flags) {
        let add = FlagChange::Add(flags);
        self.store.store_flags(ACCOUNT, self.inbox, uids, &add, None).await.expect("stores");
    }
}

#[tokio::test]
async fn a_grown_mailbox_is_opened_from_its_outline() {
    let house = House::new().await;
    let count = OUTLINE_MESSAGES.max(OUTLINE_CHECK_MESSAGES);
    let messages = vec![house.message("the same body", Flags::default()).await; count as usize];
    house.store.append(ACCOUNT, house.inbox, messages, Limits::default()).await.expect("appends");
    assert!(house.outlined(house.inbox).await.is_none());
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!(house.outlined(house.inbox).await.expect("was written").len(), count);

    // Something that no commit did tells what is read: the outline does not know of it.
    let key = keys::message(ACCOUNT, house.inbox, 5);
    let value = house.db.begin().get(&key).await.expect("reads").expect("is there");
    let mut message = StoredMessage::decode(&value).expect("own form");
    message.flags.system = crate::types::SystemFlags::EMPTY.with(SystemFlag::Flagged);
    house.write(key, Some(message.encode())).await;
    assert!(house.opened_cold().await.iter().all(|(_, _, flags)| *flags == Flags::default()));

    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    house.add_flag(&uids(&[7, 8, 900]), deleted()).await;
    house.store.expunge(ACCOUNT, house.inbox, Some(&uids(&[8]))).await.expect("expunges");
    house.deliver("more").await;
    house.add_flag(&uids(&[900]), seen()).await;
    assert_eq!(house.opened_cold().await, flat(&view.snapshot()));
}

#[tokio::test]
async fn an_outline_that_cannot_be_right_is_of_no_use() {
    let house = House::new().await;
    house.append(house.inbox, 30, &Flags::default()).await;
    house.add_flag(&uids(&[3, 4, 17]), seen()).await;
    let expected = flat(&house.store.open(ACCOUNT, house.inbox).await.expect("opens").snapshot());
    let head = keys::outline_head(ACCOUNT, house.inbox);
    let part = |number| keys::outline_part(ACCOUNT, house.inbox, number);
    let garbage = Some(Bytes::from_static(b"\x01\x00garbage"));
    let none = [(part(1), None), (part(2), garbage.clone()), (head, garbage)];
    for (key, value) in none {
        house.outline(house.inbox).await;
        assert!(house.outlined(house.inbox).await.is_some());
        house.write(key.clone(), value).await;
        assert_eq!(house.opened_cold().await, expected);
        // Another part's value is well-formed, and not this part's.
        let other = house.db.begin().get(&part(0)).await.expect("reads");
        house.write(part(3), other).await;
        assert_eq!(house.opened_cold().await, expected);
    }
    house.outline(house.inbox).await;
    house.check().await;
}

#[tokio::test]
async fn an_outline_from_which_the_change_log_does_not_lead_on_is_of_no_use() {
    let house = House::new().await;
    house.append(house.inbox, 20, &Flags::default()).await;
    house.outline(house.inbox).await;
    house.add_flag(&uids(&[2]), seen()).await;
    assert!(house.outlined(house.inbox).await.is_some());
    let newest = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
    let low_water = Bytes::copy_from_slice(&newest.0.to_le_bytes());
    house.write(keys::low_water(ACCOUNT, house.inbox), Some(low_water)).await;
    house.write(keys::change(ACCOUNT, house.inbox, newest, 0), None).await;
    assert!(house.outlined(house.inbox).await.is_none());
    house.check().await;
}

#[tokio::test]
async fn what_is_deleted_gets_no_outline() {
    let house = House::new().await;
    let mailbox = house.store.create_mailbox(ACCOUNT, &named("gone"), None).await.expect("creates").id;
    house.append(mailbox, 10, &Flags::default()).await;
    let (place, work) = ((ACCOUNT, mailbox), keys::Work::Outline { account: ACCOUNT, mailbox });
    house.write(work.key(), Some(Bytes::new())).await;
    house.store.delete_mailbox(ACCOUNT, &named("gone")).await.expect("deletes");
    assert!(matches!(house.store.write_outline(place, None).await, Err(Error::NotFound(_))));
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert!(house.db.begin().get(&work.key()).await.expect("reads").is_none());
    assert!(house.db.begin().get(&keys::outline_head(ACCOUNT, mailbox)).await.expect("reads").is_none());
}

// What each commit made of the mailbox, by MODSEQ.
type History = Arc<Mutex<HashMap<u64, Vec<(u32, u64, Flags)>>>>;

async fn change_for_a_while(house: &House, history: &History) {
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let remember = || {
        let snapshot = view.snapshot();
        history.lock().insert(snapshot.highest_modseq.0, flat(&snapshot));
    };
    remember();
    for round in 0..60u32 {
        let some: UidSet = (1..400).filter(|value| value % 11 == round % 11).filter_map(Uid::new).collect();
        match round % 4 {
            0 => house.add_flag(&some, deleted()).await,
            1 => house.add_flag(&some, "$Key".parse().map(tagged).expect("an atom")).await,
            2 => drop(house.store.expunge(ACCOUNT, house.inbox, Some(&some)).await.expect("expunges")),
            _ => drop(house.deliver("more").await),
        }
        remember();
        tokio::task::yield_now().await;
    }
}

fn tagged(keyword: crate::types::Keyword) -> Flags {
    Flags { keywords: [keyword].into(), ..Flags::default() }
}

async fn read_while_it_changes(house: House) {
    house.append(house.inbox, 300, &Flags::default()).await;
    let (house, history) = (Arc::new(house), History::default());
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (house, stop) = (house.clone(), stop.clone());
        async move {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Acquire) {
                let snapshot = load::load(&house.db, (ACCOUNT, house.inbox)).await.expect("reads");
                seen.push((snapshot.highest_modseq.0, flat(&snapshot)));
                tokio::task::yield_now().await;
            }
            seen
        }
    });
    let outliner = tokio::spawn({
        let (house, stop) = (house.clone(), stop.clone());
        async move {
            let head = keys::outline_head(ACCOUNT, house.inbox);
            while !stop.load(Ordering::Acquire) {
                let known = house.db.begin().get(&head).await.expect("reads");
                // Every other time there is none, so that the records are read too.
                match known {
                    Some(_) => house.write(head.clone(), None).await,
                    None => house.outline(house.inbox).await,
                }
                tokio::task::yield_now().await;
            }
        }
    });
    change_for_a_while(&house, &history).await;
    stop.store(true, Ordering::Release);
    outliner.await.expect("joins");
    let seen = reader.await.expect("joins");
    assert!(!seen.is_empty());
    for (modseq, messages) in seen {
        assert_eq!(Some(&messages), history.lock().get(&modseq), "as of MODSEQ {modseq}");
    }
    house.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_is_read_as_of_one_moment_while_it_changes() {
    read_while_it_changes(House::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_the_durable_engine() {
    read_while_it_changes(House::on_disk().await).await;
}
