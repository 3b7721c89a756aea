//! Running closures as transactions: reruns after conflicts, and once only under an operation's id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Unread;
use super::engine::{Committed, Engine, OwnCopy};
use super::operation;
use super::range::{KeyRange, RangeOptions, key_after};
use super::reruns::Reruns;
use super::transaction::Transaction;
use crate::types::{OperationId, Timestamp};
use crate::{Result, limits};

/// A handle on an engine; cheap to clone.
#[derive(Clone)]
pub struct Database {
    engine: Arc<dyn Engine>,
    clock: Unread,
}

/// What [`Database::run`] takes: a closure `async |tx: &mut Transaction| …` that may borrow from around it
/// (so it is written without `move`) and whose future can be sent between threads. Never implemented by hand.
pub trait Body<'t, T>: Send + Sync {
    /// The closure's future.
    type Future: Future<Output = Result<T>> + Send;

    /// Runs it on a fresh transaction.
    fn call(&self, transaction: &'t mut Transaction) -> Self::Future;
}

impl<'t, T, F, Fut> Body<'t, T> for F
where
    F: Fn(&'t mut Transaction) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T>> + Send,
{
    type Future = Fut;

    fn call(&self, transaction: &'t mut Transaction) -> Fut {
        self(transaction)
    }
}

impl Database {
    /// Over the engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { clock: Unread::new(engine.clone()), engine }
    }

    /// Whether both are handles on one engine.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.engine, &other.engine)
    }

    /// What this node keeps of it itself, without asking anybody: see [`OwnCopy`].
    pub fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
        self.engine.copy()
    }

    pub(super) fn unread_clock(&self) -> &Unread {
        &self.clock
    }

    /// A transaction by hand. Most callers want [`Database::run`].
    pub fn begin(&self) -> Transaction {
        Transaction::new(self.engine.clone(), self.clock.clone())
    }

    /// Runs the closure and commits; reruns it after `Conflict` and `TooOld` with jittered backoff, at
    /// most [`limits::TRANSACTION_ATTEMPTS`] times, then `Overloaded`. The closure must have no effect
    /// beside the transaction. `CommitUnknown` goes to the caller: where that matters, use
    /// [`Database::run_repeatable`] or [`Database::run_once`].
    pub fn run<'a, T, F>(&'a self, body: F) -> BoxFuture<'a, Result<T>>
    where
        T: Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        let run = self.run_stamped(body);
        Box::pin(async move { Ok(run.await?.0) })
    }

    /// As [`Database::run`], and where the commit stands. Of a closure that wrote nothing the
    /// versionstamp is all zeros.
    pub fn run_stamped<'a, T, F>(&'a self, body: F) -> BoxFuture<'a, Result<(T, Committed)>>
    where
        T: Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        self.run_again(Reruns::default(), body)
    }

    /// As [`Database::run`], and rerun after `CommitUnknown` too, until it is known how the commit ended: for a closure
    /// that changes nothing more where an earlier run of it was committed, since it writes the same, or looks up the
    /// results of its operations and records them ([`operation`]). `CommitUnknown` only where that is still not known
    /// after [`limits::DOUBT_PATIENCE`], or the engine is shutting down.
    pub fn run_repeatable<'a, T, F>(&'a self, body: F) -> BoxFuture<'a, Result<T>>
    where
        T: Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        let run = self.run_again(Reruns::of_repeatable(), body);
        Box::pin(async move { Ok(run.await?.0) })
    }

    fn run_again<'a, T, F>(&'a self, mut reruns: Reruns, body: F) -> BoxFuture<'a, Result<(T, Committed)>>
    where
        T: Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        Box::pin(async move {
            loop {
                let mut transaction = self.begin();
                let outcome = match body.call(&mut transaction).await {
                    Ok(value) => transaction.commit().await.map(|committed| (value, committed)),
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(done) => return Ok(done),
                    Err(error) => reruns.after(error).await?,
                }
            }
        })
    }

    /// As [`Database::run_repeatable`], of any closure: the result is stored under the operation's id in the same
    /// transaction and looked up first, so that a rerun (here, or by anyone within [`limits::OPERATION_KEPT`]) gives
    /// the first result.
    pub fn run_once<'a, T, F>(&'a self, operation: OperationId, body: F) -> BoxFuture<'a, Result<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        self.run_once_kept(operation, limits::OPERATION_KEPT, body)
    }

    /// As [`Database::run_once`], the result being kept for another time: longer than anything can retry.
    pub fn run_once_kept<'a, T, F>(
        &'a self,
        operation: OperationId,
        kept: Duration,
        body: F,
    ) -> BoxFuture<'a, Result<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        F: AsyncFn(&mut Transaction) -> Result<T> + for<'t> Body<'t, T> + 'a,
    {
        Box::pin(async move {
            let once = async |tx: &mut Transaction| -> Result<T> {
                let until = tx.now().await?.plus(kept);
                if let Some(result) = operation::result(tx, operation).await? {
                    return Ok(result);
                }
                let value = body.call(tx).await?;
                operation::record(tx, operation, until, &value)?;
                Ok(value)
            };
            self.run_repeatable(once).await
        })
    }

    /// Removes the results of operations whose time is over at `now`, and tells how many. For a background worker.
    pub async fn trim_operations(&self, now: Timestamp) -> Result<usize> {
        let mut removed = 0;
        for mut range in operation::due(now) {
            loop {
                let from = range.clone();
                let (last, count) = self.run(async |tx| operation::trim_some(tx, &from).await).await?;
                removed += count;
                match last {
                    Some(last) => range.begin = key_after(&last),
                    None => break,
                }
            }
        }
        Ok(removed)
    }

    /// Clears a range that may hold any number of keys, in several transactions, since one clears no more than
    /// [`limits::CLEAR_RANGE_KEYS`]. For background workers; keys added to the range meanwhile may stay.
    pub async fn clear_in_steps(&self, mut range: KeyRange) -> Result<()> {
        loop {
            let from = range.clone();
            match self.run(async |tx| clear_some(tx, &from).await).await? {
                Some(end) => range.begin = end,
                None => return Ok(()),
            }
        }
    }

    /// Ends the engine's background work; commits in flight are finished first.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

