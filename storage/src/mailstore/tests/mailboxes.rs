//! Mailboxes by name.

use super::*;
use crate::Error;

async fn names(house: &House) -> Vec<String> {
    let mailboxes = house.store.mailboxes(ACCOUNT).await.expect("lists");
    mailboxes.iter().map(|mailbox| mailbox.name.to_string()).collect()
}

#[tokio::test]
async fn an_account_begins_with_the_standard_mailboxes() {
    let house = House::new().await;
    assert_eq!(names(&house).await, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    let mailboxes = house.store.mailboxes(ACCOUNT).await.expect("lists");
    assert!(mailboxes.iter().all(|mailbox| mailbox.subscribed));
    assert_eq!(mailboxes[3].special_use, Some(SpecialUse::Junk));
    let unknown = house.store.mailboxes(AccountId(99)).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn create_makes_superiors_and_refuses_a_second_one() {
    let house = House::new().await;
    let created = house.store.create_mailbox(ACCOUNT, &named("a/b/c"), None).await.expect("creates");
    assert_eq!(names(&house).await.iter().filter(|name| name.starts_with('a')).count(), 3);
    let again = house.store.create_mailbox(ACCOUNT, &named("a/b"), None).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    assert_eq!(house.store.mailbox(ACCOUNT, &named("a/b/c")).await.expect("is there"), created);
}

#[tokio::test]
async fn a_reused_name_gets_a_greater_uid_validity() {
    let house = House::new().await;
    let mut last = 0;
    for _ in 0..3 {
        let created = house.store.create_mailbox(ACCOUNT, &named("again"), None).await.expect("creates");
        assert!(created.uid_validity > last);
        last = created.uid_validity;
        house.append(created.id, 2, &seen()).await;
        let view = house.store.open(ACCOUNT, created.id).await.expect("opens");
        house.store.delete_mailbox(ACCOUNT, &named("again")).await.expect("deletes");
        assert!(matches!(view.refresh().await, Err(Error::NotFound(_))));
        let status = house.store.status(ACCOUNT, created.id).await;
        assert!(matches!(status, Err(Error::NotFound(_))));
        house.check().await;
    }
}

#[tokio::test]
async fn a_rename_takes_the_hierarchy_along_and_keeps_messages() {
    let house = House::new().await;
    let child = house.store.create_mailbox(ACCOUNT, &named("a/b"), None).await.expect("creates");
    house.append(child.id, 1, &seen()).await;
    let rename =
        async |from: &str, to: &str| house.store.rename_mailbox(ACCOUNT, &named(from), &named(to)).await;
    rename("a", "x/y").await.expect("renames");
    let renamed = house.store.mailbox(ACCOUNT, &named("x/y/b")).await.expect("is there");
    assert_eq!((renamed.id, renamed.uid_validity), (child.id, child.uid_validity));
    assert!(names(&house).await.contains(&"x".to_owned()));
    assert!(matches!(rename("x/y", "x/y/z").await, Err(Error::Invalid(_))));
    assert!(matches!(rename("a", "q").await, Err(Error::NotFound(_))));
    assert!(matches!(rename("x/y", "Sent").await, Err(Error::Exists(_))));
    house.check().await;
}

#[tokio::test]
async fn renaming_inbox_leaves_an_empty_one_that_goes_on_counting() {
    let house = House::new().await;
    house.append(house.inbox, 3, &seen()).await;
    let before = house.store.mailbox(ACCOUNT, &MailboxName::inbox()).await.expect("is there");
    house.store.rename_mailbox(ACCOUNT, &MailboxName::inbox(), &named("Old")).await.expect("renames");
    let inbox = house.store.mailbox(ACCOUNT, &MailboxName::inbox()).await.expect("is there");
    let old = house.store.mailbox(ACCOUNT, &named("Old")).await.expect("is there");
    assert_eq!((old.id, inbox.uid_validity), (before.id, before.uid_validity));
    assert!(old.uid_validity > before.uid_validity && inbox.id != old.id);
    let counters = house.store.status(ACCOUNT, inbox.id).await.expect("exists");
    assert_eq!((counters.messages, counters.uid_next), (0, 4));
    let delivered = house.deliver("next").await;
    assert_eq!((delivered.mailbox, delivered.uid), (inbox.id, uid(4)));
    assert_eq!(house.store.status(ACCOUNT, old.id).await.expect("exists").messages, 3);
    house.check().await;
}

#[tokio::test]
async fn inbox_cannot_be_deleted_and_subscriptions_outlive_mailboxes() {
    let house = House::new().await;
    let deleted = house.store.delete_mailbox(ACCOUNT, &MailboxName::inbox()).await;
    assert!(matches!(deleted, Err(Error::Invalid(_))));
    house.store.delete_mailbox(ACCOUNT, &named("Sent")).await.expect("deletes");
    let subscriptions = house.store.subscriptions(ACCOUNT).await.expect("lists");
    assert!(subscriptions.contains(&named("Sent")));
    house.store.set_subscribed(ACCOUNT, &named("Sent"), false).await.expect("unsubscribes");
    assert!(!house.store.subscriptions(ACCOUNT).await.expect("lists").contains(&named("Sent")));
}

#[tokio::test]
async fn mailboxes_and_subscriptions_are_bounded() {
    use crate::limits::{MAILBOX_NAME_LEVELS, MAILBOXES_PER_ACCOUNT, SUBSCRIPTIONS_PER_ACCOUNT};

    let house = House::new().await;
    // Each name makes its superiors.
    let deepest = |number: usize| named(&format!("{number}{}", "/x".repeat(MAILBOX_NAME_LEVELS - 1)));
    let mut made = 0;
    let refused = loop {
        match house.store.create_mailbox(ACCOUNT, &deepest(made), None).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TooLarge(_)), "{refused}");
    let there = names(&house).await.len();
    assert!(there <= MAILBOXES_PER_ACCOUNT && there + MAILBOX_NAME_LEVELS > MAILBOXES_PER_ACCOUNT, "{there}");
    for number in there..MAILBOXES_PER_ACCOUNT {
        house.store.create_mailbox(ACCOUNT, &named(&format!("flat{number}")), None).await.expect("room");
    }
    let one_more = house.store.create_mailbox(ACCOUNT, &named("flat"), None).await;
    assert!(matches!(one_more, Err(Error::TooLarge(_))));

    let subscribed = house.store.subscriptions(ACCOUNT).await.expect("lists").len();
    let fill = async |tx: &mut crate::kv::Transaction| {
        for number in subscribed..SUBSCRIPTIONS_PER_ACCOUNT {
            tx.set(super::super::keys::subscription(ACCOUNT, &named(&format!("news{number}"))), Bytes::new());
        }
        Ok(())
    };
    house.db.run(fill).await.expect("written");
    let one_more = house.store.set_subscribed(ACCOUNT, &named("news"), true).await;
    assert!(matches!(one_more, Err(Error::TooLarge(_))));
    house.store.set_subscribed(ACCOUNT, &named("news9999"), false).await.expect("unsubscribes");
    house.store.set_subscribed(ACCOUNT, &named("news"), true).await.expect("room again");
}

#[tokio::test]
async fn an_account_that_was_used_is_not_made_again() {
    let house = House::new().await;
    house.append(house.inbox, 1, &seen()).await;
    let again = house.store.add_account(ACCOUNT, DOMAIN).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    house.check().await;
    house.store.delete_account(ACCOUNT).await.expect("deletes");
    let again = house.store.add_account(ACCOUNT, DOMAIN).await;
    assert!(matches!(again, Err(Error::Exists(_))));
}
