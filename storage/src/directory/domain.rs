//! Domains and their further names.

use std::sync::Arc;

use parking_lot::Mutex;

use super::change::{self, Touched};
use super::handle::{Directory, encode_bounded, settings_in};
use super::key;
use super::record::{AliasDomain, DkimKey, Domain, Page};
use super::stored::{DomainRecord, NameRecord, SettingsRecord};
use crate::kv::record::Record;
use crate::kv::{RangeOptions, Transaction};
use crate::types::{Address, DomainId, DomainName, Timestamp};
use crate::{Error, Result, limits};

/// What a new domain starts with.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Its name.
    pub name: DomainName,
    /// See [`Domain::catch_all`].
    pub catch_all: Option<Address>,
    /// See [`Domain::contact`].
    pub contact: Option<Address>,
    /// See [`Domain::quota_octets`].
    pub quota_octets: Option<u64>,
    /// See [`Domain::dkim`].
    pub dkim: Vec<DkimKey>,
}

impl NewDomain {
    /// With nothing but a name.
    pub fn named(name: DomainName) -> Self {
        Self { name, catch_all: None, contact: None, quota_octets: None, dkim: Vec::new() }
    }
}

impl Directory {
    /// Makes a domain. The first one becomes the default for bare login names. `Exists` if the name is a
    /// domain or a further name of one.
    pub async fn create_domain(&self, new: NewDomain) -> Result<Arc<Domain>> {
        let domain = Domain {
            id: DomainId(self.new_id().await?),
            name: new.name,
            enabled: true,
            catch_all: new.catch_all,
            contact: new.contact,
            quota_octets: new.quota_octets,
            dkim: new.dkim,
            created: Timestamp::now(),
        };
        check(&domain)?;
        let value = encode_bounded(&DomainRecord::from(&domain))?;
        let id = domain.id;
        self.change(async |tx| {
            claim_name(tx, &domain.name, &NameRecord::Domain(id.0)).await?;
            tx.set(key::domain(id), value.clone());
            let mut touched = vec![Touched::Name(domain.name.clone()), Touched::Domain(id)];
            let mut settings = settings_in(tx).await?;
            if settings.default_domain.is_none() {
                settings.default_domain = Some(id);
                tx.set(key::settings(), SettingsRecord::from(&settings).encode());
                touched.push(Touched::Settings);
            }
            change::record(tx, touched).await
        })
        .await?;
        Ok(Arc::new(domain))
    }

    /// Changes a domain. Id, name and time of making stay whatever `update` does to them.
    pub async fn update_domain(
        &self,
        name: &DomainName,
        update: impl Fn(&mut Domain) -> Result<()> + Send + Sync,
    ) -> Result<Arc<Domain>> {
        self.change(async |tx| {
            let id = domain_in(tx, name).await?;
            let value = tx.get(&key::domain(id)).await?.ok_or_else(|| missing(name))?;
            let before: Domain = DomainRecord::decode(&value)?.into();
            let mut domain = before.clone();
            update(&mut domain)?;
            (domain.id, domain.name, domain.created) = (before.id, before.name, before.created);
            check(&domain)?;
            tx.set(key::domain(id), encode_bounded(&DomainRecord::from(&domain))?);
            change::record(tx, vec![Touched::Domain(id)]).await
        })
        .await?;
        self.domain(name).await?.ok_or_else(|| missing(name))
    }

    /// Deletes a domain with its aliases and further names. `Invalid` while it has accounts: they are
    /// deleted first, so that nobody's mail goes by a slip. Its id is kept among
    /// [`Directory::deleted_domains`] until what was sealed under it is gone.
    pub async fn delete_domain(&self, name: &DomainName) -> Result<()> {
        let deleted = Mutex::new(None);
        self.change(async |tx| {
            let id = domain_in(tx, name).await?;
            let one = RangeOptions { limit: Some(1), ..RangeOptions::default() };
            if tx.range(key::members(id), one).next().await?.is_some() {
                return Err(Error::Invalid(format!("domain {name} still has accounts").into()));
            }
            let mut touched = vec![Touched::Name(name.clone()), Touched::Domain(id)];
            for (entry, _) in tx.range(key::further_names(id), RangeOptions::default()).collect().await? {
                let further = key::read_further_name(&entry)?;
                tx.clear(key::name(&further));
                touched.push(Touched::Name(further));
            }
            tx.clear_range(key::further_names(id));
            tx.clear(key::name(name));
            tx.clear(key::domain(id));
            tx.set(key::deleted_domain(id), tx.now().await?.as_millis().to_be_bytes().to_vec());
            let mut settings = settings_in(tx).await?;
            if settings.default_domain == Some(id) {
                settings.default_domain = None;
                tx.set(key::settings(), SettingsRecord::from(&settings).encode());
                touched.push(Touched::Settings);
            }
            *deleted.lock() = Some(id);
            change::record(tx, touched).await
        })
        .await?;
        // They may be more than one transaction can clear. Nobody finds them any more, and none are added.
        let deleted = deleted.into_inner().expect("set by the transaction");
        if let Err(error) = self.clear_addresses(deleted).await {
            tracing::warn!(%error, domain = %name, "addresses of a deleted domain are left for later");
        }
        Ok(())
    }

    async fn clear_addresses(&self, id: DomainId) -> Result<()> {
        self.shared.database.clear_in_steps(key::addresses(id, None)).await
    }

