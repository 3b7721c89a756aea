//! What a node remembers of the directory: bounded in octets, never older than the last change this node was told of,
//! and told only while the node has looked for changes lately.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::sync::Cache as Table;
use parking_lot::RwLock;
use tokio::time::Instant;

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
    /// Every change of before then is taken in.
    current: Arc<RwLock<Instant>>,
    /// The database did not answer who looked for changes last.
    cut_off: Arc<AtomicBool>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let weigh = |key: &Touched, found: &Found| 160 + key.text_octets() + found.weight();
        let table = Table::builder().weigher(weigh).max_capacity(limits::DIRECTORY_CACHE_OCTETS).build();
        let current = Arc::new(RwLock::new(Instant::now()));
        Self { table, generation: Arc::default(), current, cut_off: Arc::default() }
    }

    /// Every change of before `at` is taken in.
    pub(super) fn confirm(&self, at: Instant) {
        *self.current.write() = at;
        if self.cut_off.swap(false, Ordering::Relaxed) {
            tracing::info!("the directory answers again");
        }
    }

    /// The database does not answer.
    pub(super) fn cut_off(&self) {
        if !self.cut_off.swap(true, Ordering::Relaxed) {
            tracing::warn!("this node is cut off from the directory");
        }
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// How long ago every change was taken in.
    pub(super) fn age(&self) -> Duration {
        self.current.read().elapsed()
    }

    /// What is remembered under the key, if it may be told: not after the process was held up, or where changes come late.
    pub(super) fn told(&self, key: &Touched) -> Option<Found> {
        if self.age() < limits::DIRECTORY_CACHE_TRUSTED { self.table.get(key) } else { None }
    }

    /// What is remembered under the key, else what `read` finds.
    pub(super) async fn find<F>(&self, key: Touched, read: impl FnOnce() -> F) -> Result<Found>
    where
        F: Future<Output = Result<Found>>,
    {
        if let Some(found) = self.told(&key) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_told_only_while_changes_are_looked_for() {
        let cache = Cache::new();
        let reads = std::sync::atomic::AtomicU64::new(0);
        let asked = async || {
            let read = async || {
                reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(Found::Nothing)
            };
            cache.find(Touched::Settings, read).await.expect("reads");
            reads.load(std::sync::atomic::Ordering::Relaxed)
        };
        assert_eq!([asked().await, asked().await], [1, 1]);
        cache.confirm(Instant::now() - limits::DIRECTORY_CACHE_TRUSTED);
        assert_eq!([asked().await, asked().await], [2, 3]);
        cache.confirm(Instant::now());
        assert_eq!(asked().await, 3);
    }
}
