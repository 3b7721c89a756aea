//! From an address to those who receive its mail. Loop-safe and bounded, whatever aliases say.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::handle::Directory;
use super::key;
use super::lookup::{Lookup, cut_off};
use super::record::{Account, Domain};
use super::stored::AddressRecord;
use crate::types::{AccountId, Address, DomainId};
use crate::{Error, Result, limits};

/// Where mail to an address goes.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// The domain is not of this directory.
    NotLocal {
        /// Whether that is known to be so now: while the node is cut off the domain may have been made elsewhere.
        is_current: bool,
    },
    /// The domain is, and has no such address (`550 5.1.1`).
    Unknown,
    /// To these; at least one.
    Deliver {
        /// Accounts of this directory, each once, in the order in which they were found.
        accounts: Vec<Arc<Account>>,
        /// Addresses elsewhere, each once.
        forwards: Vec<Address>,
    },
}

/// Separates an address from a detail that its owner adds at will: `ann+lists@` is `ann@` unless it
/// exists itself (RFC 5233 §1).
const DETAIL_SEPARATOR: char = '+';

/// An address by what it means here: a folded local part in a domain of the directory, or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Here(DomainId, String),
    Elsewhere(Address),
}

/// One step from an address towards recipients.
enum Step {
    Nothing,
    Elsewhere,
    Account(Arc<Account>),
    Alias(Arc<AddressRecord>),
    /// The address exists because someone must answer it.
    Role(Address),
    CatchAll(Address),
}

/// Whether every domain has this local part (RFC 2142 §4 and §5, RFC 5321 §4.5.1), and its mail is
/// exempt from refusal by content and quota.
pub fn is_role(local_part: &str) -> bool {
    local_part.eq_ignore_ascii_case("postmaster") || local_part.eq_ignore_ascii_case("abuse")
}

impl Directory {
    /// Where mail to the address goes: aliases of any depth, further names of domains, forwards, details
    /// after `+`, catch-all, and `postmaster` and `abuse` of every domain. `Unavailable` where aliases
    /// lead to more than [`limits::EXPANSION_RECIPIENTS`], nobody can be postmaster yet, or the node is cut off and its
    /// own copy knows no such address.
    pub async fn resolve(&self, address: &Address) -> Result<Resolution> {
        let lookup = self.lookup();
        let found = lookup.resolve(address).await?;
        lookup.judge(found)
    }

    /// Where mail to the bare `<postmaster>` goes (RFC 5321 §4.5.1).
    pub async fn resolve_postmaster(&self) -> Result<Resolution> {
        let lookup = self.lookup();
        let found = lookup.resolve_postmaster().await?;
        lookup.judge(found)
    }

    /// Whether the account may name the address as a sender: its own, also with a detail or under a
    /// further name of the domain, or an alias that leads to it. A catch-all and others' forwards do not
    /// count.
    pub async fn may_send_as(&self, account: AccountId, address: &Address) -> Result<bool> {
        let lookup = self.lookup();
        let found = lookup.leads_to(account, address).await?.then_some(());
        Ok(lookup.present(found)?.is_some())
    }
}

