//! Reading single things: in what the node remembers, else in the database; while the node is cut off from that, in its
//! own copy. What the copy tells may be old, so each question says what of it it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::Found;
use super::change::Touched;
use super::handle::Directory;
use super::key;
use super::record::{Account, Domain, Seen, Settings};
use super::source::Source;
use super::stored::{AccountRecord, AddressRecord, DomainRecord, NameRecord, SettingsRecord};
use crate::kv::record::Record;
use crate::types::{AccountId, Address, DomainId, DomainName};
use crate::{Error, Result};

/// One question, with all the reading that it takes.
pub(super) struct Lookup<'d> {
    pub(super) directory: &'d Directory,
    /// Some of it was told by the node's own copy.
    is_copied: AtomicBool,
}

/// While the node is cut off these tell of its own copy that something is there, never that it is not: `Unavailable`.
impl Directory {
    /// The domain of that name, also by a further name of it; enabled or not.
    pub async fn domain(&self, name: &DomainName) -> Result<Option<Arc<Domain>>> {
        let lookup = self.lookup();
        lookup.present(lookup.domain(name).await?)
    }

    /// The domain of that id.
    pub async fn domain_by_id(&self, id: DomainId) -> Result<Option<Arc<Domain>>> {
        let lookup = self.lookup();
        lookup.present(lookup.domain_by_id(id).await?)
    }

    /// The account of that id.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>> {
        let lookup = self.lookup();
        lookup.present(lookup.account(id).await?)
    }

    /// The account of that id, for who lets its sessions go on. `Unavailable` where the node is cut off for longer than
    /// it lets anyone in.
    pub async fn account_in_use(&self, id: AccountId) -> Result<Seen<Option<Arc<Account>>>> {
        let lookup = self.lookup();
        let found = lookup.account(id).await?;
        lookup.check_trust()?;
        Ok(Seen { found, is_current: lookup.is_current() })
    }

    /// The account with exactly that address, in its domain or a further name of it; no alias, no
    /// catch-all.
    pub async fn account_by_address(&self, address: &Address) -> Result<Option<Arc<Account>>> {
        let lookup = self.lookup();
        lookup.present(lookup.account_by_address(address).await?)
    }

    /// The account that somebody means who logs in: an address, or a bare name in the default domain.
    /// Disabled accounts are found too, those of disabled domains are not. `Unavailable` where the node is cut off for
    /// longer than it lets anyone in.
    pub async fn account_by_login(&self, login: &str) -> Result<Option<Arc<Account>>> {
        let lookup = self.lookup();
        let found = lookup.account_by_login(login).await?;
        lookup.check_trust()?;
        lookup.present(found)
    }

    /// What holds for the whole system; while the node is cut off, what held.
    pub async fn settings(&self) -> Result<Arc<Settings>> {
        self.lookup().settings().await
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { directory: self, is_copied: AtomicBool::new(false) }
    }
}

