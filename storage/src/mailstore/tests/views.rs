//! Views are bounded: idle ones go, those that sessions hold stay.

use super::*;
use crate::Error;
use crate::limits::{VIEW_MESSAGE_OCTETS, VIEW_OCTETS};

#[tokio::test]
async fn idle_views_are_let_go_when_they_take_too_much() {
    // Room for three empty views and twenty messages.
    let config =
        MailStoreConfig { view_octets: 3 * VIEW_OCTETS + 20 * VIEW_MESSAGE_OCTETS, ..super::config() };
    let house = House::over(Database::new(Memory::new()), config).await;
    house.append(house.inbox, 20, &Flags::default()).await;
    let held = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let mut others = Vec::new();
    for number in 0..4 {
        let name = named(&format!("box{number}"));
        let mailbox = house.store.create_mailbox(ACCOUNT, &name, None).await.expect("creates").id;
        house.store.open(ACCOUNT, mailbox).await.expect("opens");
        others.push(mailbox);
    }
    house.store.work_once(Timestamp::now()).await.expect("works");
    let is_there = |mailbox: &MailboxId| house.store.inner.views.find(ACCOUNT, *mailbox).is_some();
    assert_eq!(others.iter().map(is_there).collect::<Vec<_>>(), [false, false, true, true]);
    // The held one is the oldest, and stays the one that commits are told to.
    house.append(house.inbox, 30, &Flags::default()).await;
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert_eq!((held.snapshot().len(), others.iter().filter(|mailbox| is_there(mailbox)).count()), (50, 1));
    drop(held);
    house.append(house.inbox, 200, &Flags::default()).await;
    house.store.work_once(Timestamp::now()).await.expect("works");
    assert!(!is_there(&house.inbox));
    house.check().await;
}

#[tokio::test]
async fn who_waits_hears_of_what_another_node_commits() {
    let house = House::new().await;
    let other = house.other_node();
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let waiting = [view.subscribe(), view.subscribe()];
    for mut told in waiting {
        let before = *told.borrow_and_update();
        let message = house.message("from the other node", Flags::default()).await;
        other.append(ACCOUNT, house.inbox, vec![message], Limits::default()).await.expect("appends");
        tokio::time::timeout(Duration::from_secs(20), told.changed()).await.expect("is told").expect("lives");
        assert!(*told.borrow() > before);
        assert_eq!(*told.borrow(), view.snapshot().highest_modseq.0);
    }
    assert_eq!(view.snapshot().len(), 2);
    // Once nobody waits, nobody follows; who waits then is told again.
    while std::sync::Arc::strong_count(&view) > 2 {
        tokio::task::yield_now().await;
    }
    let mut told = view.subscribe();
    told.borrow_and_update();
    let message = house.message("once more", Flags::default()).await;
    other.append(ACCOUNT, house.inbox, vec![message], Limits::default()).await.expect("appends");
    tokio::time::timeout(Duration::from_secs(20), told.changed()).await.expect("is told").expect("lives");
    assert_eq!(view.snapshot().len(), 3);
}

#[tokio::test]
async fn who_waits_hears_that_another_node_deleted_the_mailbox() {
    let house = House::new().await;
    let other = house.other_node();
    let view = house.store.open(ACCOUNT, house.archive).await.expect("opens");
    let mut told = view.subscribe();
    told.borrow_and_update();
    other.delete_mailbox(ACCOUNT, &named("Archive")).await.expect("deletes");
    tokio::time::timeout(Duration::from_secs(20), told.changed()).await.expect("is told").expect("lives");
    assert!(matches!(view.refresh().await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_view_ends_when_another_node_makes_the_mailbox_another() {
    let house = House::new().await;
    let other = house.other_node();
    house.append(house.inbox, 2, &Flags::default()).await;
    let view = house.store.open(ACCOUNT, house.inbox).await.expect("opens");
    let before = view.snapshot().uid_validity;
    let mut told = view.subscribe();
    told.borrow_and_update();
    other.rename_mailbox(ACCOUNT, &MailboxName::inbox(), &named("Old")).await.expect("renames");
    tokio::time::timeout(Duration::from_secs(20), told.changed()).await.expect("is told").expect("lives");
    assert!(matches!(view.refresh().await, Err(Error::NotFound(_))));
    for name in [MailboxName::inbox(), named("Old")] {
        let mailbox = house.store.mailbox(ACCOUNT, &name).await.expect("is there");
        let fresh = house.store.open(ACCOUNT, mailbox.id).await.expect("opens").snapshot();
        assert_eq!(fresh.uid_validity, mailbox.uid_validity);
        assert_eq!((fresh.uid_validity == before, fresh.is_empty()), (name.is_inbox(), name.is_inbox()));
    }
    house.check().await;
}
