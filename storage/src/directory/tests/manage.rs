//! Making, changing, listing and deleting.

use super::fixture::*;
use crate::directory::{DkimAlgorithm, DkimKey, Domain, key};
use crate::kv::record::Record;
use crate::kv::{Database, Local, LocalConfig, RangeOptions, Transaction};
use crate::types::{Secret, Timestamp};
use crate::{Error, Result};

fn is_taken<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Exists(_)))
}

#[tokio::test]
async fn names_and_addresses_are_taken_once() {
    let directory = two_domains().await;
    account(&directory, "ann@a.example").await;
    alias(&directory, "sales@a.example", &["ann@a.example"]).await;
    directory.create_alias_domain(&name("c.example"), &name("a.example")).await.expect("made");
    assert!(is_taken(directory.create_domain(NewDomain::named(name("C.example"))).await));
    assert!(is_taken(directory.create_alias_domain(&name("b.example"), &name("a.example")).await));
    for at in ["ANN@a.example", "Sales@a.example"] {
        assert!(is_taken(directory.create_account(NewAccount::at(address(at)), async |_, _| Ok(())).await));
        let alias = Alias { address: address(at), targets: addresses(&["x@else.example"]) };
        assert!(is_taken(directory.create_alias(&alias).await));
    }
    let elsewhere =
        directory.create_account(NewAccount::at(address("x@else.example")), async |_, _| Ok(())).await;
    assert!(matches!(elsewhere, Err(Error::NotFound(_))));
    let further = directory.create_account(NewAccount::at(address("x@c.example")), async |_, _| Ok(())).await;
    assert!(matches!(further, Err(Error::Invalid(_))), "made in the domain itself");
}

#[tokio::test]
async fn what_belongs_to_an_account_is_made_before_it() {
    let directory = two_domains().await;
    let made = parking_lot::Mutex::new(Vec::new());
    let new = NewAccount::at(address("ann@a.example"));
    let refused = directory.create_account(new.clone(), async |_, _| Err(Error::Closed)).await;
    assert!(matches!(refused, Err(Error::Closed)));
    let first = async |id, domain| {
        made.lock().push((id, domain));
        Ok(())
    };
    let ann = directory.create_account(new.clone(), first).await.expect("made");
    assert_eq!(*made.lock(), [(ann.id, ann.domain)]);
    let again =
        directory.create_account(new, async |_, _| panic!("nothing is made for an address that is taken"));
    assert!(matches!(again.await, Err(Error::Exists(_))));
}

#[tokio::test]
async fn an_id_that_was_somebody_elses_is_passed_over() {
    let directory = two_domains().await;
    let offered = parking_lot::Mutex::new(Vec::new());
    let first = async |id, _| {
        let mut offered = offered.lock();
        offered.push(id);
        if offered.len() < 3 { Err(Error::Exists("account".into())) } else { Ok(()) }
    };
    let ann = directory.create_account(NewAccount::at(address("ann@a.example")), first).await.expect("made");
    let offered = offered.into_inner();
    assert_eq!((offered.len(), offered.last()), (3, Some(&ann.id)));
    let always = async |_, _| Err(Error::Exists("account".into()));
    let refused = directory.create_account(NewAccount::at(address("bob@a.example")), always).await;
    assert!(is_taken(refused), "it is not tried for ever");
}

#[tokio::test]
async fn a_domain_that_is_made_anew_meanwhile_gets_no_account_of_the_old_one() {
    let directory = two_domains().await;
    let first = async |_, _| {
        directory.delete_domain(&name("b.example")).await?;
        directory.create_domain(NewDomain::named(name("b.example"))).await.map(drop)
    };
    let made = directory.create_account(NewAccount::at(address("ann@b.example")), first).await;
    assert!(matches!(made, Err(Error::NotFound(_))), "{made:?}");
}

#[tokio::test]
async fn ids_are_never_used_again() {
    let (directory, database) = empty().await;
    let domain = directory.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    let first = account(&directory, "ann@a.example").await;
    directory.delete_account(first.id).await.expect("deleted");
    let second = account(&directory, "ann@a.example").await;
    directory.delete_account(second.id).await.expect("deleted");
    directory.delete_domain(&name("a.example")).await.expect("deleted");
    drop(directory);
    let directory = Directory::open(database).await.expect("opens");
    let again = directory.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    let third = account(&directory, "ann@a.example").await;
    assert!(first.id < second.id && second.id < third.id && domain.id < again.id);
    let deleted = directory.deleted_accounts(None, 10).await.expect("lists");
    assert_eq!(deleted.iter().map(|deleted| deleted.id).collect::<Vec<_>>(), [first.id, second.id]);
    let domains = directory.deleted_domains().await.expect("lists");
    assert_eq!(domains.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [domain.id]);
    directory.forget_deleted_account(first.id).await.expect("forgets");
    assert_eq!(directory.deleted_accounts(None, 10).await.expect("lists").len(), 1);
    directory.forget_deleted_domain(domain.id).await.expect("forgets");
    assert!(directory.deleted_domains().await.expect("lists").is_empty());
}

