//! Where mail goes.

use super::fixture::*;
use crate::directory::Domain;
use crate::{Error, limits};

#[tokio::test]
async fn addresses_are_found_in_any_case_with_details_and_under_further_names() {
    let directory = two_domains().await;
    directory.create_alias_domain(&name("c.example"), &name("a.example")).await.expect("made");
    account(&directory, "Ann@a.example").await;
    account(&directory, "ann+own@a.example").await;
    alias(&directory, "sales@a.example", &["ann@a.example", "out@else.example"]).await;
    for (to, expected) in [
        ("ann@a.example", "Ann@a.example"),
        ("ANN@A.EXAMPLE", "Ann@a.example"),
        ("ann@c.example", "Ann@a.example"),
        ("ann+lists@a.example", "Ann@a.example"),
        ("ann+own@a.example", "ann+own@a.example"),
        ("sales+x@c.example", ">out@else.example Ann@a.example"),
        ("ann@b.example", "unknown"),
        ("+ann@a.example", "unknown"),
        ("ann@else.example", "not local"),
    ] {
        assert_eq!(recipients(&directory, to).await, expected, "{to}");
    }
}

#[tokio::test]
async fn aliases_nest_and_loops_end() {
    let directory = two_domains().await;
    account(&directory, "ann@a.example").await;
    account(&directory, "bob@b.example").await;
    alias(&directory, "all@a.example", &["team@b.example", "ann@a.example", "gone@b.example"]).await;
    alias(&directory, "team@b.example", &["all@a.example", "BOB@b.example", "x@else.example"]).await;
    alias(&directory, "l1@a.example", &["l2@a.example"]).await;
    alias(&directory, "l2@a.example", &["l1@a.example"]).await;
    assert_eq!(recipients(&directory, "all@a.example").await, ">x@else.example ann@a.example bob@b.example");
    assert_eq!(recipients(&directory, "team@b.example").await, recipients(&directory, "all@a.example").await);
    assert_eq!(recipients(&directory, "l1@a.example").await, "unknown");
}

#[tokio::test]
async fn forwards_send_on_and_mail_is_never_lost_in_them() {
    let directory = two_domains().await;
    forwarding(&directory, "away@a.example", &["x@else.example"], false).await;
    forwarding(&directory, "both@a.example", &["x@else.example", "away@a.example"], true).await;
    forwarding(&directory, "ping@a.example", &["pong@a.example"], false).await;
    forwarding(&directory, "pong@a.example", &["ping@a.example"], false).await;
    forwarding(&directory, "dead@a.example", &["gone@a.example"], false).await;
    alias(&directory, "mix@a.example", &["dead@a.example", "away@a.example"]).await;
    for (to, expected) in [
        ("away@a.example", ">x@else.example"),
        ("both@a.example", ">x@else.example both@a.example"),
        ("ping@a.example", "ping@a.example pong@a.example"),
        ("dead@a.example", "dead@a.example"),
        ("mix@a.example", ">x@else.example dead@a.example"),
    ] {
        assert_eq!(recipients(&directory, to).await, expected, "{to}");
    }
}

#[tokio::test]
async fn a_catch_all_takes_what_does_not_exist() {
    let directory = two_domains().await;
    account(&directory, "ann@a.example").await;
    let catch = |to: &'static str| {
        move |domain: &mut Domain| {
            domain.catch_all = Some(address(to));
            Ok(())
        }
    };
    directory.update_domain(&name("b.example"), catch("ann@a.example")).await.expect("updated");
    assert_eq!(recipients(&directory, "whoever@b.example").await, "ann@a.example");
    directory.update_domain(&name("a.example"), catch("nobody@b.example")).await.expect("updated");
    assert_eq!(recipients(&directory, "whoever@a.example").await, "ann@a.example");
    directory.update_domain(&name("b.example"), catch("loop@a.example")).await.expect("updated");
    assert_eq!(recipients(&directory, "whoever@b.example").await, "unknown");
}

