//! Requests: made again after faults while the caller's patience lasts, each within its time, a bounded number at once.
//! Correctness rests on no conditional request: names are unique.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, coalesce_ranges};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::fault::{NoAnswer, is_fault, is_range_refused, sorted};
use super::mark::{Claim, Guard};
use super::name::ObjectName;
use super::presence::Presence;
use crate::limits::REMOTE_GAP_OCTETS;
use crate::{Error, Result};

/// First pause before a request is made again; doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Slowest that octets may go, in octets a second.
const SLOWEST: u64 = 1 << 20;

/// The object store, with retries.
pub(in crate::bodies) struct Objects {
    pub(super) bucket: Bucket,
    pub(super) patience: Duration,
    pub(super) presence: Presence,
    pub(super) guard: Guard,
    permits: Semaphore,
}

impl Objects {
    /// `claim` is what a bucket that others reach must answer before anything is asked of it; `None` asks for nothing.
    pub(in crate::bodies) fn new(bucket: Bucket, patience: Duration, claim: Option<Claim>) -> Arc<Self> {
        let claim = claim.filter(|_| bucket.is_shared());
        let permits = bucket.remote.as_ref().map_or(Semaphore::MAX_PERMITS, |remote| remote.requests);
        Arc::new(Self {
            bucket,
            patience,
            presence: Presence::default(),
            guard: Guard::new(claim),
            permits: Semaphore::new(permits),
        })
    }

    /// Where the objects lie.
    pub(in crate::bodies) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Whether a request failed for good and none has succeeded since.
    pub(in crate::bodies) fn is_away(&self) -> bool {
        self.presence.is_away()
    }

    /// Whether a long body may be tried here now: it is kept in pieces else.
    pub(in crate::bodies) fn may_try(&self) -> bool {
        self.presence.may_try(Instant::now())
    }

    /// How many requests failed for good so far.
    pub(in crate::bodies) fn failures(&self) -> u64 {
        self.presence.failures()
    }

    /// Returns once anybody's request was answered after one failed for good that is not among the first `known`.
    pub(in crate::bodies) async fn is_back_after(&self, known: u64) {
        self.presence.is_back_after(known).await;
    }

    /// Returns once the object store answers, if it was away; `Unavailable` if it still is.
    pub(in crate::bodies) async fn is_back(&self) -> Result<()> {
        self.admitted().await?;
        self.is_mounted().await?;
        if self.bucket.remote.is_some() && self.is_away() { self.mark().await.map(drop) } else { Ok(()) }
    }

    pub(super) fn store(&self) -> &dyn ObjectStore {
        &*self.bucket.store
    }

    /// A name's path in the bucket.
    pub(super) fn at(&self, name: &Path) -> Path {
        Path::from_iter(self.bucket.prefix.parts().chain(name.parts()))
    }

    /// Writes an object whole; it is durable when this returns.
    pub(in crate::bodies) async fn put(&self, name: ObjectName, payload: PutPayload) -> Result<()> {
        self.admitted().await?;
        self.is_mounted().await?;
        let (path, octets) = (self.at(&name.path()), payload.content_length() as u64);
        let put = self.retried(octets, || self.store().put(&path, payload.clone())).await;
        self.written(put.map(drop))?;
        self.is_mounted().await
    }

    /// Remembers how a write went.
    pub(super) fn written<T>(&self, outcome: object_store::Result<T>) -> Result<T> {
        self.answered(&outcome);
        outcome.map_err(sorted)
    }

    /// Remembers how a request went: what is refused or not there was still answered.
    pub(super) fn answered<T>(&self, outcome: &object_store::Result<T>) {
        match outcome {
            Err(error) if is_fault(error) => self.presence.gone(Instant::now()),
            // Nothing is there where a folder's mount is gone.
            Err(object_store::Error::NotFound { .. }) if self.bucket.shared_folder.is_some() => {}
            _ => self.presence.here(),
        }
    }

