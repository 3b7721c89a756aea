//! The engine: one connection, over which commits and reads of our transactions go as FoundationDB's.

use std::path::PathBuf;
use std::sync::Arc;

use ::foundationdb::options::{
    ConflictRangeType, DatabaseOption, MutationType, StreamingMode, TransactionOption,
};
use ::foundationdb::{Database, FdbError, FdbResult, KeySelector, RangeOption, Transaction};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keys::Prefix;
use super::outcome::{self, refused};
use super::watch::Watched;
use crate::kv::engine::{
    Chunk, ChunkLimit, Commit, Committed, Engine, Mutation, Version, Versionstamp, Watch,
};
use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

/// Which database, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundationDbConfig {
    /// The cluster file; `None`: what `FDB_CLUSTER_FILE` names, else `/etc/foundationdb/fdb.cluster`.
    pub cluster_file: Option<PathBuf>,
    /// The client library; `None`: the system's `libfdb_c.so`. One per process.
    pub client_library: Option<PathBuf>,
    /// Keeps this cluster's keys apart from others in the same database.
    pub prefix: String,
}

impl Default for FoundationDbConfig {
    fn default() -> Self {
        Self { cluster_file: None, client_library: None, prefix: "sterna".to_owned() }
    }
}

impl FoundationDbConfig {
    /// `Invalid` if the prefix can be none.
    pub fn check_prefix(&self) -> Result<()> {
        Prefix::named(&self.prefix).map(|_| ())
    }
}

/// The engine. Dropping it without [`Engine::close`] loses nothing that was acknowledged.
pub struct FoundationDb {
    database: Arc<Database>,
    prefix: Prefix,
    watched: Arc<Watched>,
    commits: TaskTracker,
    stop: CancellationToken,
}

impl FoundationDb {
    /// Loads the client library and connects. `Unavailable` if it is missing or the cluster does not answer, `Invalid`
    /// if the configuration is.
    pub async fn open(config: FoundationDbConfig) -> Result<Arc<Self>> {
        let prefix = Prefix::named(&config.prefix)?;
        let has_nul = |path: &PathBuf| path.as_os_str().as_encoded_bytes().contains(&0);
        if config.cluster_file.as_ref().is_some_and(has_nul) {
            return Err(Error::Invalid("a cluster file's name has no NUL".into()));
        }
        let library = config.client_library.clone();
        let load = move || sterna_fdb_client::start(library.as_deref());
        let started = tokio::task::spawn_blocking(load).await;
        let started = started.map_err(|error| unavailable(format!("loading the client library: {error}")))?;
        started.map_err(|error| unavailable(error.to_string()))?;
        let connect = || -> FdbResult<Database> {
            let file = config.cluster_file.as_deref().map(|file| file.to_string_lossy());
            let database = Database::new(file.as_deref())?;
            database.set_option(DatabaseOption::MaxWatches(limits::WATCHED_KEYS as i32))?;
            Ok(database)
        };
        let of_file = |error: Error| match (error, &config.cluster_file) {
            (error, Some(file)) => unavailable(format!("cluster file {}: {error}", file.display())),
            (error, None) => error,
        };
        let database = connect().map_err(|error| of_file(refused(error)))?;
        let (watched, commits, stop) = (Arc::default(), TaskTracker::new(), CancellationToken::new());
        let engine = Arc::new(Self { database: Arc::new(database), prefix, watched, commits, stop });
        engine.read_version().await.map_err(of_file)?;
        Ok(engine)
    }

    /// A transaction that is told what it has to know by us alone.
    fn begin(&self) -> Result<Transaction> {
        if self.stop.is_cancelled() {
            return Err(Error::Closed);
        }
        let begin = || {
            let transaction = self.database.create_trx()?;
            transaction.set_option(TransactionOption::ReadYourWritesDisable)?;
            Ok(transaction)
        };
        begin().map_err(refused)
    }

    fn begin_at(&self, at: Version) -> Result<Transaction> {
        let transaction = self.begin()?;
        transaction.set_read_version(native(at)?);
        Ok(transaction)
    }

    /// FoundationDB's own transaction for a commit of ours.
    fn transaction(&self, commit: &Commit) -> Result<Transaction> {
        let transaction = match commit.read_version {
            Some(at) => self.begin_at(at)?,
            None => self.begin()?,
        };
        let conflicts = [
            (&commit.read_conflicts, ConflictRangeType::Read),
            (&commit.write_conflicts, ConflictRangeType::Write),
        ];
        for (ranges, kind) in conflicts {
            for (begin, end) in ranges.iter().map(|range| self.prefix.range(range)) {
                transaction.add_conflict_range(&begin, &end, kind).map_err(refused)?;
            }
        }
        commit.mutations.iter().try_for_each(|mutation| self.write(&transaction, mutation))?;
        Ok(transaction)
    }

