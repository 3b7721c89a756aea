//! The change log: what one handle changes, another one knows.

use std::time::Duration;

use super::fixture::*;
use crate::directory::{change, key};
use crate::types::AccountId;

/// Waits until the directory has taken in a change later than `version`.
async fn later(directory: &Directory, version: u64) {
    let mut versions = directory.subscribe();
    let newer = versions.wait_for(|known| *known > version);
    tokio::time::timeout(Duration::from_secs(60), newer).await.expect("told in time").expect("open");
}

#[tokio::test]
async fn another_node_forgets_what_changed() {
    let (here, database) = empty().await;
    let there = Directory::open(database).await.expect("opens");
    let version = there.version();
    here.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    later(&there, version).await;
    assert_eq!(recipients(&there, "ann@a.example").await, "unknown", "remembered from now on");
    let version = there.version();
    let ann = account(&here, "ann@a.example").await;
    later(&there, version).await;
    assert_eq!(recipients(&there, "ann@a.example").await, "ann@a.example");
    let version = there.version();
    here.delete_account(ann.id).await.expect("deleted");
    later(&there, version).await;
    assert_eq!(recipients(&there, "ann@a.example").await, "unknown");
}

#[tokio::test]
async fn who_waits_for_an_account_is_told_of_its_changes_and_not_of_a_neighbours() {
    let (here, database) = empty().await;
    here.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    let ann = account(&here, "ann@a.example").await;
    let bob = account(&here, "bob@a.example").await;
    let there = Directory::open(database).await.expect("opens");
    let (mut of_ann, of_bob) = (there.subscribe_to(ann.id), there.subscribe_to(bob.id));
    let disable = |account: &mut Account| {
        account.enabled = false;
        Ok(())
    };
    here.update_account(ann.id, disable).await.expect("updated");
    let told = tokio::time::timeout(Duration::from_secs(10), of_ann.changed()).await;
    told.expect("told in time").expect("open");
    let seen = there.account(ann.id).await.expect("reads").expect("there");
    assert!(!seen.enabled, "what is read then is what it was told of");
    assert!(!of_bob.has_changed().expect("open"));
}

#[tokio::test]
async fn a_change_is_in_force_here_when_the_call_returns() {
    let directory = two_domains().await;
    for round in 0..50 {
        assert_eq!(recipients(&directory, "ann@a.example").await, "unknown", "{round}");
        let ann = account(&directory, "ann@a.example").await;
        assert_eq!(recipients(&directory, "ann@a.example").await, "ann@a.example", "{round}");
        directory.delete_account(ann.id).await.expect("deleted");
    }
}

#[tokio::test]
async fn readers_never_keep_what_a_change_made_old() {
    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (directory, id) = (directory.clone(), ann.id);
            tokio::spawn(async move {
                let mut quota = Some(0);
                while quota != Some(100) {
                    let seen = directory.account(id).await.expect("reads").expect("there").quota_octets;
                    assert!(seen >= quota || quota == Some(0), "never back: {seen:?} after {quota:?}");
                    quota = seen.or(quota);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for quota in 1..=100 {
        let update = |account: &mut Account| {
            account.quota_octets = Some(quota);
            Ok(())
        };
        let updated = directory.update_account(ann.id, update).await.expect("updated");
        assert_eq!(updated.quota_octets, Some(quota));
    }
    for reader in readers {
        reader.await.expect("every reader saw the last change");
    }
}

#[tokio::test]
async fn the_log_is_trimmed_and_who_lags_behind_forgets_all() {
    let (here, database) = empty().await;
    let there = Directory::open(database.clone()).await.expect("opens");
    here.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    account(&here, "ann@a.example").await;
    later(&there, 0).await;
    assert_eq!(change::trim(&database, Duration::from_secs(3600)).await.expect("trims"), 0);
    assert_eq!(change::trim(&database, Duration::ZERO).await.expect("trims"), 2);
    assert_eq!(change::trim(&database, Duration::ZERO).await.expect("trims"), 0);
    let version = there.version();
    account(&here, "bob@a.example").await;
    later(&there, version).await;
    assert_eq!(recipients(&there, "bob@a.example").await, "bob@a.example");
    assert!(there.account(AccountId(999)).await.expect("reads").is_none());
}

#[tokio::test]
async fn the_mark_of_the_trimmed_log_never_goes_back() {
    let (here, database) = empty().await;
    let further = [0xfe; 10];
    let trimmed_further = database.run(async |tx| {
        tx.set(key::log_start(), further.to_vec());
        Ok(())
    });
    trimmed_further.await.expect("written");
    here.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    assert_eq!(change::trim(&database, Duration::ZERO).await.expect("trims"), 1);
    let mark = database.run(async |tx| tx.get(&key::log_start()).await).await.expect("reads");
    assert_eq!(mark.as_deref(), Some(&further[..]));
}
