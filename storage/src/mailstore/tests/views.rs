//! Views are bounded: idle ones go, those that sessions hold stay.

use super::*;
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
