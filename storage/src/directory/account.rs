//! Accounts.

use std::sync::Arc;

use super::change::{self, Touched};
use super::domain::domain_in;
use super::handle::{Directory, encode_bounded};
use super::key;
use super::record::{Account, DeletedAccount, MailGroup, Page};
use super::stored::{AccountRecord, AddressRecord, DeletedAccountRecord};
use crate::kv::record::Record;
use crate::kv::{RangeOptions, Transaction};
use crate::types::{AccountId, Address, DomainId, DomainName, Secret, Timestamp};
use crate::{Error, Result, limits};

/// What a new account starts with.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its address; the domain must be one of the directory.
    pub address: Address,
    /// See [`Account::name`].
    pub name: String,
    /// See [`Account::password_hash`].
    pub password_hash: Option<Secret<String>>,
    /// See [`Account::quota_octets`].
    pub quota_octets: Option<u64>,
}

impl NewAccount {
    /// With nothing but an address.
    pub fn at(address: Address) -> Self {
        Self { address, name: String::new(), password_hash: None, quota_octets: None }
    }

    pub(super) fn made(self, id: AccountId, domain: DomainId) -> Account {
        let Self { address, name, password_hash, quota_octets } = self;
        Account {
            id,
            domain,
            address,
            name,
            password_hash,
            quota_octets,
            enabled: true,
            forward: Vec::new(),
            keep_copy: true,
            mail_group: MailGroup::default(),
            created: Timestamp::now(),
        }
    }
}

impl Directory {
    /// Makes an account. `first` makes what belongs to it in other stores (its mailboxes), which may be other groups: an
    /// account that can be found has them. Where it says `Exists`, the id has belonged to somebody (the groups were restored
    /// as of different moments), and another is taken. `Exists` if the address is an account or alias already. Who ends
    /// between the two leaves mailboxes behind that nobody can reach: their id is not given again.
    pub async fn create_account<F>(
        &self,
        new: NewAccount,
        first: impl Fn(AccountId, DomainId) -> F + Send,
    ) -> Result<Arc<Account>>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let domain = self.shared.database.run(async |tx| free_in(tx, &new.address).await).await?;
        let mut account = new.made(AccountId(self.new_id().await?), domain);
        check(&account)?;
        let mut tried = 1;
        while let Err(error) = first(account.id, domain).await {
            if !matches!(error, Error::Exists(_)) || tried == limits::DIRECTORY_IDS_TAKEN {
                return Err(error);
            }
            account.id = AccountId(self.new_id().await?);
            tried += 1;
        }
        let id = account.id;
        self.change(async |tx| {
            let [address, record] = put(tx, &account).await?;
            change::record(tx, vec![address, record, Touched::Members(domain)]).await
        })
        .await?;
        self.account(id).await?.ok_or_else(|| missing(&account.address))
    }

    /// Changes an account. Id, domain, address, group and time of making stay whatever `update` does to
    /// them.
    pub async fn update_account(
        &self,
        id: AccountId,
        update: impl Fn(&mut Account) -> Result<()> + Send + Sync,
    ) -> Result<Arc<Account>> {
        let missing = || Error::NotFound(format!("account {id}").into());
        self.change(async |tx| {
            let value = tx.get(&key::account(id)).await?.ok_or_else(missing)?;
            let before: Account = AccountRecord::decode(&value)?.into();
            let mut account = before.clone();
            update(&mut account)?;
            account.id = before.id;
            account.domain = before.domain;
            account.address = before.address;
            account.mail_group = before.mail_group;
            account.created = before.created;
            check(&account)?;
            tx.set(key::account(id), encode_bounded(&AccountRecord::from(&account))?);
            change::record(tx, vec![Touched::Account(id)]).await
        })
        .await?;
        self.account(id).await?.ok_or_else(missing)
    }

    /// Deletes an account: from now on it takes no mail and no logins, and its address is free. Its mail
    /// is removed later; until then it is among [`Directory::deleted_accounts`].
    pub async fn delete_account(&self, id: AccountId) -> Result<()> {
        self.change(async |tx| {
            let missing = || Error::NotFound(format!("account {id}").into());
            let value = tx.get(&key::account(id)).await?.ok_or_else(missing)?;
            let account: Account = AccountRecord::decode(&value)?.into();
            let (domain, address) = (account.domain, account.address);
            tx.clear(key::account(id));
            tx.clear(key::address_of(domain, &address));
            tx.clear(key::member(domain, id));
            let touched = Touched::Address(domain, key::folded(address.local_part()));
            let deleted = DeletedAccount { id, domain, address, deleted: tx.now().await? };
            tx.set(key::deleted_account(id), DeletedAccountRecord::from(&deleted).encode());
            change::record(tx, vec![touched, Touched::Account(id), Touched::Members(domain)]).await
        })
        .await
    }

    /// The accounts of a domain in order of their local parts, those after the (folded) `after`.
    pub async fn accounts(
        &self,
        domain: &DomainName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<Account>>> {
        let id = domain_in(&mut self.shared.database.begin(), domain).await?;
        self.page(key::addresses(id, after), limit, async |tx, entry, value| {
            let AddressRecord::Account(id) = AddressRecord::decode(value)? else { return Ok(None) };
            let value = tx.get_snapshot(&key::account(AccountId(id))).await?;
            let Some(value) = value else { return Ok(None) };
            let account = Arc::new(AccountRecord::decode(&value)?.into());
            Ok(Some((key::read_local_part(entry)?, account)))
        })
        .await
    }

    /// Deleted accounts whose mail is still to be removed, oldest id first, those after `after`.
    pub async fn deleted_accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<DeletedAccount>> {
        let limit = Some(limit.clamp(1, limits::DIRECTORY_PAGE_ITEMS));
        let mut tx = self.shared.database.begin();
        let options = RangeOptions { limit, snapshot: true, ..RangeOptions::default() };
        let entries = tx.range(key::deleted_accounts(after), options).collect().await?;
        let read = |(_, value): &(_, bytes::Bytes)| DeletedAccountRecord::decode(value).map(Into::into);
        entries.iter().map(read).collect()
    }

    /// Ends the record of a deleted account: nothing of its mail is left.
    pub async fn forget_deleted_account(&self, id: AccountId) -> Result<()> {
        self.shared
            .database
            .run(async |tx| {
                tx.clear(key::deleted_account(id));
                Ok(())
            })
            .await
    }
}

