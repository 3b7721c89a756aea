//! What the tests start from.

pub(super) use std::sync::Arc;

pub(super) use crate::directory::{Account, Alias, Directory, NewAccount, NewDomain, Resolution};
use crate::kv::{Database, Memory};
pub(super) use crate::types::{Address, DomainName};

pub(super) fn name(text: &str) -> DomainName {
    text.parse().expect("domain name")
}

pub(super) fn address(text: &str) -> Address {
    text.parse().expect("address")
}

pub(super) fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| address(text)).collect()
}

pub(super) async fn empty() -> (Directory, Database) {
    let database = Database::new(Memory::new());
    (Directory::open(database.clone()).await.expect("opens"), database)
}

/// With the domains `a.example` and `b.example`.
pub(super) async fn two_domains() -> Directory {
    let (directory, _) = empty().await;
    for domain in ["a.example", "b.example"] {
        directory.create_domain(NewDomain::named(name(domain))).await.expect("made");
    }
    directory
}

pub(super) async fn account(directory: &Directory, at: &str) -> Arc<Account> {
    directory.create_account(NewAccount::at(address(at)), async |_, _| Ok(())).await.expect("made")
}

pub(super) async fn forwarding(
    directory: &Directory,
    at: &str,
    forward: &[&str],
    keep_copy: bool,
) -> Arc<Account> {
    let account = account(directory, at).await;
    let update = |account: &mut Account| {
        (account.forward, account.keep_copy) = (addresses(forward), keep_copy);
        Ok(())
    };
    directory.update_account(account.id, update).await.expect("updated")
}

pub(super) async fn alias(directory: &Directory, at: &str, targets: &[&str]) {
    let alias = Alias { address: address(at), targets: addresses(targets) };
    directory.create_alias(&alias).await.expect("made");
}

/// The recipients in order of their text, forwards marked with `>`; or what else it is.
pub(super) async fn recipients(directory: &Directory, at: &str) -> String {
    let found = directory.resolve(&address(at)).await;
    match found.expect("resolves") {
        Resolution::NotLocal { .. } => "not local".into(),
        Resolution::Unknown => "unknown".into(),
        Resolution::Deliver { accounts, forwards } => {
            let kept = accounts.iter().map(|account| account.address.to_string());
            let sent = forwards.iter().map(|forward| format!(">{forward}"));
            let mut all: Vec<String> = kept.chain(sent).collect();
            all.sort();
            all.join(" ")
        }
    }
}