#[tokio::test]
async fn a_domain_goes_however_many_aliases_it_has() {
    const MANY: usize = crate::limits::CLEAR_RANGE_KEYS + 1;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let local = LocalConfig { path: folder.path().into(), ..LocalConfig::default() };
    let database = Database::new(Local::open(local).await.expect("opens"));
    let directory = Directory::open(database.clone()).await.expect("opens");
    let domain = directory.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    alias(&directory, "sales@a.example", &["x@else.example"]).await;
    let one = key::address(domain.id, "sales");
    let fill = async |tx: &mut Transaction| {
        let value = tx.get(&one).await?.expect("was made");
        (0..MANY)
            .for_each(|number| tx.set(key::address(domain.id, &format!("sales{number}")), value.clone()));
        Ok(())
    };
    database.run(fill).await.expect("fills");
    assert_eq!(recipients(&directory, "sales7@a.example").await, ">x@else.example");
    directory.delete_domain(&name("a.example")).await.expect("deleted");
    assert_eq!(recipients(&directory, "sales8@a.example").await, "not local");
    let left =
        database.begin().range(key::addresses(domain.id, None), RangeOptions::default()).collect().await;
    assert_eq!(left.expect("reads").len(), 0);
    drop(directory);
    database.close().await;
}

#[tokio::test]
async fn a_domain_goes_with_its_names_but_not_with_its_accounts() {
    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    alias(&directory, "sales@a.example", &["ann@a.example"]).await;
    directory.create_alias_domain(&name("c.example"), &name("a.example")).await.expect("made");
    assert!(matches!(directory.delete_domain(&name("a.example")).await, Err(Error::Invalid(_))));
    assert_eq!(recipients(&directory, "ann@c.example").await, "ann@a.example");
    directory.delete_account(ann.id).await.expect("deleted");
    assert_eq!(recipients(&directory, "ann@a.example").await, "unknown");
    directory.delete_domain(&name("a.example")).await.expect("deleted");
    for to in ["ann@a.example", "ann@c.example", "sales@a.example"] {
        assert_eq!(recipients(&directory, to).await, "not local", "{to}");
    }
    assert_eq!(directory.settings().await.expect("reads").default_domain, None);
    directory.create_domain(NewDomain::named(name("c.example"))).await.expect("the name is free");
}

#[tokio::test]
async fn logins_are_addresses_or_names_of_the_default_domain() {
    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    alias(&directory, "sales@a.example", &["ann@a.example"]).await;
    directory.create_alias_domain(&name("c.example"), &name("a.example")).await.expect("made");
    for (login, found) in [
        ("ann", true),
        ("ANN", true),
        ("ann@a.example", true),
        ("Ann@C.example", true),
        ("sales@a.example", false),
        ("ann@b.example", false),
        ("@a.example", false),
        ("", false),
        ("ann\0", false),
    ] {
        let account = directory.account_by_login(login).await.expect("reads");
        assert_eq!(account.map(|account| account.id), found.then_some(ann.id), "{login:?}");
    }
}

