//! Commits of which nobody is told how they ended: what was asked for happens, and happens once.

use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::kv::unsteady::{End, Unsteady};
use crate::limits::DOUBT_PATIENCE;

/// Once told so, an engine does not tell how two in three commits ended.
const DOUBTFUL: u32 = 67;

fn in_doubt(seed: u64, test: impl AsyncFn(House, &Unsteady)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let engine = Unsteady::new(seed);
        let house = House::over(Database::new(engine.clone()), config()).await;
        test(house, &engine).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn flags_change_and_messages_go_once(seed in any::<u64>()) {
        in_doubt(seed, flags_and_expunges);
    }

    #[test]
    fn what_is_delivered_is_filed_once(seed in any::<u64>()) {
        in_doubt(seed, deliveries);
    }

    #[test]
    fn mailboxes_are_made_renamed_and_deleted_once(seed in any::<u64>()) {
        in_doubt(seed, mailboxes);
    }

    #[test]
    fn what_goes_through_a_hidden_block_is_there_once_or_not_at_all(seed in any::<u64>()) {
        in_doubt(seed, hidden_blocks);
    }
}

async fn flags_and_expunges(house: House, engine: &Unsteady) {
    house.append(house.inbox, 12, &Flags::default()).await;
    let some = uids(&[2, 3, 5, 7, 11]);
    engine.doubt(DOUBTFUL, 50);
    for round in 1..=6u32 {
        let before = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        let keyword = Flags { keywords: [format!("round{round}").parse().expect("valid")].into(), ..seen() };
        let change = FlagChange::Add(keyword);
        let store = house.store.store_flags(ACCOUNT, house.inbox, &some, &change, Some(before));
        let stored = store.await.expect("stores");
        assert_eq!(stored.changed.len(), 5);
        assert!(stored.failed.is_empty(), "its own first try is no other's change");
        let after = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        assert_eq!(after.0, before.0 + 1);
    }
    for value in [2, 3, 5, 7, 11] {
        let marked = uids(&[value]);
        let change = FlagChange::Add(deleted());
        house.store.store_flags(ACCOUNT, house.inbox, &marked, &change, None).await.expect("stores");
        assert_eq!(house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges"), marked);
    }
    house.check().await;
}

async fn deliveries(house: House, engine: &Unsteady) {
    engine.doubt(DOUBTFUL, 50);
    let mut filed = Vec::new();
    for round in 0..4 {
        let text = |number: u32| format!("message {number} of round {round}");
        let deliver = async |number: u32| house.deliver(&text(number)).await.uid.get();
        filed.extend(futures::future::join_all((0..5).map(deliver)).await);
    }
    filed.sort_unstable();
    assert_eq!(filed, (1..=20).collect::<Vec<_>>());
    house.check().await;
}

async fn mailboxes(house: House, engine: &Unsteady) {
    engine.doubt(DOUBTFUL, 50);
    let store = &house.store;
    for round in 0..4 {
        let [made, renamed, kept] =
            ["made", "renamed", "kept"].map(|name| named(&format!("{name}/in round {round}")));
        let created = store.create_mailbox(ACCOUNT, &made, None).await.expect("was not there");
        store.rename_mailbox(ACCOUNT, &made, &renamed).await.expect("is there");
        assert_eq!(store.mailbox(ACCOUNT, &renamed).await.expect("was renamed").id, created.id);
        let view = store.open(ACCOUNT, created.id).await.expect("opens");
        store.delete_mailbox(ACCOUNT, &renamed).await.expect("is there");
        assert!(matches!(view.refresh().await, Err(Error::NotFound(_))));
        store.set_subscribed(ACCOUNT, &kept, true).await.expect("may be subscribed");
        let inbox = store.mailbox(ACCOUNT, &MailboxName::inbox()).await.expect("always there").id;
        store.rename_mailbox(ACCOUNT, &MailboxName::inbox(), &kept).await.expect("is there");
        let kept = store.mailbox(ACCOUNT, &kept).await.expect("was renamed");
        assert_eq!((kept.id, kept.subscribed), (inbox, true));
    }
    house.check().await;
    store.delete_account(ACCOUNT).await.expect("is there");
}

async fn hidden_blocks(house: House, engine: &Unsteady) {
    const COUNT: usize = 90;
    let summary = Bytes::from(vec![b's'; 60_000]);
    let message = NewMessage { summary, ..house.message("one of many", seen()).await };
    let (size, messages) = (message.size_octets(), vec![message; COUNT]);
    engine.doubt(DOUBTFUL, 50);
    let limits = |most: usize| Limits { account_octets: Some(most as u64 * size), domain_octets: None };
    let filed = house.store.append(ACCOUNT, house.inbox, messages, limits(COUNT)).await.expect("files");
    assert_eq!(filed.uids.len(), COUNT);
    let between = (house.inbox, house.archive);
    let copy = async |most| house.store.copy(ACCOUNT, between, &UidSet::all(), limits(most)).await;
    // What was refused leaves nothing behind, so that the next one can begin.
    assert!(matches!(copy(2 * COUNT - 1).await, Err(Error::OverQuota(_))));
    assert_eq!(copy(2 * COUNT).await.expect("copies").target.len(), COUNT);
    house.check().await;
    for space in [b'M', b'E', b'R'] {
        assert_eq!(house.keys_in(space).await, 2 * COUNT, "{}", char::from(space));
    }
}

/// Also where the engine is away in between, and where the store is told nothing but by its own commits.
#[tokio::test]
async fn a_delivery_is_answered_however_often_nobody_knows_how_its_commit_ended() {
    let engine = Unsteady::new(1);
    let config = MailStoreConfig { sole_node: true, ..config() };
    let house = House::over(Database::new(engine.clone()), config).await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    for (number, (lost, away)) in (1..).zip([(0, 0), (1, 0), (2, 0), (6, 0), (0, 5), (2, 2)]) {
        let message = house.message(&format!("after {lost} lost, each away {away}"), seen()).await;
        let lost = std::iter::repeat_n(End::Unknown { done: false }, lost);
        engine.end_next(lost.chain([End::Unknown { done: true }]), away);
        let delivered = house.store.deliver(delivery(message)).await.expect("is answered");
        assert_eq!((delivered.uid.get(), engine.ends_left()), (number, 0));
        assert_eq!(view.refresh().await.expect("is open").len(), number);
    }
    house.check().await;
}

#[tokio::test]
async fn what_stays_in_doubt_is_said_to_be() {
    let engine = Unsteady::new(1);
    let house = House::over(Database::new(engine.clone()), config()).await;
    let message = house.message("perhaps", seen()).await;
    engine.doubt(100, 100);
    let begun = std::time::Instant::now();
    let append = house.store.append(ACCOUNT, house.inbox, vec![message.clone()], Limits::default());
    let (filed, delivered) = tokio::join!(append, house.store.deliver(delivery(message)));
    assert!(matches!(filed, Err(Error::CommitUnknown)), "{filed:?}");
    assert!(matches!(delivered, Err(Error::CommitUnknown)), "{delivered:?}");
    assert!(begun.elapsed() >= DOUBT_PATIENCE);
}

#[tokio::test]
async fn deliveries_in_one_transaction_fail_together_while_the_engine_is_away() {
    let engine = Unsteady::new(7);
    let house = House::over(Database::new(engine.clone()), config()).await;
    let mut messages = Vec::new();
    for number in 0..5 {
        messages.push(house.message(&format!("message {number}"), Flags::default()).await);
    }
    let first = house.message("first", Flags::default()).await;
    // After the first delivery two transactions cannot begin.
    engine.end_next([End::Told], 2);
    house.store.deliver(delivery(first)).await.expect("delivers");
    let deliver = async |message: NewMessage| house.store.deliver(delivery(message)).await;
    let results = futures::future::join_all(messages.iter().cloned().map(deliver)).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::Unavailable(_)))), "{results:?}");
    // The second of them fails this one.
    assert!(matches!(deliver(messages[0].clone()).await, Err(Error::Unavailable(_))));
    deliver(messages[0].clone()).await.expect("the engine is back");
    house.check().await;
}

#[tokio::test]
async fn a_delivery_whose_body_is_gone_fails_alone() {
    let house = House::new().await;
    let gone = BodyRef { id: crate::types::BodyId::random(), size: 1 };
    let mut messages = Vec::new();
    for number in 0..3 {
        messages.push(house.message(&format!("message {number}"), Flags::default()).await);
    }
    messages[1].body = Body::Shared(gone);
    let deliver = async |message: NewMessage| house.store.deliver(delivery(message)).await;
    let results = futures::future::join_all(messages.into_iter().map(deliver)).await;
    assert!(matches!(&results[..], [Ok(_), Err(Error::Invalid(_)), Ok(_)]), "{results:?}");
    house.check().await;
}
