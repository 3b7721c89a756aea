//! What goes over the wire, both ways. No secret is in any answer but a token
//! that was just made. Octets and milliseconds are numbers.

mod cluster;
mod import;
mod in_force;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sterna_storage::directory::{Account, Alias, DkimAlgorithm, DkimKey, Domain, Settings};
use sterna_storage::types::{Address, DomainName, Timestamp};

pub use cluster::{ClusterView, GroupView, NewTokenView, NodeView, TokenView};
pub use import::{ImportView, ImportedAccountView, RefusedView};
pub use in_force::{Changed, DeletedView, Gone, InForceView, NotYetView};

/// Part of a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items in order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a listing is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Where the last page ended.
    pub after: Option<String>,
    /// Most items, up to 1,000.
    pub limit: Option<usize>,
}

/// A domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainView {
    /// Its name.
    pub name: DomainName,
    /// Whether it takes mail and logins.
    pub enabled: bool,
    /// Where mail to unknown addresses goes.
    pub catch_all: Option<Address>,
    /// Who gets `postmaster@` and `abuse@`.
    pub contact: Option<Address>,
    /// Most octets of all its accounts.
    pub quota_octets: Option<u64>,
    /// Its signing keys, without what is private.
    pub dkim: Vec<DkimView>,
    /// When it was made, in milliseconds since 1970.
    pub created: Timestamp,
}

/// A DKIM key, without what is private.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DkimView {
    /// The label below `_domainkey`.
    pub selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// When it was made.
    pub created: Timestamp,
}

impl From<&DkimKey> for DkimView {
    fn from(key: &DkimKey) -> Self {
        let algorithm = key.algorithm.as_str().to_owned();
        Self { selector: key.selector.clone(), algorithm, created: key.created }
    }
}

impl From<&Arc<Domain>> for DomainView {
    fn from(domain: &Arc<Domain>) -> Self {
        Self {
            name: domain.name.clone(),
            enabled: domain.enabled,
            catch_all: domain.catch_all.clone(),
            contact: domain.contact.clone(),
            quota_octets: domain.quota_octets,
            dkim: domain.dkim.iter().map(Into::into).collect(),
            created: domain.created,
        }
    }
}

/// A domain to be made. Signing keys are generated with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomainView {
    /// Its name.
    pub name: DomainName,
    /// Where mail to unknown addresses goes.
    #[serde(default)]
    pub catch_all: Option<Address>,
    /// Who gets `postmaster@` and `abuse@`.
    #[serde(default)]
    pub contact: Option<Address>,
    /// Most octets of all its accounts.
    #[serde(default)]
    pub quota_octets: Option<u64>,
}

/// What of a domain changes: what is absent stays, `null` takes away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainChange {
    /// Whether it takes mail and logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where mail to unknown addresses goes.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<Option<Address>>,
    /// Who gets `postmaster@` and `abuse@`.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub contact: Option<Option<Address>>,
    /// Most octets of all its accounts.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub quota_octets: Option<Option<u64>>,
}

/// A signing key to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDkimView {
    /// The label below `_domainkey`.
    pub selector: String,
    /// What it signs with.
    pub algorithm: AlgorithmView,
}

/// What a DKIM key signs with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AlgorithmView {
    /// RSA of 2048 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl From<AlgorithmView> for DkimAlgorithm {
    fn from(algorithm: AlgorithmView) -> Self {
        match algorithm {
            AlgorithmView::Rsa => Self::RsaSha256,
            AlgorithmView::Ed25519 => Self::Ed25519Sha256,
        }
    }
}

/// A DNS record to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Where, without a trailing dot.
    pub name: String,
    /// `MX`, `TXT`, `SRV`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long it may be remembered.
    pub ttl_seconds: u32,
    /// Its value in the form of a zone file, without quotes around text.
    pub value: String,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountView {
    /// Never used again.
    pub id: u64,
    /// Its address and login.
    pub address: Address,
    /// The person's name.
    pub name: String,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether it has a password.
    pub has_password: bool,
    /// Most octets it may hold.
    pub quota_octets: Option<u64>,
    /// Where its mail is sent on to.
    pub forward: Vec<Address>,
    /// Whether mail that is sent on is kept as well.
    pub keep_copy: bool,
    /// When it was made, in milliseconds since 1970.
    pub created: Timestamp,
}

impl From<&Arc<Account>> for AccountView {
    fn from(account: &Arc<Account>) -> Self {
        Self {
            id: account.id.0,
            address: account.address.clone(),
            name: account.name.clone(),
            enabled: account.enabled,
            has_password: account.password_hash.is_some(),
            quota_octets: account.quota_octets,
            forward: account.forward.clone(),
            keep_copy: account.keep_copy,
            created: account.created,
        }
    }
}

/// An account, and what it holds now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountDetails {
    /// The account.
    #[serde(flatten)]
    pub account: AccountView,
    /// Octets of all its messages, as its quota counts them.
    pub used_octets: u64,
    /// Its messages.
    pub messages: u64,
}

