//! Aliases: addresses whose mail goes to others.

use super::account::{check_targets, claim_address};
use super::change::{self, Touched};
use super::domain::domain_in;
use super::handle::{Directory, encode_bounded};
use super::key;
use super::record::{Alias, Page};
use super::stored::AddressRecord;
use crate::kv::Transaction;
use crate::kv::record::Record;
use crate::types::{Address, DomainId, DomainName};
use crate::{Error, Result};

impl Directory {
    /// Makes an alias. `Exists` if the address is an account or alias already.
    pub async fn create_alias(&self, alias: &Alias) -> Result<()> {
        check(alias)?;
        self.change(async |tx| {
            let domain = domain_in(tx, alias.address.domain()).await?;
            let touched = claim_address(tx, domain, &alias.address, &AddressRecord::from(alias)).await?;
            change::record(tx, vec![touched]).await
        })
        .await
    }

    /// Gives an alias other targets.
    pub async fn update_alias(&self, alias: &Alias) -> Result<()> {
        check(alias)?;
        self.change(async |tx| {
            let domain = existing(tx, &alias.address).await?;
            let value = encode_bounded(&AddressRecord::from(alias))?;
            tx.set(key::address_of(domain, &alias.address), value);
            change::record(tx, vec![Touched::Address(domain, key::folded(alias.address.local_part()))]).await
        })
        .await
    }

    /// Deletes an alias.
    pub async fn delete_alias(&self, address: &Address) -> Result<()> {
        self.change(async |tx| {
            let domain = existing(tx, address).await?;
            tx.clear(key::address_of(domain, address));
            change::record(tx, vec![Touched::Address(domain, key::folded(address.local_part()))]).await
        })
        .await
    }

    /// The alias with exactly that address, in its domain or a further name of it.
    pub async fn alias(&self, address: &Address) -> Result<Option<Alias>> {
        let lookup = self.lookup();
        let record = match lookup.domain_id(address.domain()).await? {
            Some(domain) => lookup.address_record(domain, key::folded(address.local_part())).await?,
            None => None,
        };
        lookup.present(match record.as_deref() {
            Some(AddressRecord::Alias(address, targets)) => {
                Some(Alias { address: address.clone(), targets: targets.clone() })
            }
            _ => None,
        })
    }

    /// The aliases of a domain in order of their local parts, those after the (folded) `after`.
    pub async fn aliases(
        &self,
        domain: &DomainName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Alias>> {
        let id = domain_in(&mut self.shared.database.begin(), domain).await?;
        self.page(key::addresses(id, after), limit, async |_, entry, value| {
            let AddressRecord::Alias(address, targets) = AddressRecord::decode(value)? else {
                return Ok(None);
            };
            Ok(Some((key::read_local_part(entry)?, Alias { address, targets })))
        })
        .await
    }
}

/// The domain of an alias that exists.
async fn existing(tx: &mut Transaction, address: &Address) -> Result<DomainId> {
    let domain = domain_in(tx, address.domain()).await?;
    match tx.get(&key::address_of(domain, address)).await? {
        None => Err(Error::NotFound(format!("alias {address}").into())),
        Some(value) => match AddressRecord::decode(&value)? {
            AddressRecord::Alias(..) => Ok(domain),
            AddressRecord::Account(_) => Err(Error::Invalid(format!("{address} is an account").into())),
        },
    }
}

fn check(alias: &Alias) -> Result<()> {
    if alias.targets.is_empty() {
        return Err(Error::Invalid("an alias needs a target".into()));
    }
    check_targets(&alias.address, &alias.targets)
}