    fn write(&self, transaction: &Transaction, mutation: &Mutation) -> Result<()> {
        let atomic = |key: &[u8], operand: [u8; 8], operation| {
            transaction.atomic_op(&self.prefix.key(key), &operand, operation);
        };
        match mutation {
            Mutation::Set(key, value) => transaction.set(&self.prefix.key(key), value),
            Mutation::Clear(key) => transaction.clear(&self.prefix.key(key)),
            Mutation::ClearRange(range) => {
                let (begin, end) = self.prefix.range(range);
                transaction.clear_range(&begin, &end);
            }
            Mutation::Add(key, delta) => atomic(key, delta.to_le_bytes(), MutationType::Add),
            Mutation::Max(key, value) => atomic(key, value.to_le_bytes(), MutationType::Max),
            Mutation::Min(key, value) => atomic(key, value.to_le_bytes(), MutationType::Min),
            Mutation::SetVersionstampedKey { key, offset, value } => {
                let key = placed(self.prefix.key(key), self.prefix.len() + offset)?;
                transaction.atomic_op(&key, value, MutationType::SetVersionstampedKey);
            }
            Mutation::SetVersionstampedValue { key, value, offset } => {
                let value = placed(value.to_vec(), *offset)?;
                transaction.atomic_op(&self.prefix.key(key), &value, MutationType::SetVersionstampedValue);
            }
        }
        Ok(())
    }

    /// A watch of FoundationDB's: it looks from the moment when the transaction that made it has committed.
    fn native_watch(&self, key: &[u8], at: Version) -> BoxFuture<'static, Result<()>> {
        let (stop, key) = (self.stop.clone(), self.prefix.key(key));
        let made = self.database.create_trx().map_err(refused).and_then(|transaction| {
            transaction.set_read_version(native(at)?);
            let changed = transaction.watch(&key);
            Ok((changed, transaction.commit()))
        });
        let wait = async move {
            let (changed, committed) = made?;
            let outcome = match committed.await {
                Ok(_) => changed.await,
                Err(error) => Err(FdbError::from(error)),
            };
            match outcome.map_err(refused) {
                // What it was then nobody knows any more: it may have changed.
                Err(Error::TooOld) => Ok(()),
                outcome => outcome,
            }
        };
        async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                outcome = wait => outcome,
            }
        }
        .boxed()
    }
}

#[async_trait]
impl Engine for FoundationDb {
    async fn read_version(&self) -> Result<Version> {
        let transaction = self.begin()?;
        let version = outcome::read(transaction.get_read_version()).await?;
        u64::try_from(version).map(Version).map_err(|_| of_version(version))
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        let transaction = self.begin_at(at)?;
        let value = outcome::read(transaction.get(&self.prefix.key(key), true)).await?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        if range.is_empty() {
            return Ok(Chunk::default());
        }
        let transaction = self.begin_at(at)?;
        let (begin, end) = self.prefix.range(&range);
        let option = RangeOption {
            // Both limits count, and nothing is guessed of what will be read next.
            mode: StreamingMode::Exact,
            limit: Some(limit.pairs.max(1)),
            target_bytes: limit.octets,
            reverse: limit.reverse,
            ..RangeOption::from((
                KeySelector::first_greater_or_equal(begin),
                KeySelector::first_greater_or_equal(end),
            ))
        };
        let read = outcome::read(transaction.get_range(&option, 1, true)).await?;
        if read.is_empty() && read.more() {
            return Err(unavailable("an empty part of a range that has more".into()));
        }
        let pair = |pair: &::foundationdb::future::FdbKeyValue| {
            Ok((self.prefix.stripped(pair.key())?, Bytes::copy_from_slice(pair.value())))
        };
        Ok(Chunk { pairs: read.iter().map(pair).collect::<Result<_>>()?, more: read.more() })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let _under_way = self.commits.token();
        let transaction = self.transaction(&commit)?;
        drop(commit);
        let stamp = transaction.get_versionstamp();
        let commit = async {
            let committed = transaction.commit().await.map_err(FdbError::from)?;
            // The transaction, which tells it, is kept until it has.
            let stamp = stamp.await;
            drop(committed);
            Ok(stamp)
        };
        let stamp = outcome::commit(commit).await?;
        // It has committed: whatever goes wrong now leaves only the place unknown.
        let stamp = stamp.ok().and_then(|stamp| <[u8; 10]>::try_from(&stamp[..]).ok());
        let versionstamp = Versionstamp(stamp.ok_or(Error::CommitUnknown)?);
        Ok(Committed { version: versionstamp.version(), versionstamp })
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        if self.stop.is_cancelled() {
            return futures::future::ready(Err(Error::Closed)).boxed();
        }
        match self.watched.watch(key.clone(), at, || self.native_watch(&key, at)) {
            Ok(member) => member.boxed(),
            Err(error) => futures::future::ready(Err(error)).boxed(),
        }
    }

    async fn close(&self) {
        self.stop.cancel();
        self.commits.close();
        self.commits.wait().await;
    }
}

/// What holds a versionstamp ends in four octets that say where it goes.
fn placed(mut octets: Vec<u8>, offset: usize) -> Result<Vec<u8>> {
    let offset = u32::try_from(offset);
    let offset = offset.map_err(|_| Error::Invalid("versionstamp outside of its key or value".into()))?;
    octets.extend_from_slice(&offset.to_le_bytes());
    Ok(octets)
}

fn native(version: Version) -> Result<i64> {
    i64::try_from(version.0).map_err(|_| Error::Invalid("a version past FoundationDB's".into()))
}

fn of_version(version: i64) -> Error {
    Error::Corrupt(format!("FoundationDB's read version is {version}").into())
}

fn unavailable(text: String) -> Error {
    Error::Unavailable(text.into())
}
