//! The handle, and what every change goes through.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::bells::Bells;
use super::cache::Cache;
use super::change::{self, Follower, Touched};
use super::record::Settings;
use super::stored::SettingsRecord;
use super::{key, record::Page};
use crate::kv::database::Body;
use crate::kv::record::Record;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction};
use crate::types::{AccountId, OperationId};
use crate::{Error, Result, limits};

/// A handle on the directory; cheap to clone. What it remembers is dropped within milliseconds of a
/// change, whoever made it, and before the call that made it here returns.
#[derive(Clone)]
pub struct Directory {
    pub(super) shared: Arc<Shared>,
}

/// How a directory is used on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// For how long a node that is cut off lets people in by its own copy: counted from when it last knew all changes.
    pub cut_off_trusted: Duration,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self { cut_off_trusted: Duration::from_secs(60 * 60) }
    }
}

pub(super) struct Shared {
    pub(super) config: DirectoryConfig,
    pub(super) database: Database,
    pub(super) cache: Cache,
    version: watch::Sender<u64>,
    bells: Bells,
    /// Ids taken from the store and not yet given out.
    ids: Mutex<Range<u64>>,
    /// Ends the follower with the last handle.
    _stop: DropGuard,
}

impl Directory {
    /// Over the database, with the defaults. Follows the change log in the background until the last handle is dropped.
    pub async fn open(database: Database) -> Result<Self> {
        Self::open_with(database, DirectoryConfig::default()).await
    }

    /// As [`Directory::open`].
    pub async fn open_with(database: Database, config: DirectoryConfig) -> Result<Self> {
        let cache = Cache::new();
        let (version, bells) = (watch::Sender::new(0), Bells::new());
        let stop = CancellationToken::new();
        let follower = Follower::start(database.clone(), cache.clone(), version.clone(), bells.clone());
        let follower = follower.await?;
        tokio::spawn(follower.run(stop.clone()));
        let _stop = stop.drop_guard();
        let ids = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { config, database, cache, version, bells, ids, _stop }) })
    }

    /// The version of the latest change that this node has taken in; changes when there is a newer one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Tells that the account may have changed; other accounts' changes are seldom told.
    pub fn subscribe_to(&self, account: AccountId) -> watch::Receiver<()> {
        self.shared.bells.listen(account)
    }

    /// The version of the latest change that this node has taken in.
    pub fn version(&self) -> u64 {
        *self.shared.version.borrow()
    }

    /// The version of the latest change there is, whether this node has taken it in or not.
    pub async fn latest_version(&self) -> Result<u64> {
        let stamp = change::latest(&mut self.shared.database.begin()).await?;
        Ok(change::version_of(stamp))
    }

    /// What holds for the whole system.
    pub async fn update_settings(&self, update: impl Fn(&mut Settings) + Send + Sync) -> Result<Settings> {
        self.change(async |tx| {
            let mut settings = settings_in(tx).await?;
            update(&mut settings);
            tx.set(key::settings(), SettingsRecord::from(&settings).encode());
            change::record(tx, vec![Touched::Settings]).await
        })
        .await?;
        self.settings().await.map(|settings| settings.as_ref().clone())
    }

    /// Makes a change once (the closure ends in [`change::record`]), and forgets here what it touched
    /// before returning.
    pub(super) async fn change<F>(&self, body: F) -> Result<()>
    where
        F: AsyncFn(&mut Transaction) -> Result<Vec<Touched>> + for<'t> Body<'t, Vec<Touched>>,
    {
        let touched = self.shared.database.run_once(OperationId::random(), body).await?;
        self.shared.cache.forget(&touched);
        Ok(())
    }

    /// A number that was never given out and never will be again, here or elsewhere.
    pub(super) async fn new_id(&self) -> Result<u64> {
        let mut ids = self.shared.ids.lock().await;
        if let Some(id) = ids.next() {
            return Ok(id);
        }
        *ids = self.take_ids(limits::DIRECTORY_IDS_TAKEN).await?;
        ids.next().ok_or_else(|| Error::Unavailable("ids".into()))
    }

    /// So many of them.
    pub(super) async fn take_ids(&self, count: u64) -> Result<Range<u64>> {
        let taken = self.shared.database.run_once(OperationId::random(), async |tx| {
            let first = match tx.get(&key::next_id()).await? {
                Some(value) => number(&value)?,
                None => 1,
            };
            tx.set(key::next_id(), (first + count).to_be_bytes().to_vec());
            Ok(first)
        });
        let first = taken.await?;
        Ok(first..first + count)
    }

    /// One page of a range: at most `limit` items of what `read` makes of the pairs.
    pub(super) async fn page<T>(
        &self,
        range: KeyRange,
        limit: usize,
        read: impl AsyncFn(&mut Transaction, &[u8], &[u8]) -> Result<Option<(String, T)>>,
    ) -> Result<Page<T>> {
        let limit = limit.clamp(1, limits::DIRECTORY_PAGE_ITEMS);
        let mut tx = self.shared.database.begin();
        let mut page = Page { items: Vec::new(), next: None };
        let mut rest = range;
        let mut last = None;
        loop {
            let options = RangeOptions { limit: Some(limit), snapshot: true, ..RangeOptions::default() };
            let pairs = tx.range(rest.clone(), options).collect().await?;
            let Some((end, _)) = pairs.last() else { return Ok(page) };
            rest.begin = KeyRange::key(end).end;
            for (key, value) in &pairs {
                let Some((cursor, item)) = read(&mut tx, key, value).await? else { continue };
                if page.items.len() == limit {
                    page.next = last;
                    return Ok(page);
                }
                page.items.push(item);
                last = Some(cursor);
            }
        }
    }
}

pub(super) async fn settings_in(tx: &mut Transaction) -> Result<Settings> {
    match tx.get(&key::settings()).await? {
        Some(value) => Ok(SettingsRecord::decode(&value)?.into()),
        None => Ok(Settings::default()),
    }
}

fn number(value: &[u8]) -> Result<u64> {
    let octets = value.try_into().map_err(|_| Error::Corrupt("directory id counter".into()))?;
    Ok(u64::from_be_bytes(octets))
}

/// A record's stored form, unless it is too long for one.
pub(super) fn encode_bounded<R: Record>(record: &R) -> Result<bytes::Bytes> {
    let value = record.encode();
    if value.len() > limits::DIRECTORY_RECORD_OCTETS {
        let (is, most) = (value.len(), limits::DIRECTORY_RECORD_OCTETS);
        return Err(Error::TooLarge(format!("directory record of {is} octets, at most {most}").into()));
    }
    Ok(value)
}