/// An account to be made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccountView {
    /// Its address; the domain must exist.
    pub address: Address,
    /// The person's name.
    #[serde(default)]
    pub name: String,
    /// Its password; absent: no login yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// In place of a password: its hash, a PHC string of an argon2 kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Most octets it may hold.
    #[serde(default)]
    pub quota_octets: Option<u64>,
}

/// What of an account changes: what is absent stays, `null` takes away.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountChange {
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it may log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The password.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub password: Option<Option<String>>,
    /// Most octets it may hold.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub quota_octets: Option<Option<u64>>,
    /// Where its mail is sent on to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<Vec<Address>>,
    /// Whether mail that is sent on is kept as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_copy: Option<bool>,
}

/// An alias.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasView {
    /// The address.
    pub address: Address,
    /// Where its mail goes.
    pub targets: Vec<Address>,
}

impl From<Alias> for AliasView {
    fn from(alias: Alias) -> Self {
        Self { address: alias.address, targets: alias.targets }
    }
}

impl From<AliasView> for Alias {
    fn from(view: AliasView) -> Self {
        Self { address: view.address, targets: view.targets }
    }
}

/// A further name of a domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasDomainView {
    /// The further name.
    pub name: DomainName,
    /// The domain.
    pub target: DomainName,
}

/// What holds for the whole system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettingsView {
    /// Where logins without `@` are looked up.
    pub default_domain: Option<DomainName>,
    /// Who gets mail to the bare `<postmaster>`.
    pub postmaster: Option<Address>,
}

impl SettingsView {
    /// With the default domain's name.
    pub fn new(settings: &Settings, default_domain: Option<DomainName>) -> Self {
        Self { default_domain, postmaster: settings.postmaster.clone() }
    }
}

/// What of the settings changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// Where logins without `@` are looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_domain: Option<DomainName>,
    /// Who gets mail to the bare `<postmaster>`.
    #[serde(with = "given", skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<Option<Address>>,
}

/// Where mail to an address goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolutionView {
    /// Whether the domain is here.
    pub local: bool,
    /// Accounts that receive it.
    pub accounts: Vec<Address>,
    /// Addresses elsewhere to which it is sent on.
    pub forwards: Vec<Address>,
}

/// A message on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueView {
    /// As the `250` reply told.
    pub id: String,
    /// When it was accepted, in milliseconds since 1970.
    pub created: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// Its length.
    pub size_octets: u64,
    /// `waiting`, `active` (a worker has it) or `held`.
    pub state: String,
    /// Whom reports go to; `None` for the null sender.
    pub sender: Option<String>,
    /// All recipients, also those that are done.
    pub recipients: Vec<RecipientView>,
}

/// A recipient of a message on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecipientView {
    /// The address.
    pub address: String,
    /// `pending`, `delivered`, `relayed to HOST` or `failed`.
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// Not tried before.
    pub next_attempt: Timestamp,
    /// What the last attempt ended with, if not with success.
    pub last_failure: Option<FailureView>,
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailureView {
    /// When.
    pub at: Timestamp,
    /// Enhanced status, as in `4.4.1`.
    pub status: String,
    /// The other server's words, or ours.
    pub text: String,
    /// The other server.
    pub host: Option<String>,
}

/// How many messages are on their way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CountsView {
    /// All.
    pub entries: u64,
    /// Those that a worker has now.
    pub claimed: u64,
    /// Those that are held.
    pub held: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Timestamp>,
}

/// Message bodies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BodiesView {
    /// Where they lie.
    pub store: String,
    /// Whether that does not answer.
    pub away: bool,
    /// Bodies that wait to be packed.
    pub staged: u64,
    /// Their octets, compressed.
    pub staged_octets: u64,
    /// What this node asked since it started.
    pub requests: Vec<RequestsView>,
    /// What that would cost at the list price of S3 Standard, in millionths of a dollar; storage and traffic apart.
    pub cost_microdollars: u64,
}

/// Requests of one kind to the object store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestsView {
    /// put, part, multipart, get, head, list, delete.
    pub kind: String,
    /// Requests sent, repeated ones counted each time.
    pub requests: u64,
    /// Those that got no answer, or one from 500 on.
    pub faults: u64,
    /// Octets sent with them.
    pub sent_octets: u64,
    /// Octets received.
    pub received_octets: u64,
}

/// How a verification of bodies ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyView {
    /// Bodies looked at.
    pub bodies: u64,
    /// Their octets before compression.
    pub octets: u64,
    /// Those that wait to be packed.
    pub staged: u64,
    /// References looked at.
    pub references: u64,
    /// Objects looked at.
    pub objects: u64,
    /// All that is wrong.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<String>,
}

/// One line of a long answer (NDJSON).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress<T> {
    /// So many things are done.
    Done(u64),
    /// The end: what came of it.
    Result(T),
    /// The end: it failed.
    Error(ErrorView),
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorView {
    /// What the caller can do about it: `not_found`, `exists`, `invalid`, `too_large`, `unauthorized`,
    /// `unavailable`, `internal`.
    pub kind: String,
    /// For people.
    pub message: String,
}

/// Tells `null` from absent.
mod given {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}
