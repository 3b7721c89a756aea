//! Many accounts in one transaction.

use parking_lot::Mutex;

use super::fixture::*;
use crate::directory::Creation;
use crate::types::{AccountId, DomainId};
use crate::{Error, limits};

fn new(texts: &[&str]) -> Vec<NewAccount> {
    texts.iter().map(|text| NewAccount::at(address(text))).collect()
}

async fn nothing(_: Vec<(AccountId, DomainId)>) -> crate::Result<()> {
    Ok(())
}

#[tokio::test]
async fn many_accounts_are_made_together() {
    let directory = two_domains().await;
    let numbers = 0..limits::ACCOUNTS_TOGETHER + 1;
    let texts: Vec<String> = numbers.map(|number| format!("u{number}@a.example")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let refused = directory.create_accounts(new(&texts), nothing).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    let given = Mutex::new(Vec::new());
    let first = async |accounts| {
        *given.lock() = accounts;
        Ok(())
    };
    // Whoever is asked for before is remembered as absent until then.
    assert_eq!(recipients(&directory, "u7@a.example").await, "unknown");
    let outcomes = directory.create_accounts(new(&texts[1..]), first).await.expect("made");
    let made: Vec<AccountId> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Creation::Made(id)) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(given.into_inner().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), made);
    assert_eq!(recipients(&directory, "u7@a.example").await, "u7@a.example");
    let seventh = directory.account(made[6]).await.expect("reads").expect("exists");
    assert_eq!(seventh.address, address("u7@a.example"));
    assert_eq!(
        directory.accounts(&name("a.example"), None, 1000).await.expect("lists").items.len(),
        made.len()
    );
    let again = directory.create_accounts(new(&texts[1..]), nothing).await.expect("looks");
    assert!(again.iter().all(|outcome| matches!(outcome, Ok(Creation::Existed))), "{again:?}");
}

#[tokio::test]
async fn one_that_is_wrong_keeps_no_other_back() {
    let directory = two_domains().await;
    account(&directory, "ann@a.example").await;
    alias(&directory, "sales@a.example", &["ann@a.example"]).await;
    let mut accounts = new(&[
        "ann@a.example",
        "sales@a.example",
        "x@else.example",
        "bob@a.example",
        "BOB@a.example",
        "cat@b.example",
        "dan@b.example",
    ]);
    accounts[6].name = "a\nb".into();
    let outcomes = directory.create_accounts(accounts, nothing).await.expect("made");
    use Creation::{Existed, Made};
    assert!(
        matches!(
            &outcomes[..],
            [
                Ok(Existed),
                Err(Error::Exists(_)),
                Err(Error::NotFound(_)),
                Ok(Made(_)),
                Ok(Existed),
                Ok(Made(_)),
                Err(Error::Invalid(_)),
            ]
        ),
        "{outcomes:?}"
    );
    assert_eq!(recipients(&directory, "bob@a.example").await, "bob@a.example");
    assert_eq!(recipients(&directory, "dan@b.example").await, "unknown");
}

#[tokio::test]
async fn what_changes_meanwhile_is_seen_and_ids_of_others_are_passed_over() {
    let directory = two_domains().await;
    let offered = Mutex::new(Vec::new());
    let first = async |accounts: Vec<(AccountId, DomainId)>| {
        let tried = {
            let mut offered = offered.lock();
            offered.extend(accounts.iter().map(|(id, _)| *id));
            offered.len() / accounts.len()
        };
        if tried < 3 {
            return Err(Error::Exists("account".into()));
        }
        account(&directory, "ann@a.example").await;
        directory.delete_domain(&name("b.example")).await
    };
    let accounts = new(&["ann@a.example", "bob@a.example", "cat@b.example"]);
    let outcomes = directory.create_accounts(accounts, first).await.expect("made");
    let Ok(Creation::Made(bob)) = outcomes[1] else { panic!("{outcomes:?}") };
    assert!(matches!(outcomes[0], Ok(Creation::Existed)), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(Error::NotFound(_))), "{outcomes:?}");
    let offered = offered.into_inner();
    assert_eq!((offered.len(), offered[7]), (9, bob), "the third offer stood");
    let closed = directory.create_accounts(new(&["x@a.example"]), async |_| Err(Error::Closed)).await;
    assert!(matches!(closed, Err(Error::Closed)));
    assert_eq!(recipients(&directory, "x@a.example").await, "unknown");
}
