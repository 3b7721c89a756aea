//! Reading single things, through what the node remembers.

use std::sync::Arc;

use super::cache::Found;
use super::change::Touched;
use super::handle::Directory;
use super::key;
use super::record::{Account, Domain, Settings};
use super::stored::{AccountRecord, AddressRecord, DomainRecord, NameRecord, SettingsRecord};
use crate::kv::RangeOptions;
use crate::kv::record::Record;
use crate::types::{AccountId, Address, DomainId, DomainName};
use crate::{Error, Result};

impl Directory {
    /// The domain of that name, also by a further name of it; enabled or not.
    pub async fn domain(&self, name: &DomainName) -> Result<Option<Arc<Domain>>> {
        match self.domain_id(name).await? {
            Some(id) => self.domain_by_id(id).await,
            None => Ok(None),
        }
    }

    /// Whether mail to this domain (or further name of one) is this system's own.
    pub async fn is_local_domain(&self, name: &DomainName) -> Result<bool> {
        Ok(self.domain_id(name).await?.is_some())
    }

    /// The domain of that id.
    pub async fn domain_by_id(&self, id: DomainId) -> Result<Option<Arc<Domain>>> {
        let read = async || {
            let value = self.value(&key::domain(id)).await?;
            let Some(value) = value else { return Ok(Found::Nothing) };
            Ok(Found::Domain(Arc::new(DomainRecord::decode(&value)?.into())))
        };
        match self.shared.cache.find(Touched::Domain(id), read).await? {
            Found::Domain(domain) => Ok(Some(domain)),
            _ => Ok(None),
        }
    }

    /// The account of that id.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>> {
        let read = async || {
            let value = self.value(&key::account(id)).await?;
            let Some(value) = value else { return Ok(Found::Nothing) };
            Ok(Found::Account(Arc::new(AccountRecord::decode(&value)?.into())))
        };
        match self.shared.cache.find(Touched::Account(id), read).await? {
            Found::Account(account) => Ok(Some(account)),
            _ => Ok(None),
        }
    }

    /// The account with exactly that address, in its domain or a further name of it; no alias, no
    /// catch-all.
    pub async fn account_by_address(&self, address: &Address) -> Result<Option<Arc<Account>>> {
        let Some(domain) = self.domain_id(address.domain()).await? else { return Ok(None) };
        let record = self.address_record(domain, key::folded(address.local_part())).await?;
        match record.as_deref() {
            Some(AddressRecord::Account(id)) => self.account(AccountId(*id)).await,
            _ => Ok(None),
        }
    }

    /// The account that somebody means who logs in: an address, or a bare name in the default domain.
    /// Disabled accounts are found too, those of disabled domains are not.
    pub async fn account_by_login(&self, login: &str) -> Result<Option<Arc<Account>>> {
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

    /// What holds for the whole system.
    pub async fn settings(&self) -> Result<Arc<Settings>> {
        let read = async || {
            let settings = match self.value(&key::settings()).await? {
                Some(value) => SettingsRecord::decode(&value)?.into(),
                None => Settings::default(),
            };
            Ok(Found::Settings(Arc::new(settings)))
        };
        match self.shared.cache.find(Touched::Settings, read).await? {
            Found::Settings(settings) => Ok(settings),
            _ => Err(Error::Corrupt("directory settings".into())),
        }
    }

    /// The id of the domain that the name is, or is a further name of.
    pub(super) async fn domain_id(&self, name: &DomainName) -> Result<Option<DomainId>> {
        let read = async || {
            let value = self.value(&key::name(name)).await?;
            let Some(value) = value else { return Ok(Found::Nothing) };
            let (NameRecord::Domain(id) | NameRecord::AliasOf(id)) = NameRecord::decode(&value)?;
            Ok(Found::Name(DomainId(id)))
        };
        match self.shared.cache.find(Touched::Name(name.clone()), read).await? {
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
        let read = async || {
            let value = self.value(&at).await?;
            let Some(value) = value else { return Ok(Found::Nothing) };
            Ok(Found::Address(Arc::new(AddressRecord::decode(&value)?)))
        };
        match self.shared.cache.find(Touched::Address(domain, local_part), read).await? {
            Found::Address(record) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// The oldest account of the domain.
    pub(super) async fn eldest(&self, domain: DomainId) -> Result<Option<Arc<Account>>> {
        let read = async || {
            let mut tx = self.shared.database.begin();
            let options = RangeOptions { limit: Some(1), snapshot: true, ..RangeOptions::default() };
            match tx.range(key::members(domain), options).next().await? {
                Some((member, _)) => Ok(Found::Eldest(key::read_member(&member)?)),
                None => Ok(Found::Nothing),
            }
        };
        match self.shared.cache.find(Touched::Members(domain), read).await? {
            Found::Eldest(id) => self.account(id).await,
            _ => Ok(None),
        }
    }

    async fn value(&self, key: &[u8]) -> Result<Option<bytes::Bytes>> {
        self.shared.database.begin().get_snapshot(key).await
    }
}
