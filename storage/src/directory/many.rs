//! Many accounts at once: what is wrong with one of them does not keep the others back.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::account::{NewAccount, check, put};
use super::change::{self, Touched};
use super::domain::domain_in;
use super::handle::Directory;
use super::key;
use super::record::Account;
use super::stored::AddressRecord;
use crate::kv::Transaction;
use crate::kv::record::Record;
use crate::types::{AccountId, Address, DomainId};
use crate::{Error, Result, limits};

/// What became of one of many new accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It was made.
    Made(AccountId),
    /// The address was an account already, and that stays as it is.
    Existed,
}

/// An account that is to be made, and its place among the others.
struct Draft {
    place: usize,
    account: Account,
}

impl Directory {
    /// As [`Directory::create_account`], of [`limits::ACCOUNTS_TOGETHER`] at most (`TooLarge`): they are made in one
    /// transaction, and so is by `first` what belongs to all of them. Tells what became of each, in their order. After an
    /// error of the whole the same call may be made again: what exists is passed over.
    pub async fn create_accounts<F>(
        &self,
        new: Vec<NewAccount>,
        first: impl Fn(Vec<(AccountId, DomainId)>) -> F + Send,
    ) -> Result<Vec<Result<Creation>>>
    where
        F: Future<Output = Result<()>> + Send,
    {
        if new.len() > limits::ACCOUNTS_TOGETHER {
            let (are, most) = (new.len(), limits::ACCOUNTS_TOGETHER);
            return Err(Error::TooLarge(format!("{are} accounts at once, at most {most}").into()));
        }
        let addresses: Vec<Address> = new.iter().map(|new| new.address.clone()).collect();
        let found = self.shared.database.run(async |tx| places(tx, &addresses).await).await?;
        let mut outcomes = vec![Ok(Creation::Existed); new.len()];
        let mut drafts = Vec::new();
        for (place, (new, found)) in new.into_iter().zip(found).enumerate() {
            // Its id is given below.
            let draft = found.map(|domain| domain.map(|domain| new.made(AccountId(0), domain)));
            match draft.and_then(|draft| draft.map(|account| check(&account).map(|()| account)).transpose()) {
                Ok(Some(account)) => drafts.push(Draft { place, account }),
                Ok(None) => {}
                Err(error) => outcomes[place] = Err(error),
            }
        }
        if drafts.is_empty() {
            return Ok(outcomes);
        }
        self.make_what_belongs(&mut drafts, first).await?;
        let written = self.write(&drafts).await?;
        for (draft, outcome) in drafts.iter().zip(written) {
            outcomes[draft.place] = outcome;
        }
        Ok(outcomes)
    }

    /// Gives them ids, under which nothing was there before.
    async fn make_what_belongs<F>(
        &self,
        drafts: &mut [Draft],
        first: impl Fn(Vec<(AccountId, DomainId)>) -> F + Send,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let mut tried = 0;
        loop {
            let ids = self.take_ids(drafts.len() as u64).await?;
            drafts.iter_mut().zip(ids).for_each(|(draft, id)| draft.account.id = AccountId(id));
            let accounts = drafts.iter().map(|draft| (draft.account.id, draft.account.domain)).collect();
            tried += 1;
            match first(accounts).await {
                Err(Error::Exists(_)) if tried < limits::DIRECTORY_IDS_TAKEN => {}
                outcome => return outcome,
            }
        }
    }

    /// Makes them, those whose addresses have not been taken meanwhile.
    async fn write(&self, drafts: &[Draft]) -> Result<Vec<Result<Creation>>> {
        let written = Mutex::new(Vec::new());
        self.change(async |tx| {
            let (mut outcomes, mut touched) = (Vec::with_capacity(drafts.len()), Vec::new());
            let mut domains = HashSet::new();
            for Draft { account, .. } in drafts {
                let outcome = match put(tx, account).await {
                    Ok(found) => {
                        touched.extend(found);
                        if domains.insert(account.domain) {
                            touched.push(Touched::Members(account.domain));
                        }
                        Ok(Creation::Made(account.id))
                    }
                    Err(error) => refused(tx, account, error).await?,
                };
                outcomes.push(outcome);
            }
            *written.lock() = outcomes;
            change::record(tx, touched).await
        })
        .await?;
        Ok(written.into_inner())
    }
}

/// The domain of each address that is free; `None` where it is an account already. Of the same address twice the second
/// is one.
async fn places(tx: &mut Transaction, addresses: &[Address]) -> Result<Vec<Result<Option<DomainId>>>> {
    let (mut places, mut seen) = (Vec::with_capacity(addresses.len()), HashSet::new());
    for address in addresses {
        let place = match domain_in(tx, address.domain()).await {
            Err(error) => Err(of_one(error)?),
            Ok(domain) => match standing(tx, domain, address).await? {
                None if seen.insert(key::address_of(domain, address)) => Ok(Some(domain)),
                None | Some(AddressRecord::Account(_)) => Ok(None),
                Some(AddressRecord::Alias(..)) => Err(Error::Exists(format!("alias {address}").into())),
            },
        };
        places.push(place);
    }
    Ok(places)
}

/// What an account that could not be written is told. The whole fails where that was not its own fault.
async fn refused(tx: &mut Transaction, account: &Account, error: Error) -> Result<Result<Creation>> {
    let error = of_one(error)?;
    let is_account = matches!(error, Error::Exists(_))
        && matches!(standing(tx, account.domain, &account.address).await?, Some(AddressRecord::Account(_)));
    Ok(if is_account { Ok(Creation::Existed) } else { Err(error) })
}

async fn standing(
    tx: &mut Transaction,
    domain: DomainId,
    address: &Address,
) -> Result<Option<AddressRecord>> {
    tx.get(&key::address_of(domain, address)).await?.map(|value| AddressRecord::decode(&value)).transpose()
}

/// The error, if it is about one account and not about all.
fn of_one(error: Error) -> Result<Error> {
    match error {
        Error::NotFound(_) | Error::Exists(_) | Error::Invalid(_) | Error::TooLarge(_) => Ok(error),
        error => Err(error),
    }
}