    /// Domains in order of their names, those after `after`.
    pub async fn domains(&self, after: Option<&DomainName>, limit: usize) -> Result<Page<Arc<Domain>>> {
        self.page(key::names(after), limit, async |tx, entry, value| {
            let NameRecord::Domain(id) = NameRecord::decode(value)? else { return Ok(None) };
            let Some(value) = tx.get_snapshot(&key::domain(DomainId(id))).await? else { return Ok(None) };
            let domain = Arc::new(DomainRecord::decode(&value)?.into());
            Ok(Some((key::read_name(entry)?.to_string(), domain)))
        })
        .await
    }

    /// Gives a domain a further name. `Exists` if that is a domain or a further name already.
    pub async fn create_alias_domain(&self, name: &DomainName, target: &DomainName) -> Result<AliasDomain> {
        self.change(async |tx| {
            let id = domain_in(tx, target).await?;
            let options = RangeOptions { limit: Some(limits::FURTHER_NAMES), ..RangeOptions::default() };
            if tx.range(key::further_names(id), options).collect().await?.len() >= limits::FURTHER_NAMES {
                let most = limits::FURTHER_NAMES;
                return Err(Error::TooLarge(format!("{target} has {most} further names").into()));
            }
            claim_name(tx, name, &NameRecord::AliasOf(id.0)).await?;
            tx.set(key::further_name(id, name), bytes::Bytes::new());
            change::record(tx, vec![Touched::Name(name.clone())]).await
        })
        .await?;
        let target = self.lookup().domain_id(name).await?.ok_or_else(|| missing(name))?;
        Ok(AliasDomain { name: name.clone(), target })
    }

    /// Takes a further name away.
    pub async fn delete_alias_domain(&self, name: &DomainName) -> Result<()> {
        self.change(async |tx| {
            let value = tx.get(&key::name(name)).await?.ok_or_else(|| missing(name))?;
            let NameRecord::AliasOf(id) = NameRecord::decode(&value)? else {
                return Err(Error::Invalid(format!("{name} is a domain, no further name of one").into()));
            };
            tx.clear(key::name(name));
            tx.clear(key::further_name(DomainId(id), name));
            change::record(tx, vec![Touched::Name(name.clone())]).await
        })
        .await
    }

    /// Further names of all domains in order, those after `after`.
    pub async fn alias_domains(&self, after: Option<&DomainName>, limit: usize) -> Result<Page<AliasDomain>> {
        self.page(key::names(after), limit, async |_, entry, value| {
            let NameRecord::AliasOf(id) = NameRecord::decode(value)? else { return Ok(None) };
            let name = key::read_name(entry)?;
            Ok(Some((name.to_string(), AliasDomain { name, target: DomainId(id) })))
        })
        .await
    }

    /// Domains that were deleted and whose key may still be needed, and since when.
    pub async fn deleted_domains(&self) -> Result<Vec<(DomainId, Timestamp)>> {
        let mut tx = self.shared.database.begin();
        let limit = Some(limits::DIRECTORY_PAGE_ITEMS);
        let options = RangeOptions { limit, snapshot: true, ..RangeOptions::default() };
        let entries = tx.range(key::deleted_domains(), options).collect().await?;
        let read = |(entry, value): &(bytes::Bytes, bytes::Bytes)| {
            let since = value.as_ref().try_into().map(i64::from_be_bytes);
            let since = since.map_err(|_| Error::Corrupt("time of a deleted domain".into()))?;
            Ok((key::read_deleted_domain(entry)?, Timestamp::from_millis(since)))
        };
        entries.iter().map(read).collect()
    }

    /// Ends the record of a deleted domain: nothing of it is left.
    pub async fn forget_deleted_domain(&self, id: DomainId) -> Result<()> {
        self.clear_addresses(id).await?;
        self.shared
            .database
            .run(async |tx| {
                tx.clear(key::deleted_domain(id));
                Ok(())
            })
            .await
    }
}

/// The id of the domain of exactly that name. Conflicts with its deletion.
pub(super) async fn domain_in(tx: &mut Transaction, name: &DomainName) -> Result<DomainId> {
    let value = tx.get(&key::name(name)).await?.ok_or_else(|| missing(name))?;
    match NameRecord::decode(&value)? {
        NameRecord::Domain(id) => Ok(DomainId(id)),
        NameRecord::AliasOf(_) => {
            Err(Error::Invalid(format!("{name} is a further name of another domain: name that one").into()))
        }
    }
}

async fn claim_name(tx: &mut Transaction, name: &DomainName, record: &NameRecord) -> Result<()> {
    let at = key::name(name);
    if tx.get(&at).await?.is_some() {
        return Err(Error::Exists(format!("domain {name}").into()));
    }
    tx.set(at, record.encode());
    Ok(())
}

fn check(domain: &Domain) -> Result<()> {
    if domain.dkim.len() > limits::DKIM_KEYS {
        let (is, most) = (domain.dkim.len(), limits::DKIM_KEYS);
        return Err(Error::TooLarge(format!("{is} DKIM keys, at most {most}").into()));
    }
    let mut selectors: Vec<&str> = domain.dkim.iter().map(|key| key.selector.as_str()).collect();
    selectors.sort_unstable();
    if selectors.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Exists("DKIM key of that selector".into()));
    }
    // A selector is sub-domain labels (RFC 6376 §3.1), so that its record can be published.
    match selectors.iter().find(|selector| selector.parse::<DomainName>().is_err()) {
        Some(selector) => Err(Error::Invalid(format!("DKIM selector {selector:?}").into())),
        None => Ok(()),
    }
}

fn missing(name: &DomainName) -> Error {
    Error::NotFound(format!("domain {name}").into())
}