/// These tell what they find. Whoever asked judges by where it was found.
impl Lookup<'_> {
    /// Whether everything was told by who is current.
    pub(super) fn is_current(&self) -> bool {
        !self.is_copied.load(Ordering::Relaxed)
    }

    /// What is there. That it is not counts only if it is known to be current.
    pub(super) fn present<T>(&self, found: Option<T>) -> Result<Option<T>> {
        if found.is_none() && !self.is_current() { Err(cut_off()) } else { Ok(found) }
    }

    /// Whether anyone may be let in by what was told.
    fn check_trust(&self) -> Result<()> {
        let shared = &self.directory.shared;
        let is_trusted = self.is_current() || shared.cache.age() < shared.config.cut_off_trusted;
        if is_trusted { Ok(()) } else { Err(cut_off()) }
    }

    async fn find<F>(&self, key: Touched, read: impl FnOnce(Source) -> F) -> Result<Found>
    where
        F: Future<Output = Result<Found>>,
    {
        let shared = &self.directory.shared;
        let copy = if shared.cache.is_cut_off() { shared.database.copy() } else { None };
        let Some(copy) = copy else {
            let read = || read(Source::Database(shared.database.clone()));
            return shared.cache.find(key, read).await;
        };
        if let Some(found) = shared.cache.told(&key) {
            return Ok(found);
        }
        // Not remembered: the follower may have taken in what the copy does not have yet, and would never touch it again.
        self.is_copied.store(true, Ordering::Relaxed);
        read(Source::Copy(copy)).await
    }

    pub(super) async fn domain(&self, name: &DomainName) -> Result<Option<Arc<Domain>>> {
        match self.domain_id(name).await? {
            Some(id) => self.domain_by_id(id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn domain_by_id(&self, id: DomainId) -> Result<Option<Arc<Domain>>> {
        let read = async |source: Source| {
            let Some(value) = source.value(&key::domain(id)).await? else { return Ok(Found::Nothing) };
            Ok(Found::Domain(Arc::new(DomainRecord::decode(&value)?.into())))
        };
        match self.find(Touched::Domain(id), read).await? {
            Found::Domain(domain) => Ok(Some(domain)),
            _ => Ok(None),
        }
    }

    pub(super) async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>> {
        let read = async |source: Source| {
            let Some(value) = source.value(&key::account(id)).await? else { return Ok(Found::Nothing) };
            Ok(Found::Account(Arc::new(AccountRecord::decode(&value)?.into())))
        };
        match self.find(Touched::Account(id), read).await? {
            Found::Account(account) => Ok(Some(account)),
            _ => Ok(None),
        }
    }

    async fn account_by_address(&self, address: &Address) -> Result<Option<Arc<Account>>> {
        let Some(domain) = self.domain_id(address.domain()).await? else { return Ok(None) };
        let record = self.address_record(domain, key::folded(address.local_part())).await?;
        match record.as_deref() {
            Some(AddressRecord::Account(id)) => self.account(AccountId(*id)).await,
            _ => Ok(None),
        }
    }

    async fn account_by_login(&self, login: &str) -> Result<Option<Arc<Account>>> {
        let address = match login.rsplit_once('@') {
            Some(_) => login.parse().ok(),
            None => self.in_default_domain(login).await?,
        };
        let Some(address) = address else { return Ok(None) };
        let Some(account) = self.account_by_address(&address).await? else { return Ok(None) };
        let domain = self.domain_by_id(account.domain).await?;
        Ok(domain.is_some_and(|domain| domain.enabled).then_some(account))
    }

    async fn in_default_domain(&self, local_part: &str) -> Result<Option<Address>> {
        let Some(id) = self.settings().await?.default_domain else { return Ok(None) };
        let domain = self.domain_by_id(id).await?;
        Ok(domain.and_then(|domain| Address::new(local_part, domain.name.clone()).ok()))
    }

    pub(super) async fn settings(&self) -> Result<Arc<Settings>> {
        let read = async |source: Source| {
            let settings = match source.value(&key::settings()).await? {
                Some(value) => SettingsRecord::decode(&value)?.into(),
                None => Settings::default(),
            };
            Ok(Found::Settings(Arc::new(settings)))
        };
        match self.find(Touched::Settings, read).await? {
            Found::Settings(settings) => Ok(settings),
            _ => Err(Error::Corrupt("directory settings".into())),
        }
    }

    /// The id of the domain that the name is, or is a further name of.
    pub(super) async fn domain_id(&self, name: &DomainName) -> Result<Option<DomainId>> {
        let read = async |source: Source| {
            let Some(value) = source.value(&key::name(name)).await? else { return Ok(Found::Nothing) };
            let (NameRecord::Domain(id) | NameRecord::AliasOf(id)) = NameRecord::decode(&value)?;
            Ok(Found::Name(DomainId(id)))
        };
        match self.find(Touched::Name(name.clone()), read).await? {
            Found::Name(id) => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    /// What the folded local part stands for.
    pub(super) async fn address_record(
        &self,
        domain: DomainId,
        local_part: String,
    ) -> Result<Option<Arc<AddressRecord>>> {
        let at = key::address(domain, &local_part);
        let read = async |source: Source| {
            let Some(value) = source.value(&at).await? else { return Ok(Found::Nothing) };
            Ok(Found::Address(Arc::new(AddressRecord::decode(&value)?)))
        };
        match self.find(Touched::Address(domain, local_part), read).await? {
            Found::Address(record) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// The oldest account of the domain.
    pub(super) async fn eldest(&self, domain: DomainId) -> Result<Option<Arc<Account>>> {
        let read = async |source: Source| match source.first_key(key::members(domain)).await? {
            Some(member) => Ok(Found::Eldest(key::read_member(&member)?)),
            None => Ok(Found::Nothing),
        };
        match self.find(Touched::Members(domain), read).await? {
            Found::Eldest(id) => self.account(id).await,
            _ => Ok(None),
        }
    }
}

/// What is asked may have changed elsewhere since.
pub(super) fn cut_off() -> Error {
    Error::Unavailable("this node is cut off from the directory".into())
}