    /// A range of an object. `NotFound` if there is no such object; `Unavailable` at once while the object store is away.
    pub(in crate::bodies) async fn get(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes> {
        self.readable().await?;
        let path = self.at(&name.path());
        let wanted = range.end - range.start;
        let read = self.retried(wanted, || self.store().get_range(&path, range.clone())).await;
        self.answered(&read);
        match read {
            Ok(octets) if octets.len() as u64 == wanted => Ok(octets),
            Ok(_) => Err(cut_short(name)),
            Err(error) if is_range_refused(&error) => Err(cut_short(name)),
            Err(error) => Err(sorted(error)),
        }
    }

    /// Several ranges of an object, in ascending order.
    pub(in crate::bodies) async fn get_ranges(
        &self,
        name: ObjectName,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        if self.bucket.remote.is_some() {
            // Each by itself, so that a fault costs no more than what it hit.
            let get = |range: Range<u64>| self.get(name, range);
            return coalesce_ranges(ranges, get, REMOTE_GAP_OCTETS).await;
        }
        let path = self.at(&name.path());
        let read = self.retried(0, || self.store().get_ranges(&path, ranges)).await.map_err(sorted)?;
        let whole = |(octets, range): (&Bytes, &Range<u64>)| octets.len() as u64 == range.end - range.start;
        if read.len() == ranges.len() && read.iter().zip(ranges).all(whole) {
            Ok(read)
        } else {
            Err(cut_short(name))
        }
    }

    /// The length of an object; `None` if there is none.
    pub(in crate::bodies) async fn size(&self, name: ObjectName) -> Result<Option<u64>> {
        self.readable().await?;
        let size = self.size_at(&self.at(&name.path())).await;
        self.answered(&size);
        size.map_err(sorted)
    }

    pub(super) async fn size_at(&self, path: &Path) -> object_store::Result<Option<u64>> {
        match self.retried(0, || self.store().head(path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; one that is not there counts as deleted.
    pub(in crate::bodies) async fn delete(&self, name: ObjectName) -> Result<()> {
        self.admitted().await?;
        self.is_mounted().await?;
        self.delete_at(&self.at(&name.path())).await.map_err(sorted)?;
        // What was not there may have been elsewhere.
        self.is_mounted().await
    }

    pub(super) async fn delete_at(&self, path: &Path) -> object_store::Result<()> {
        match self.retried(0, || self.store().delete(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All objects of a folder, with their lengths. Goes on behind the last one after faults.
    pub(in crate::bodies) fn list(&self, folder: &str) -> BoxStream<'_, Result<(Path, u64)>> {
        let listing = Listing {
            objects: self,
            folder: self.at(&Path::from(folder)),
            last: None,
            pages: None,
            patient_until: None,
            pause: FIRST_PAUSE,
        };
        stream::try_unfold(listing, Listing::step).boxed()
    }

    /// Makes a request again after faults, with jittered pauses, while patience lasts, beside what the octets take that
    /// go either way. While the object store is away there is one try: it tells whether that is still so.
    pub(super) async fn retried<T, F>(&self, octets: u64, request: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let end = Instant::now() + self.patience + time_of(octets);
        let is_patient = self.patience > Duration::ZERO && !self.is_away();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.in_time(octets, request()).await {
                Err(error) if is_fault(&error) && is_patient && Instant::now() + pause < end => {
                    tracing::debug!(%error, "object store request is made again");
                    pause = paused(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// One try, within the time that it may take. Whoever makes it: that it succeeds tells that the object store is here.
    async fn in_time<T>(
        &self,
        octets: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        let outcome = self.tried(octets, request).await;
        if outcome.is_ok() {
            self.presence.here();
        }
        outcome
    }

    async fn tried<T>(
        &self,
        octets: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        let Some(remote) = &self.bucket.remote else { return request.await };
        let time = remote.timeout + time_of(octets);
        let permitted = async {
            let _permit = self.permits.acquire().await.expect("never closed");
            request.await
        };
        tokio::time::timeout(time, permitted).await.map_err(|_| NoAnswer(time))?
    }
}

/// What octets may take.
fn time_of(octets: u64) -> Duration {
    Duration::from_millis(octets * 1000 / SLOWEST)
}

/// Sleeps, and gives the next pause.
async fn paused(pause: Duration) -> Duration {
    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    (pause * 2).min(LONGEST_PAUSE)
}

fn cut_short(name: ObjectName) -> Error {
    Error::Corrupt(format!("object {} is cut short", name.path()).into())
}

/// A listing under way.
struct Listing<'a> {
    objects: &'a Objects,
    folder: Path,
    last: Option<Path>,
    pages: Option<BoxStream<'static, object_store::Result<object_store::ObjectMeta>>>,
    // Since the first of the present faults.
    patient_until: Option<Instant>,
    pause: Duration,
}

impl Listing<'_> {
    async fn step(mut self) -> Result<Option<((Path, u64), Self)>> {
        if self.last.is_none() && self.pages.is_none() {
            self.objects.readable().await?;
        }
        loop {
            let (objects, folder) = (self.objects, &self.folder);
            let pages = self.pages.get_or_insert_with(|| match &self.last {
                Some(last) => objects.store().list_with_offset(Some(folder), last),
                None => objects.store().list(Some(folder)),
            });
            match objects.in_time(0, pages.try_next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(meta)) => {
                    (self.patient_until, self.pause) = (None, FIRST_PAUSE);
                    let name = meta.location.prefix_match(&objects.bucket.prefix).map(Path::from_iter);
                    self.last = Some(meta.location);
                    if let Some(name) = name {
                        return Ok(Some(((name, meta.size), self)));
                    }
                }
                Err(error) => {
                    let patience = objects.patience;
                    let end = *self.patient_until.get_or_insert_with(|| Instant::now() + patience);
                    if !is_fault(&error) || Instant::now() + self.pause >= end {
                        return Err(sorted(error));
                    }
                    self.pages = None;
                    self.pause = paused(self.pause).await;
                }
            }
        }
    }
}