#[tokio::test]
async fn updates_keep_identity_and_are_checked() {
    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    let update = |account: &mut Account| {
        account.id = crate::types::AccountId(99);
        account.address = address("eve@a.example");
        account.name = "Ann".into();
        account.quota_octets = Some(5);
        Ok(())
    };
    let updated = directory.update_account(ann.id, update).await.expect("updated");
    assert_eq!((updated.id, &updated.address, updated.name.as_str()), (ann.id, &ann.address, "Ann"));
    let itself = |account: &mut Account| {
        account.forward = addresses(&["ANN@a.example"]);
        Ok(())
    };
    assert!(matches!(directory.update_account(ann.id, itself).await, Err(Error::Invalid(_))));
    let control = |account: &mut Account| {
        account.name = "a\r\nb".into();
        Ok(())
    };
    assert!(matches!(directory.update_account(ann.id, control).await, Err(Error::Invalid(_))));
    let none = directory.create_alias(&Alias { address: address("x@a.example"), targets: Vec::new() }).await;
    assert!(matches!(none, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let directory = two_domains().await;
    for local_part in ["dan", "ann", "cyd", "bob"] {
        account(&directory, &format!("{local_part}@a.example")).await;
        alias(&directory, &format!("{local_part}-alias@a.example"), &["x@else.example"]).await;
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = directory.accounts(&name("a.example"), after.as_deref(), 3).await.expect("lists");
        seen.push(
            page.items.iter().map(|account| account.address.local_part().to_owned()).collect::<Vec<_>>(),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [vec!["ann", "bob", "cyd"], vec!["dan"]]);
    let aliases = directory.aliases(&name("a.example"), Some("bob"), 10).await.expect("lists").items;
    assert_eq!(aliases.len(), 3, "bob-alias, cyd-alias, dan-alias");
    let domains = directory.domains(Some(&name("a.example")), 10).await.expect("lists");
    assert_eq!(domains.items.iter().map(|domain| domain.name.to_string()).collect::<Vec<_>>(), ["b.example"]);
    assert_eq!(domains.next, None);
}

#[tokio::test]
async fn dkim_keys_are_kept_and_never_shown() {
    let directory = two_domains().await;
    let key = |selector: &str| DkimKey {
        selector: selector.into(),
        algorithm: DkimAlgorithm::Ed25519Sha256,
        private_key: Secret::new(b"very private".to_vec()),
        public_key: b"public".to_vec(),
        created: Timestamp::now(),
    };
    let add = |selector: &'static str| {
        move |domain: &mut Domain| {
            domain.dkim.push(key(selector));
            Ok(())
        }
    };
    let domain = directory.update_domain(&name("a.example"), add("s1")).await.expect("updated");
    assert_eq!(domain.dkim[0].private_key.expose(), b"very private");
    assert!(!format!("{domain:?}").contains(&format!("{:?}", b"very private")));
    assert!(is_taken(directory.update_domain(&name("a.example"), add("s1")).await));
    let bad = directory.update_domain(&name("a.example"), add("no selector")).await;
    assert!(matches!(bad, Err(Error::Invalid(_))));
}

#[test]
fn records_that_are_none_are_refused() {
    use crate::directory::stored::{AccountRecord, AddressRecord, DomainRecord, NameRecord};
    use proptest::prelude::*;
    proptest!(|(octets: Vec<u8>)| {
        // Whatever stands there, reading it ends, and what reads writes back the same.
        if let Ok(record) = NameRecord::decode(&octets) {
            prop_assert!(record.encode().len() <= octets.len());
        }
        let _ = (AccountRecord::decode(&octets).is_ok(), DomainRecord::decode(&octets).is_ok());
        let _ = AddressRecord::decode(&octets).is_ok();
    });
}

#[tokio::test]
async fn what_a_domain_or_account_may_hold_is_bounded() {
    use crate::limits::{ACCOUNT_NAME_OCTETS, DIRECTORY_RECORD_OCTETS, DKIM_KEYS, FURTHER_NAMES};

    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    let named = |octets: usize| {
        move |account: &mut Account| {
            account.name = "x".repeat(octets);
            Ok(())
        }
    };
    directory.update_account(ann.id, named(ACCOUNT_NAME_OCTETS)).await.expect("fits");
    let refused = directory.update_account(ann.id, named(ACCOUNT_NAME_OCTETS + 1)).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));

    let keys = |count: usize, octets: usize| {
        move |domain: &mut Domain| {
            let key = |number: usize| DkimKey {
                selector: format!("s{number}"),
                algorithm: DkimAlgorithm::Ed25519Sha256,
                private_key: Secret::new(vec![0; octets]),
                public_key: b"public".to_vec(),
                created: Timestamp::now(),
            };
            domain.dkim = (0..count).map(key).collect();
            Ok(())
        }
    };
    let a = name("a.example");
    directory.update_domain(&a, keys(DKIM_KEYS, 100)).await.expect("fits");
    let too_many = directory.update_domain(&a, keys(DKIM_KEYS + 1, 100)).await;
    assert!(matches!(too_many, Err(Error::TooLarge(_))));
    let too_long = directory.update_domain(&a, keys(1, DIRECTORY_RECORD_OCTETS)).await;
    assert!(matches!(too_long, Err(Error::TooLarge(_))));

    for number in 0..FURTHER_NAMES {
        directory.create_alias_domain(&name(&format!("n{number}.example")), &a).await.expect("room");
    }
    let one_more = directory.create_alias_domain(&name("one-more.example"), &a).await;
    assert!(matches!(one_more, Err(Error::TooLarge(_))));
    directory.create_alias_domain(&name("one-more.example"), &name("b.example")).await.expect("of another");
}