impl Lookup<'_> {
    /// Only the end is judged: on the way to it absence is the rule.
    fn judge(&self, found: Resolution) -> Result<Resolution> {
        match found {
            Resolution::Unknown if !self.is_current() => Err(cut_off()),
            found => Ok(found),
        }
    }

    async fn resolve(&self, address: &Address) -> Result<Resolution> {
        let place = self.place(address).await?;
        if let Place::Elsewhere(_) = place {
            return Ok(Resolution::NotLocal { is_current: self.is_current() });
        }
        let mut expansion = Expansion { lookup: self, work: VecDeque::new(), found: Found::default() };
        expansion.work.push_back((place, 0));
        while let Some((place, depth)) = expansion.work.pop_front() {
            expansion.expand(place, depth).await?;
        }
        Ok(expansion.found.finish())
    }

    async fn resolve_postmaster(&self) -> Result<Resolution> {
        let settings = self.settings().await?;
        if let Some(postmaster) = &settings.postmaster {
            match self.resolve(postmaster).await? {
                Resolution::Unknown => {}
                Resolution::NotLocal { .. } => {
                    let (accounts, forwards) = (Vec::new(), vec![postmaster.clone()]);
                    return Ok(Resolution::Deliver { accounts, forwards });
                }
                found @ Resolution::Deliver { .. } => return Ok(found),
            }
        }
        let domain = match settings.default_domain {
            Some(id) => self.domain_by_id(id).await?,
            None => None,
        };
        let domain = domain.ok_or_else(|| nobody("this server"))?;
        let address = Address::new("postmaster", domain.name.clone())
            .map_err(|error| Error::Corrupt(error.to_string().into()))?;
        self.resolve(&address).await
    }

    /// Whether mail to the address reaches the account, by itself or by an alias.
    async fn leads_to(&self, account: AccountId, address: &Address) -> Result<bool> {
        let mut seen = HashSet::new();
        let mut work = vec![self.place(address).await?];
        while let Some(place) = work.pop() {
            if seen.len() > limits::EXPANSION_RECIPIENTS || !seen.insert(place.clone()) {
                continue;
            }
            match self.step(&place).await? {
                Step::Account(found) if found.id == account => return Ok(true),
                Step::Alias(record) => {
                    for target in targets(&record) {
                        work.push(self.place(target).await?);
                    }
                }
                Step::Role(target) => work.push(self.place(&target).await?),
                Step::Nothing | Step::Elsewhere | Step::Account(_) | Step::CatchAll(_) => {}
            }
        }
        Ok(false)
    }

    async fn place(&self, address: &Address) -> Result<Place> {
        Ok(match self.domain_id(address.domain()).await? {
            Some(domain) => Place::Here(domain, key::folded(address.local_part())),
            None => Place::Elsewhere(address.clone()),
        })
    }

    async fn step(&self, place: &Place) -> Result<Step> {
        let Place::Here(id, local_part) = place else { return Ok(Step::Elsewhere) };
        let domain = self.domain_by_id(*id).await?.filter(|domain| domain.enabled);
        let Some(domain) = domain else { return Ok(Step::Nothing) };
        if let Some(step) = self.exact(*id, local_part).await? {
            return Ok(step);
        }
        if let Some((base, _)) = local_part.split_once(DETAIL_SEPARATOR)
            && let Some(step) = self.exact(*id, base).await?
        {
            return Ok(step);
        }
        if is_role(local_part) {
            return self.role(&domain).await;
        }
        Ok(domain.catch_all.clone().map_or(Step::Nothing, Step::CatchAll))
    }

    async fn exact(&self, domain: DomainId, local_part: &str) -> Result<Option<Step>> {
        let Some(record) = self.address_record(domain, local_part.to_owned()).await? else { return Ok(None) };
        match record.as_ref() {
            AddressRecord::Alias(..) => Ok(Some(Step::Alias(record))),
            AddressRecord::Account(id) => Ok(self.account(AccountId(*id)).await?.map(Step::Account)),
        }
    }

    /// Who answers for a domain: whom it names, whom the system names, else the oldest account.
    async fn role(&self, domain: &Domain) -> Result<Step> {
        let settings = self.settings().await?;
        for named in [&domain.contact, &settings.postmaster].into_iter().flatten() {
            let exists = match self.place(named).await? {
                Place::Elsewhere(_) => true,
                Place::Here(id, local_part) => self.exact(id, &local_part).await?.is_some(),
            };
            if exists {
                return Ok(Step::Role(named.clone()));
            }
        }
        for id in [Some(domain.id), settings.default_domain].into_iter().flatten() {
            if let Some(account) = self.eldest(id).await? {
                return Ok(Step::Account(account));
            }
        }
        Err(nobody(domain.name.as_str()))
    }
}

