//! The mail store's handle: what its parts share, and how their commits reach the views.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;

use super::deliver::Lanes;
use super::edit::Pushes;
use super::locks::Locks;
use super::stored::AccountRecord;
use super::view::View;
use super::views::Views;
use super::{Counters, Limits, Usage, keys, load};
use crate::bodies::Bodies;
use crate::kv::database::Body;
use crate::kv::record::Record;
use crate::kv::{Database, RangeOptions, Transaction};
use crate::limits::COMMIT_KEPT;
use crate::types::{AccountId, DomainId, MailboxId, OperationId};
use crate::{Error, Result};

/// The mail store's settings.
#[derive(Debug, Clone)]
pub struct MailStoreConfig {
    /// How long an expunged message is kept for restore.
    pub restore_window: Duration,
    /// Most mailboxes with a live view. One more can be opened only when one is idle.
    pub views: usize,
    /// Memory of all live views, in octets, beyond which idle ones are let go: 16 octets for each message, and
    /// 2 KiB for each mailbox. Those that sessions hold stay.
    pub view_octets: u64,
    /// Whether no other node commits to the same store (the engine `local`). Then what this node pushes to
    /// its views is all there is, and they need not ask the store.
    pub sole_node: bool,
    /// How often the workers look for work.
    pub work_interval: Duration,
}

impl Default for MailStoreConfig {
    fn default() -> Self {
        Self {
            restore_window: Duration::from_secs(14 * 24 * 60 * 60),
            views: 100_000,
            view_octets: 32 << 20,
            sole_node: false,
            work_interval: Duration::from_secs(10),
        }
    }
}

/// The mail store; cheap to clone.
#[derive(Clone)]
pub struct MailStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) db: Database,
    pub(super) bodies: Bodies,
    pub(super) config: MailStoreConfig,
    pub(super) views: Views,
    pub(super) locks: Arc<Locks>,
    // Of mailboxes into which a hidden block is being filled.
    pub(super) block_locks: Arc<Locks>,
    // Tells this process's hidden blocks from those of an earlier one.
    pub(super) incarnation: u64,
    pub(super) lanes: Lanes,
    // An account never changes its domain.
    domains: Cache<AccountId, DomainId>,
}

const DOMAINS_CACHED: u64 = 100_000;

