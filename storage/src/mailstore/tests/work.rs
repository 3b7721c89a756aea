//! What the workers do.

use super::*;
use crate::Error;
use crate::kv::{KeyRange, RangeOptions};
use crate::mailstore::keys;
use crate::types::ModSeq;

impl House {
    /// How many keys the subspace holds.
    pub(super) async fn keys_in(&self, space: u8) -> usize {
        let mut tx = self.db.begin();
        tx.range(KeyRange::prefix(&[space]), RangeOptions::default()).collect().await.expect("reads").len()
    }

    /// When what was thrown away today is let go.
    pub(super) fn in_two_days() -> Timestamp {
        Timestamp::now().plus(Duration::from_secs(2 * 86_400))
    }
}

#[tokio::test]
async fn expunged_messages_are_let_go_when_their_time_is_over() {
    let house = House::new().await;
    house.append(house.inbox, 3, &deleted()).await;
    house.append(house.inbox, 1, &seen()).await;
    house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges");
    assert_eq!((house.keys_in(b'Y').await, house.keys_in(b'E').await, house.keys_in(b'R').await), (3, 4, 4));
    house.store.work_once(House::in_two_days()).await.expect("works");
    assert_eq!((house.keys_in(b'Y').await, house.keys_in(b'E').await, house.keys_in(b'R').await), (0, 1, 1));
    assert_eq!(house.keys_in(b'Z').await, 0);
    let record = house.store.record(ACCOUNT, house.inbox, uid(1)).await;
    assert!(matches!(record, Err(Error::NotFound(_))));
    house.check().await;
}

#[tokio::test]
async fn nothing_is_let_go_before_its_time() {
    let config = MailStoreConfig { restore_window: Duration::from_secs(14 * 86_400), ..config() };
    let house = House::over(Database::new(Memory::new()), config).await;
    house.append(house.inbox, 2, &deleted()).await;
    house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges");
    house.store.work_once(House::in_two_days()).await.expect("works");
    assert!(house.store.record(ACCOUNT, house.inbox, uid(2)).await.is_ok());
    house.store.work_once(Timestamp::now().plus(Duration::from_secs(16 * 86_400))).await.expect("works");
    assert_eq!(house.keys_in(b'Y').await, 0);
}

#[tokio::test]
async fn a_deleted_mailbox_is_drained_then_forgotten() {
    let house = House::new().await;
    let mailbox = house.store.create_mailbox(ACCOUNT, &named("gone"), None).await.expect("creates").id;
    let before = house.keys_in(b'F').await;
    house.append(mailbox, 5, &seen()).await;
    house.outline(mailbox).await;
    house.store.delete_mailbox(ACCOUNT, &named("gone")).await.expect("deletes");
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!((house.keys_in(b'M').await, house.keys_in(b'Y').await, house.keys_in(b'C').await), (0, 5, 0));
    assert_eq!(house.keys_in(b'g').await, 0);
    assert!(house.store.record(ACCOUNT, mailbox, uid(3)).await.is_ok());
    house.store.work_once(House::in_two_days()).await.expect("works");
    for space in [b'Y', b'E', b'R', b'Z', b'X'] {
        assert_eq!(house.keys_in(space).await, 0, "{}", char::from(space));
    }
    assert_eq!(house.keys_in(b'F').await, before - 1);
    house.check().await;
}

#[tokio::test]
async fn a_deleted_account_leaves_no_key() {
    let house = House::new().await;
    house.append(house.inbox, 3, &deleted()).await;
    house.outline(house.inbox).await;
    house.store.expunge(ACCOUNT, house.inbox, Some(&uids(&[1]))).await.expect("expunges");
    house.store.delete_account(ACCOUNT).await.expect("deletes");
    assert_eq!(house.store.domain_usage(DOMAIN).await.expect("reads"), 0);
    let late = house.store.deliver(delivery(house.message("late", seen()).await)).await;
    assert!(matches!(late, Err(Error::NotFound(_))));
    house.store.work_once(House::in_two_days()).await.expect("works");
    for space in b"AFGMECYKfRXZg" {
        assert_eq!(house.keys_in(*space).await, 0, "{}", char::from(*space));
    }
}

