//! The change log: every change of the directory leaves an entry that says what it touched. Nodes
//! follow it, so that what they remember is dropped within milliseconds of a change made elsewhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::bells::{Bells, Chord};
use super::cache::Cache;
use super::key;
use crate::kv::record::Record;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction, Watch};
use crate::types::{AccountId, DomainId, DomainName, Timestamp};
use crate::{Error, Result, limits};

/// Something that a lookup depends on; the cache's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Touched {
    /// What a domain name stands for.
    Name(DomainName),
    /// A domain's record.
    Domain(DomainId),
    /// An account's record.
    Account(AccountId),
    /// What a folded local part stands for.
    Address(DomainId, String),
    /// Which accounts a domain has.
    Members(DomainId),
    /// The settings.
    Settings,
}

impl Touched {
    /// Octets of text in it.
    pub(super) fn text_octets(&self) -> u32 {
        match self {
            Self::Name(name) => name.as_str().len() as u32,
            Self::Address(_, local_part) => local_part.len() as u32,
            Self::Domain(_) | Self::Account(_) | Self::Members(_) | Self::Settings => 0,
        }
    }
}

/// An entry of the change log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Change {
    at: Timestamp,
    touched: Vec<Touched>,
}

impl Record for Change {
    const VERSION: u8 = 1;
}

/// Adds the entry to the transaction that makes the change, and gives back what it touched.
pub(super) async fn record(tx: &mut Transaction, touched: Vec<Touched>) -> Result<Vec<Touched>> {
    let change = Change { at: tx.now().await?, touched };
    let (entry, offset) = key::log_entry([0; 10]);
    tx.set_versionstamped_key(entry, offset, change.encode());
    tx.set_versionstamped_value(key::latest(), vec![0; 10], 0);
    Ok(change.touched)
}

/// Brings a cache up to date with the log, for as long as the directory is open.
pub(super) struct Follower {
    database: Database,
    cache: Cache,
    version: watch::Sender<u64>,
    bells: Bells,
    seen: [u8; 10],
}

impl Follower {
    /// From the latest change on; the cache is empty yet.
    pub(super) async fn start(
        database: Database,
        cache: Cache,
        version: watch::Sender<u64>,
        bells: Bells,
    ) -> Result<Self> {
        let mut tx = database.begin();
        let seen = latest(&mut tx).await?;
        announce(&version, seen);
        Ok(Self { database, cache, version, bells, seen })
    }

    /// Follows until told to stop. A failure to read forgets everything remembered, and is tried
    /// again: a node must not go on with what may be old.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut trimmed = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            let pause = match self.step().await {
                Ok(watch) => tokio::select! {
                    result = watch => result.err().map(|_| limits::DIRECTORY_FOLLOW_RETRY),
                    () = tokio::time::sleep(limits::DIRECTORY_FOLLOW_INTERVAL) => None,
                    () = stop.cancelled() => return,
                },
                Err(error) => {
                    warn!(%error, "the directory's change log cannot be read");
                    if let Error::Unavailable(_) = error {
                        self.cache.cut_off();
                    }
                    self.cache.forget_all();
                    Some(limits::DIRECTORY_FOLLOW_RETRY)
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
            }
            if trimmed.elapsed() >= limits::DIRECTORY_TRIM_INTERVAL {
                trimmed = tokio::time::Instant::now();
                if let Err(error) = trim(&self.database, limits::DIRECTORY_LOG_KEPT).await {
                    warn!(%error, "the directory's change log cannot be trimmed");
                }
            }
        }
    }

    /// Takes in what is new, and gives the watch on what comes next.
    async fn step(&mut self) -> Result<Watch> {
        let begun = tokio::time::Instant::now();
        let mut tx = self.database.begin();
        let watch = tx.watch(&key::latest()).await?;
        let latest = latest(&mut tx).await?;
        if latest == self.seen {
            self.cache.confirm(begun);
            return Ok(watch);
        }
        let start = stamp(tx.get_snapshot(&key::log_start()).await?);
        let touched = if start > self.seen {
            self.cache.forget_all();
            Chord::full()
        } else {
            self.apply(&mut tx).await?
        };
        self.seen = latest;
        self.cache.confirm(begun);
        announce(&self.version, latest);
        self.bells.ring(&touched);
        Ok(watch)
    }

    /// Gives the bells of the accounts that were touched.
    async fn apply(&self, tx: &mut Transaction) -> Result<Chord> {
        let mut chord = Chord::default();
        let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
        let mut entries = tx.range(key::log(self.seen), options);
        while let Some((_, value)) = entries.next().await? {
            let touched = Change::decode(&value)?.touched;
            self.cache.forget(&touched);
            for one in touched {
                if let Touched::Account(account) = one {
                    chord.add(account);
                }
            }
        }
        Ok(chord)
    }
}

fn stamp(value: Option<bytes::Bytes>) -> [u8; 10] {
    value.and_then(|value| value.as_ref().try_into().ok()).unwrap_or_default()
}

/// The versionstamp of the latest change.
pub(super) async fn latest(tx: &mut Transaction) -> Result<[u8; 10]> {
    Ok(stamp(tx.get_snapshot(&key::latest()).await?))
}

/// The version that a versionstamp starts with.
pub(super) fn version_of(stamp: [u8; 10]) -> u64 {
    stamp[..8].iter().fold(0, |version, octet| version << 8 | u64::from(*octet))
}

/// Tells those who wait that the directory is at this change, unless they know of a later one.
pub(super) fn announce(version: &watch::Sender<u64>, stamp: [u8; 10]) {
    let new = version_of(stamp);
    version.send_if_modified(|known| {
        let newer = new > *known;
        *known = new.max(*known);
        newer
    });
}

/// Removes entries older than `kept`, in one bounded step. Gives how many went.
pub(super) async fn trim(database: &Database, kept: Duration) -> Result<usize> {
    let mut tx = database.begin();
    let options =
        RangeOptions { snapshot: true, limit: Some(limits::DIRECTORY_TRIM_ENTRIES), ..Default::default() };
    let entries = tx.range(key::log([0; 10]), options).collect().await?;
    let now = database.now().await?;
    let mut last = None;
    let mut count = 0;
    for (entry, value) in entries {
        if now.since(Change::decode(&value)?.at) < kept {
            break;
        }
        last = Some(key::read_log_entry(&entry)?);
        count += 1;
    }
    let Some(last) = last else { return Ok(0) };
    let range: KeyRange = key::log_until(last);
    tx.clear_range(range);
    // With a conflict: another node may have trimmed further, and the mark never goes back.
    if last > stamp(tx.get(&key::log_start()).await?) {
        tx.set(key::log_start(), last.to_vec());
    }
    tx.commit().await?;
    Ok(count)
}