impl MailStore {
    /// Over the metadata and the bodies.
    pub fn new(db: Database, bodies: Bodies, config: MailStoreConfig) -> Self {
        let views = Views::new(db.clone(), config.views, config.view_octets, config.sole_node);
        let inner = Inner {
            db,
            bodies,
            config,
            views,
            locks: Arc::default(),
            block_locks: Arc::default(),
            incarnation: rand::random::<u64>() | 1,
            lanes: Lanes::default(),
            domains: Cache::new(DOMAINS_CACHED),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The node's one shared live view of the mailbox, current as of this call. Hold it while the mailbox is
    /// selected. `NotFound`; `Overloaded` when too many are open.
    pub async fn open(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<View>> {
        self.inner.views.open(account, mailbox).await
    }

    /// The mailbox's counters (STATUS, RFC 9051 §6.3.11), in one read.
    pub async fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<Counters> {
        load::read_counters(&mut self.inner.db.begin(), account, mailbox).await
    }

    /// What the account stores.
    pub async fn usage(&self, account: AccountId) -> Result<Usage> {
        let mut tx = self.inner.db.begin();
        let octets = read_number(&mut tx, &keys::usage_octets(account)).await?;
        let messages = read_number(&mut tx, &keys::usage_messages(account)).await?;
        Ok(Usage { octets, messages })
    }

    /// Octets that all accounts of the domain store.
    pub async fn domain_usage(&self, domain: DomainId) -> Result<u64> {
        domain_octets(&mut self.inner.db.begin(), domain).await
    }

    /// `OverQuota` if `octets` more would pass a limit. For the check at RCPT.
    pub async fn check_quota(&self, account: AccountId, octets: u64, limits: Limits) -> Result<()> {
        let mut tx = self.inner.db.begin();
        let domain = self.domain(&mut tx, account).await?;
        Room::read(&mut tx, account, domain, limits).await?.take(octets)
    }

    /// The account's domain. `NotFound` if the mail store does not know the account.
    pub(super) async fn domain(&self, tx: &mut Transaction, account: AccountId) -> Result<DomainId> {
        if let Some(domain) = self.inner.domains.get(&account) {
            return Ok(domain);
        }
        let domain = read_account(tx, account).await?.domain;
        self.inner.domains.insert(account, domain);
        Ok(domain)
    }

    /// Commits what records the results of its operations by itself, and lets the views of the named mailboxes follow
    /// before the caller hears of it.
    pub(super) async fn commit<T, F>(&self, scope: &[(AccountId, MailboxId)], body: F) -> Result<T>
    where
        T: Send,
        F: AsyncFn(&mut Transaction) -> Result<(T, Pushes)> + for<'t> Body<'t, (T, Pushes)>,
    {
        self.followed(scope, self.inner.db.run_repeatable(body)).await
    }

    /// As [`Self::commit`], for what records nothing and must not happen twice where the first result is unknown.
    pub(super) async fn commit_once<T, F>(&self, scope: &[(AccountId, MailboxId)], body: F) -> Result<T>
    where
        T: Send,
        F: AsyncFn(&mut Transaction) -> Result<(T, Pushes)> + for<'t> Body<'t, (T, Pushes)>,
    {
        self.followed(scope, self.once(body)).await
    }

    async fn followed<T>(
        &self,
        scope: &[(AccountId, MailboxId)],
        commit: impl Future<Output = Result<(T, Pushes)>>,
    ) -> Result<T> {
        let doubt = Doubt { views: &self.inner.views, scope };
        let outcome = commit.await;
        doubt.settle(&outcome);
        let (value, pushes) = outcome?;
        self.inner.views.push(pushes);
        Ok(value)
    }

    /// Commits what no view shows, and what must not happen twice where the first result is unknown.
    pub(super) async fn once<T, F>(&self, body: F) -> Result<T>
    where
        T: Send,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T>,
    {
        // Of the last run: where a rerun finds that an earlier one was committed, that was the last to have run.
        let last = Mutex::new(None);
        let once = async |tx: &mut Transaction| {
            let result = body.call(tx).await?;
            *last.lock() = Some(result);
            Ok(())
        };
        self.inner.db.run_once_kept(OperationId::random(), COMMIT_KEPT, once).await?;
        Ok(last.into_inner().expect("the first run found no result under a new id"))
    }
}

/// Marks views as possibly behind unless told how a commit ended: also when the caller stops waiting.
pub(super) struct Doubt<'a> {
    pub(super) views: &'a Views,
    pub(super) scope: &'a [(AccountId, MailboxId)],
}

impl Doubt<'_> {
    pub(super) fn settle<T>(self, outcome: &Result<T>) {
        if !matches!(outcome, Err(Error::CommitUnknown)) {
            std::mem::forget(self);
        }
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        for (account, mailbox) in self.scope {
            self.views.doubt(*account, *mailbox);
        }
    }
}

/// What may still be stored; the caller's limits against the usage at the transaction's version.
pub(super) struct Room {
    account_octets: Option<u64>,
    domain_octets: Option<u64>,
}

impl Room {
    pub(super) async fn read(
        tx: &mut Transaction,
        account: AccountId,
        domain: DomainId,
        limits: Limits,
    ) -> Result<Self> {
        let mut room = Self { account_octets: None, domain_octets: None };
        if let Some(limit) = limits.account_octets {
            let used = read_number(tx, &keys::usage_octets(account)).await?;
            room.account_octets = Some(limit.saturating_sub(used));
        }
        if let Some(limit) = limits.domain_octets {
            room.domain_octets = Some(limit.saturating_sub(domain_octets(tx, domain).await?));
        }
        Ok(room)
    }

    /// Takes room that was given already.
    pub(super) fn spend(&mut self, octets: u64) {
        for room in [&mut self.account_octets, &mut self.domain_octets] {
            *room = room.map(|room| room.saturating_sub(octets));
        }
    }

    /// Takes room; `OverQuota` (and nothing taken) if there is not enough.
    pub(super) fn take(&mut self, octets: u64) -> Result<()> {
        let left = |room: Option<u64>, whose: &'static str| match room {
            Some(room) if room < octets => Err(Error::OverQuota(whose.into())),
            room => Ok(room.map(|room| room - octets)),
        };
        let account = left(self.account_octets, "account")?;
        self.domain_octets = left(self.domain_octets, "domain")?;
        self.account_octets = account;
        Ok(())
    }
}

pub(super) async fn read_account(tx: &mut Transaction, account: AccountId) -> Result<AccountRecord> {
    let value = tx.get(&keys::account(account)).await?;
    let record = AccountRecord::decode(&value.ok_or(Error::NotFound("account".into()))?)?;
    if record.deleted { Err(Error::NotFound("account".into())) } else { Ok(record) }
}

async fn domain_octets(tx: &mut Transaction, domain: DomainId) -> Result<u64> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let shards = tx.range(keys::domain_usages(domain), options).collect().await?;
    // A shard may be below zero: what one account added another took away.
    let sum = shards.iter().map(|(_, value)| number(value)).fold(0i64, i64::wrapping_add);
    Ok(sum.max(0) as u64)
}

async fn read_number(tx: &mut Transaction, key: &[u8]) -> Result<u64> {
    Ok(tx.get_snapshot(key).await?.map_or(0, |value| number(&value)).max(0) as u64)
}

fn number(value: &[u8]) -> i64 {
    value.first_chunk::<8>().map_or(0, |octets| i64::from_le_bytes(*octets))
}