#[tokio::test]
async fn postmaster_and_abuse_exist_in_every_domain() {
    let directory = two_domains().await;
    let nobody = directory.resolve(&address("postmaster@a.example")).await;
    assert!(matches!(nobody, Err(Error::Unavailable(_))), "451 until there is somebody");
    account(&directory, "eve@a.example").await;
    account(&directory, "ann@a.example").await;
    for to in ["postmaster@a.example", "Abuse@a.example", "PostMaster@b.example"] {
        assert_eq!(recipients(&directory, to).await, "eve@a.example", "the oldest account: {to}");
    }
    directory
        .update_settings(|settings| settings.postmaster = Some(address("ann@a.example")))
        .await
        .expect("set");
    assert_eq!(recipients(&directory, "abuse@b.example").await, "ann@a.example");
    let contact = |domain: &mut Domain| {
        domain.contact = Some(address("x@else.example"));
        Ok(())
    };
    directory.update_domain(&name("b.example"), contact).await.expect("updated");
    assert_eq!(recipients(&directory, "abuse@b.example").await, ">x@else.example");
    account(&directory, "abuse@b.example").await;
    assert_eq!(recipients(&directory, "abuse@b.example").await, "abuse@b.example");
    let Resolution::Deliver { accounts, .. } = directory.resolve_postmaster().await.expect("resolves") else {
        panic!("bare postmaster exists");
    };
    assert_eq!(accounts[0].address, address("ann@a.example"));
}

#[tokio::test]
async fn a_postmaster_who_left_does_not_take_the_address_along() {
    let directory = two_domains().await;
    account(&directory, "eve@a.example").await;
    let ann = account(&directory, "ann@a.example").await;
    directory
        .update_settings(|settings| settings.postmaster = Some(address("ann@a.example")))
        .await
        .expect("set");
    directory.delete_account(ann.id).await.expect("deleted");
    assert_eq!(recipients(&directory, "postmaster@b.example").await, "eve@a.example");
    let bare = directory.resolve_postmaster().await.expect("resolves");
    assert!(
        matches!(bare, Resolution::Deliver { accounts, .. } if accounts[0].address == address("eve@a.example"))
    );
}

#[tokio::test]
async fn disabled_domains_take_nothing_and_disabled_accounts_keep_their_mail() {
    let directory = two_domains().await;
    let ann = account(&directory, "ann@a.example").await;
    let disable = |account: &mut Account| {
        account.enabled = false;
        Ok(())
    };
    directory.update_account(ann.id, disable).await.expect("updated");
    assert_eq!(recipients(&directory, "ann@a.example").await, "ann@a.example");
    let disable = |domain: &mut Domain| {
        domain.enabled = false;
        Ok(())
    };
    directory.update_domain(&name("a.example"), disable).await.expect("updated");
    assert_eq!(recipients(&directory, "ann@a.example").await, "unknown");
    assert!(directory.account_by_login("ann@a.example").await.expect("reads").is_none());
}

#[tokio::test]
async fn expansions_are_bounded() {
    let directory = two_domains().await;
    for list in 0..limits::EXPANSION_RECIPIENTS / limits::ALIAS_TARGETS + 1 {
        let targets: Vec<String> =
            (0..limits::ALIAS_TARGETS).map(|n| format!("{n}@{list}.example")).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        alias(&directory, &format!("list{list}@a.example"), &targets).await;
        let next = format!("list{}@a.example", list + 1);
        alias(&directory, &format!("more{list}@a.example"), &[&format!("list{list}@a.example"), &next]).await;
    }
    assert!(recipients(&directory, "more0@a.example").await.split(' ').count() == 2 * limits::ALIAS_TARGETS);
    let all: Vec<String> = (0..5).map(|list| format!("list{list}@a.example")).collect();
    alias(&directory, "all@a.example", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let found = directory.resolve(&address("all@a.example")).await;
    assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
    for deep in 0..=limits::EXPANSION_DEPTH + 1 {
        alias(&directory, &format!("d{deep}@a.example"), &[&format!("d{}@a.example", deep + 1)]).await;
    }
    assert!(matches!(directory.resolve(&address("d0@a.example")).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn senders_are_ones_own_names_only() {
    let directory = two_domains().await;
    directory.create_alias_domain(&name("c.example"), &name("a.example")).await.expect("made");
    let ann = account(&directory, "ann@a.example").await;
    forwarding(&directory, "bob@a.example", &["ann@a.example"], true).await;
    alias(&directory, "sales@a.example", &["team@b.example"]).await;
    alias(&directory, "team@b.example", &["ann@a.example", "sales@a.example"]).await;
    let catch = |domain: &mut Domain| {
        domain.catch_all = Some(address("ann@a.example"));
        Ok(())
    };
    directory.update_domain(&name("a.example"), catch).await.expect("updated");
    for (from, expected) in [
        ("ann@a.example", true),
        ("Ann+x@c.example", true),
        ("sales@c.example", true),
        ("postmaster@a.example", true),
        ("bob@a.example", false),
        ("caught@a.example", false),
        ("ann@b.example", false),
        ("ann@else.example", false),
    ] {
        assert_eq!(directory.may_send_as(ann.id, &address(from)).await.expect("reads"), expected, "{from}");
    }
}