/// Clears the first keys of the range; gives where the rest begins, if there may be one.
async fn clear_some(tx: &mut Transaction, range: &KeyRange) -> Result<Option<Bytes>> {
    let limit = limits::RANGE_CHUNK_PAIRS;
    let options = RangeOptions { limit: Some(limit), snapshot: true, ..RangeOptions::default() };
    let pairs = tx.range(range.clone(), options).collect().await?;
    let Some((last, _)) = pairs.last() else { return Ok(None) };
    let end = key_after(last);
    tx.clear_range(KeyRange::new(range.begin.clone(), end.clone()));
    Ok((pairs.len() == limit).then_some(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::kv::Memory;

    #[tokio::test]
    async fn reruns_are_bounded() {
        let database = Database::new(Memory::new());
        let runs = std::sync::atomic::AtomicU32::new(0);
        let conflicting = async |_: &mut Transaction| -> Result<()> {
            runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Err(Error::Conflict)
        };
        let outcome = database.run(conflicting).await;
        assert!(matches!(outcome, Err(Error::Overloaded(_))));
        assert_eq!(runs.into_inner(), limits::TRANSACTION_ATTEMPTS);
    }

    #[tokio::test]
    async fn a_run_can_be_spawned_and_borrow() {
        let database = Database::new(Memory::new());
        let task = tokio::spawn(async move {
            let key = b"key".to_vec();
            let borrowed = &key;
            let write = async |tx: &mut Transaction| {
                let mut pairs = tx.range(KeyRange::prefix(b"k"), RangeOptions::default());
                while let Some((key, _)) = pairs.next().await? {
                    assert_ne!(key, borrowed);
                }
                drop(pairs);
                tx.set(borrowed.clone(), "value");
                tx.get(borrowed).await
            };
            let seen = database.run(write).await?;
            let length = database.run_once(OperationId::random(), async |tx| {
                let value = tx.get(borrowed).await?;
                Ok(value.map_or(0, |value| value.len()))
            });
            Ok::<_, Error>((seen, length.await?))
        });
        let (seen, length) = task.await.expect("joins").expect("commits");
        assert_eq!((seen.as_deref(), length), (Some(&b"value"[..]), 5));
    }

    #[tokio::test]
    async fn a_conflict_reruns_the_closure() {
        let database = Database::new(Memory::new());
        let tasks = (0..8).map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let increment = async |tx: &mut Transaction| {
                    let count = tx.get(b"count").await?.map_or(0, |value| value[0]);
                    tokio::task::yield_now().await;
                    tx.set("count", vec![count + 1]);
                    Ok(())
                };
                database.run(increment).await
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("joins").expect("commits");
        }
        let count = database.run(async |tx| tx.get(b"count").await).await.expect("reads");
        assert_eq!(count.as_deref(), Some(&[8][..]));
    }
}
