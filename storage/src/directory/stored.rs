//! How the directory's records are written. Kept apart from [`super::record`], so that nothing with
//! a secret in it can be serialized by accident.

use serde::{Deserialize, Serialize};

use super::record::{Account, Alias, DeletedAccount, DkimAlgorithm, DkimKey, Domain, MailGroup, Settings};
use crate::kv::record::Record;
use crate::types::{AccountId, Address, DomainId, DomainName, Secret, Timestamp};

macro_rules! record {
    ($($name:ident = $version:literal),* $(,)?) => {
        $(impl Record for $name {
            const VERSION: u8 = $version;
        })*
    };
}
record!(
    DomainRecord = 1,
    AccountRecord = 1,
    NameRecord = 1,
    AddressRecord = 1,
    DeletedAccountRecord = 1,
    SettingsRecord = 1,
);

#[derive(Serialize, Deserialize)]
pub(super) struct DomainRecord {
    id: u64,
    name: DomainName,
    enabled: bool,
    catch_all: Option<Address>,
    contact: Option<Address>,
    quota_octets: Option<u64>,
    dkim: Vec<DkimKeyRecord>,
    created: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct DkimKeyRecord {
    selector: String,
    algorithm: DkimAlgorithm,
    private_key: Vec<u8>,
    public_key: Vec<u8>,
    created: Timestamp,
}

impl From<&Domain> for DomainRecord {
    fn from(domain: &Domain) -> Self {
        let key = |key: &DkimKey| DkimKeyRecord {
            selector: key.selector.clone(),
            algorithm: key.algorithm,
            private_key: key.private_key.expose().clone(),
            public_key: key.public_key.clone(),
            created: key.created,
        };
        Self {
            id: domain.id.0,
            name: domain.name.clone(),
            enabled: domain.enabled,
            catch_all: domain.catch_all.clone(),
            contact: domain.contact.clone(),
            quota_octets: domain.quota_octets,
            dkim: domain.dkim.iter().map(key).collect(),
            created: domain.created,
        }
    }
}

impl From<DomainRecord> for Domain {
    fn from(record: DomainRecord) -> Self {
        let key = |key: DkimKeyRecord| DkimKey {
            selector: key.selector,
            algorithm: key.algorithm,
            private_key: Secret::new(key.private_key),
            public_key: key.public_key,
            created: key.created,
        };
        Self {
            id: DomainId(record.id),
            name: record.name,
            enabled: record.enabled,
            catch_all: record.catch_all,
            contact: record.contact,
            quota_octets: record.quota_octets,
            dkim: record.dkim.into_iter().map(key).collect(),
            created: record.created,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AccountRecord {
    id: u64,
    domain: u64,
    address: Address,
    name: String,
    password_hash: Option<String>,
    quota_octets: Option<u64>,
    enabled: bool,
    forward: Vec<Address>,
    keep_copy: bool,
    mail_group: u32,
    created: Timestamp,
}

impl From<&Account> for AccountRecord {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.0,
            domain: account.domain.0,
            address: account.address.clone(),
            name: account.name.clone(),
            password_hash: account.password_hash.as_ref().map(|hash| hash.expose().clone()),
            quota_octets: account.quota_octets,
            enabled: account.enabled,
            forward: account.forward.clone(),
            keep_copy: account.keep_copy,
            mail_group: account.mail_group.0,
            created: account.created,
        }
    }
}

impl From<AccountRecord> for Account {
    fn from(record: AccountRecord) -> Self {
        Self {
            id: AccountId(record.id),
            domain: DomainId(record.domain),
            address: record.address,
            name: record.name,
            password_hash: record.password_hash.map(Secret::new),
            quota_octets: record.quota_octets,
            enabled: record.enabled,
            forward: record.forward,
            keep_copy: record.keep_copy,
            mail_group: MailGroup(record.mail_group),
            created: record.created,
        }
    }
}

/// What a domain name stands for.
#[derive(Serialize, Deserialize)]
pub(super) enum NameRecord {
    Domain(u64),
    AliasOf(u64),
}

/// What a local part stands for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum AddressRecord {
    Account(u64),
    /// The address as its maker wrote it, and the targets.
    Alias(Address, Vec<Address>),
}

impl From<&Alias> for AddressRecord {
    fn from(alias: &Alias) -> Self {
        Self::Alias(alias.address.clone(), alias.targets.clone())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DeletedAccountRecord {
    id: u64,
    domain: u64,
    address: Address,
    deleted: Timestamp,
}

impl From<&DeletedAccount> for DeletedAccountRecord {
    fn from(deleted: &DeletedAccount) -> Self {
        Self {
            id: deleted.id.0,
            domain: deleted.domain.0,
            address: deleted.address.clone(),
            deleted: deleted.deleted,
        }
    }
}

impl From<DeletedAccountRecord> for DeletedAccount {
    fn from(record: DeletedAccountRecord) -> Self {
        Self {
            id: AccountId(record.id),
            domain: DomainId(record.domain),
            address: record.address,
            deleted: record.deleted,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsRecord {
    default_domain: Option<u64>,
    postmaster: Option<Address>,
}

impl From<&Settings> for SettingsRecord {
    fn from(settings: &Settings) -> Self {
        Self {
            default_domain: settings.default_domain.map(|id| id.0),
            postmaster: settings.postmaster.clone(),
        }
    }
}

impl From<SettingsRecord> for Settings {
    fn from(record: SettingsRecord) -> Self {
        Self { default_domain: record.default_domain.map(DomainId), postmaster: record.postmaster }
    }
}
