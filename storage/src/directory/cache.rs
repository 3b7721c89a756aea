//! What a node remembers of the directory: bounded in octets, and never older than the last change
//! this node was told of.

use std::future::Future;
use std::sync::Arc;

use moka::sync::Cache as Table;
use parking_lot::RwLock;

use super::change::Touched;
use super::record::{Account, Domain, Settings};
use super::stored::AddressRecord;
use crate::types::{AccountId, DomainId};
use crate::{Result, limits};

/// What one lookup found; absence is remembered too.
#[derive(Clone)]
pub(super) enum Found {
    Nothing,
    /// A domain name: the domain it is, or is an alias of.
    Name(DomainId),
    Domain(Arc<Domain>),
    Account(Arc<Account>),
    Address(Arc<AddressRecord>),
    Settings(Arc<Settings>),
    /// The oldest account of a domain.
    Eldest(AccountId),
}

impl Found {
    /// Octets held, roughly: enough to bound the whole.
    fn weight(&self) -> u32 {
        let addresses = |addresses: usize| 96 * addresses;
        let octets = match self {
            Self::Nothing | Self::Name(_) | Self::Eldest(_) => 0,
            Self::Domain(domain) => 512 + domain.dkim.len() * 2048,
            Self::Account(account) => 512 + account.name.len() + addresses(account.forward.len()),
            Self::Address(record) => match record.as_ref() {
                AddressRecord::Account(_) => 16,
                AddressRecord::Alias(_, targets) => 128 + addresses(targets.len()),
            },
            Self::Settings(_) => 256,
        };
        u32::try_from(octets).unwrap_or(u32::MAX)
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Cache {
    table: Table<Touched, Found>,
    /// Counts invalidations. What was read before one is not kept after it.
    generation: Arc<RwLock<u64>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let weigh = |key: &Touched, found: &Found| 160 + key.text_octets() + found.weight();
        let table = Table::builder().weigher(weigh).max_capacity(limits::DIRECTORY_CACHE_OCTETS).build();
        Self { table, generation: Arc::default() }
    }

    /// What is remembered under the key, else what `read` finds.
    pub(super) async fn find<F>(&self, key: Touched, read: impl FnOnce() -> F) -> Result<Found>
    where
        F: Future<Output = Result<Found>>,
    {
        if let Some(found) = self.table.get(&key) {
            return Ok(found);
        }
        let before = *self.generation.read();
        let found = read().await?;
        let generation = self.generation.read();
        if *generation == before {
            self.table.insert(key, found.clone());
        }
        Ok(found)
    }

    /// Forgets what a change touched.
    pub(super) fn forget(&self, touched: &[Touched]) {
        let mut generation = self.generation.write();
        *generation += 1;
        for key in touched {
            self.table.invalidate(key);
        }
    }

    /// Forgets everything: it is not known what changed.
    pub(super) fn forget_all(&self) {
        let mut generation = self.generation.write();
        *generation += 1;
        self.table.invalidate_all();
    }
}