/// More keys than one `clear_range` may clear.
const MANY: u64 = crate::limits::CLEAR_RANGE_KEYS as u64 + 1;

#[tokio::test]
async fn work_of_any_length_is_done() {
    let house = House::on_disk().await;
    let mailbox = house.store.create_mailbox(ACCOUNT, &named("busy"), None).await.expect("creates").id;
    let fill = async |tx: &mut crate::kv::Transaction| {
        for number in 1..=MANY {
            let (key, offset) = keys::outbox(ACCOUNT, MailboxId(number));
            tx.set_versionstamped_key(key, offset, vec![1]);
            tx.set(keys::change(ACCOUNT, mailbox, ModSeq(number), 0), vec![1]);
            tx.set(keys::summary(ACCOUNT, house.inbox, number as u32), vec![1]);
        }
        Ok(())
    };
    house.db.run(fill).await.expect("fills");
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!(house.keys_in(b'X').await, 0);
    house.store.delete_mailbox(ACCOUNT, &named("busy")).await.expect("deletes");
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!(house.keys_in(b'C').await, 0);
    house.store.delete_account(ACCOUNT).await.expect("deletes");
    house.store.work_once(House::in_two_days()).await.expect("works");
    assert_eq!(house.keys_in(b'E').await, 0);
    house.db.close().await;
}

#[tokio::test]
async fn a_change_log_is_shortened_whatever_its_length() {
    let house = House::on_disk().await;
    let (kept, mailbox) = (crate::limits::CHANGE_LOG_COMMITS as u64, house.archive);
    for half in [1..=kept, kept + 1..=kept + MANY] {
        let fill = async |tx: &mut crate::kv::Transaction| {
            for number in half.clone() {
                tx.set(keys::change(ACCOUNT, mailbox, ModSeq(number), 0), vec![1]);
            }
            tx.set(keys::Work::Trim { account: ACCOUNT, mailbox }.key(), Bytes::new());
            Ok(())
        };
        house.db.run(fill).await.expect("fills");
    }
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!(house.keys_in(b'C').await as u64, kept - 1, "the oldest of the newest is the low water");
    let low_water = house.db.begin().get(&keys::low_water(ACCOUNT, mailbox)).await.expect("reads");
    assert_eq!(low_water.as_deref(), Some(&(MANY + 1).to_le_bytes()[..]));
    assert_eq!(house.keys_in(b'Z').await, 0);
    house.db.close().await;
}

#[tokio::test]
async fn an_abandoned_block_is_cleared() {
    let house = House::new().await;
    let block = house.store.reserve_block(ACCOUNT, house.inbox, 10).await.expect("reserves");
    let second = house.store.reserve_block(ACCOUNT, house.inbox, 10).await;
    assert!(matches!(second, Err(Error::Overloaded(_))));
    // Deliveries go on below it.
    house.deliver("meanwhile").await;
    house.store.clear_block(ACCOUNT, house.inbox).await.expect("clears");
    let late = house.store.end_block(block, Ok(()), Limits::default()).await;
    assert!(matches!(late, Err(Error::Overloaded(_))));
    assert_eq!(house.keys_in(b'Z').await, 0);
    house.store.reserve_block(ACCOUNT, house.inbox, 10).await.expect("is free again");
    house.check().await;
}

#[tokio::test]
async fn a_block_into_which_nothing_came_leaves_no_trace() {
    let house = House::new().await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let before = view.snapshot();
    let block = house.store.reserve_block(ACCOUNT, house.inbox, 10).await.expect("reserves");
    house.store.end_block(block, Ok(()), Limits::default()).await.expect("ends");
    let after = house.store.status(ACCOUNT, house.inbox).await.expect("exists");
    assert_eq!((after.uid_next, after.highest_modseq), (before.uid_next, before.highest_modseq));
    assert_eq!(house.keys_in(b'Z').await, 0);
    house.check().await;
}