/// Writes a new account, or nothing; tells what that touched beside the members of its domain. `NotFound` if its domain
/// is not what it was.
pub(super) async fn put(tx: &mut Transaction, account: &Account) -> Result<[Touched; 2]> {
    let (id, domain) = (account.id, account.domain);
    if domain_in(tx, account.address.domain()).await? != domain {
        let text = format!("domain {}, as it was a moment ago", account.address.domain());
        return Err(Error::NotFound(text.into()));
    }
    let value = encode_bounded(&AccountRecord::from(account))?;
    let touched = claim_address(tx, domain, &account.address, &AddressRecord::Account(id.0)).await?;
    tx.set(key::account(id), value);
    tx.set(key::member(domain, id), bytes::Bytes::new());
    Ok([touched, Touched::Account(id)])
}

/// Takes an address of the domain for an account or alias; tells what that touched.
pub(super) async fn claim_address(
    tx: &mut Transaction,
    domain: DomainId,
    address: &Address,
    record: &AddressRecord,
) -> Result<Touched> {
    let at = key::address_of(domain, address);
    if tx.get(&at).await?.is_some() {
        return Err(taken(address));
    }
    tx.set(at, encode_bounded(record)?);
    Ok(Touched::Address(domain, key::folded(address.local_part())))
}

/// The address's domain; `Exists` if it is an account or alias.
async fn free_in(tx: &mut Transaction, address: &Address) -> Result<DomainId> {
    let domain = domain_in(tx, address.domain()).await?;
    match tx.get(&key::address_of(domain, address)).await? {
        Some(_) => Err(taken(address)),
        None => Ok(domain),
    }
}

fn taken(address: &Address) -> Error {
    Error::Exists(format!("address {address}").into())
}

pub(super) fn check(account: &Account) -> Result<()> {
    if account.name.len() > limits::ACCOUNT_NAME_OCTETS || account.name.chars().any(char::is_control) {
        let most = limits::ACCOUNT_NAME_OCTETS;
        return Err(Error::Invalid(
            format!("a name has at most {most} octets and no control characters").into(),
        ));
    }
    check_targets(&account.address, &account.forward)
}

/// Whether an alias or account may send on to those.
pub(super) fn check_targets(from: &Address, targets: &[Address]) -> Result<()> {
    if targets.len() > limits::ALIAS_TARGETS {
        let (is, most) = (targets.len(), limits::ALIAS_TARGETS);
        return Err(Error::TooLarge(format!("{is} targets, at most {most}").into()));
    }
    match targets.iter().any(|target| target.lookup_key() == from.lookup_key()) {
        true => Err(Error::Invalid(format!("{from} would send on to itself").into())),
        false => Ok(()),
    }
}

fn missing(address: &Address) -> Error {
    Error::NotFound(format!("account {address}").into())
}