fn targets(record: &AddressRecord) -> &[Address] {
    match record {
        AddressRecord::Alias(_, targets) => targets,
        AddressRecord::Account(_) => &[],
    }
}

fn nobody(whose: &str) -> Error {
    Error::Unavailable(format!("{whose} has no account that could be its postmaster").into())
}

/// An expansion under way.
struct Expansion<'l> {
    lookup: &'l Lookup<'l>,
    work: VecDeque<(Place, usize)>,
    found: Found,
}

/// What an expansion has found.
#[derive(Default)]
struct Found {
    /// Every place that was expanded, and where it led.
    led_to: HashMap<Place, Vec<Place>>,
    /// Places at which mail arrives.
    arrived: HashSet<Place>,
    accounts: Vec<Arc<Account>>,
    forwards: Vec<Address>,
    /// Accounts that only send on.
    passed_through: Vec<(Place, Arc<Account>)>,
}

impl Expansion<'_> {
    async fn expand(&mut self, place: Place, depth: usize) -> Result<()> {
        if self.found.led_to.contains_key(&place) {
            return Ok(());
        }
        let recipients = self.found.led_to.len();
        if recipients >= limits::EXPANSION_RECIPIENTS || depth > limits::EXPANSION_DEPTH {
            let most = (limits::EXPANSION_RECIPIENTS, limits::EXPANSION_DEPTH);
            tracing::warn!(?place, ?most, "an address expands to too much");
            return Err(Error::Unavailable("an alias leads to too many addresses, or too deep".into()));
        }
        let next = match self.lookup.step(&place).await? {
            Step::Nothing => Vec::new(),
            Step::Elsewhere => {
                self.found.arrive_elsewhere(&place);
                Vec::new()
            }
            Step::Account(account) => {
                self.found.arrive(&place, &account);
                self.places(&account.forward).await?
            }
            Step::Alias(record) => self.places(targets(&record)).await?,
            Step::Role(target) | Step::CatchAll(target) => self.places(&[target]).await?,
        };
        self.work.extend(next.iter().cloned().map(|place| (place, depth + 1)));
        self.found.led_to.insert(place, next);
        Ok(())
    }

    async fn places(&self, addresses: &[Address]) -> Result<Vec<Place>> {
        let mut places = Vec::with_capacity(addresses.len());
        for address in addresses {
            places.push(self.lookup.place(address).await?);
        }
        Ok(places)
    }
}

impl Found {
    fn arrive_elsewhere(&mut self, place: &Place) {
        if let Place::Elsewhere(address) = place {
            self.forwards.push(address.clone());
            self.arrived.insert(place.clone());
        }
    }

    fn arrive(&mut self, place: &Place, account: &Arc<Account>) {
        if account.keep_copy || account.forward.is_empty() {
            self.keep(account);
            self.arrived.insert(place.clone());
        } else {
            self.passed_through.push((place.clone(), account.clone()));
        }
    }

    fn keep(&mut self, account: &Arc<Account>) {
        if !self.accounts.iter().any(|known| known.id == account.id) {
            self.accounts.push(account.clone());
        }
    }

    /// An account whose forwards arrive nowhere (a loop, addresses that are gone) keeps its mail.
    fn finish(mut self) -> Resolution {
        for (place, account) in std::mem::take(&mut self.passed_through) {
            if !self.arrives_from(&place) {
                self.keep(&account);
            }
        }
        if self.accounts.is_empty() && self.forwards.is_empty() {
            return Resolution::Unknown;
        }
        Resolution::Deliver { accounts: self.accounts, forwards: self.forwards }
    }

    fn arrives_from(&self, place: &Place) -> bool {
        let mut seen = HashSet::new();
        let mut work = vec![place];
        while let Some(place) = work.pop() {
            if self.arrived.contains(place) {
                return true;
            }
            if seen.insert(place) {
                work.extend(self.led_to.get(place).into_iter().flatten());
            }
        }
        false
    }
}
