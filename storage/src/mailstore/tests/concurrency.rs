//! Many at once on one mailbox: nothing acknowledged is lost, and the numbers stay true.

use std::collections::BTreeSet;

use super::*;

const DELIVERERS: usize = 8;
const DELIVERIES: usize = 25;

async fn store_and_expunge(store: MailStore, inbox: MailboxId) -> BTreeSet<u32> {
    let mut gone = BTreeSet::new();
    for round in 0..30u32 {
        let marked: UidSet = (1..200).filter(|value| value % 7 == round % 7).filter_map(Uid::new).collect();
        let add = FlagChange::Add(if round % 3 == 0 { deleted() } else { seen() });
        store.store_flags(ACCOUNT, inbox, &marked, &add, None).await.expect("stores");
        gone.extend(store.expunge(ACCOUNT, inbox, None).await.expect("expunges").iter().map(Uid::get));
    }
    gone
}

async fn deliver_many(house: &House, store: &MailStore, number: usize) -> Vec<u32> {
    let mut filed = Vec::new();
    for _ in 0..DELIVERIES {
        let message = house.message(&format!("from {number}"), Flags::default()).await;
        filed.push(store.deliver(delivery(message)).await.expect("delivers").uid.get());
    }
    assert!(filed.is_sorted(), "a later delivery has a greater UID: {filed:?}");
    filed
}

async fn run(house: House) {
    // The second node makes real conflicts: it stands in no line with the first.
    let other = house.other_node();
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let mut newest = view.subscribe();
    let watcher = tokio::spawn(async move {
        let mut last = view.snapshot();
        while newest.changed().await.is_ok() {
            let next = view.snapshot();
            assert!(next.highest_modseq >= last.highest_modseq && next.uid_next >= last.uid_next);
            last = next;
        }
    });
    let expunger = tokio::spawn(store_and_expunge(house.store.clone(), house.inbox));
    let deliverers = (0..DELIVERERS).map(|number| {
        let store = if number % 4 == 0 { &other } else { &house.store };
        deliver_many(&house, store, number)
    });
    let filed: Vec<u32> = futures::future::join_all(deliverers).await.into_iter().flatten().collect();
    let gone = expunger.await.expect("joins");
    let distinct: BTreeSet<_> = filed.iter().copied().collect();
    assert_eq!(distinct.len(), DELIVERERS * DELIVERIES);
    let records = house.store.records(ACCOUNT, house.inbox, Uid::MIN..=Uid::MAX);
    let there: Vec<_> = records.try_collect().await.expect("reads");
    let there: BTreeSet<_> = there.iter().map(|(uid, _)| uid.get()).collect();
    assert_eq!(there.union(&gone).copied().collect::<BTreeSet<_>>(), distinct);
    assert!(there.is_disjoint(&gone));
    house.check().await;
    watcher.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliverers_storers_and_expungers_on_one_mailbox() {
    run(House::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_the_durable_engine() {
    run(House::on_disk().await).await;
}
