//! The object store as the body store uses it: names, retries within the caller's patience, errors sorted
//! by what the caller can do. Correctness rests on no conditional request: names are unique.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::record::SegmentId;
use crate::kv::key::subspace;
use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::types::{BodyId, DomainId};
use crate::{Error, Result};

/// First pause before a request is made again; doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// After a write failed for good, long bodies are not tried on the object store for so long.
const AWAY_FOR: Duration = Duration::from_secs(10);

/// What an object holds, and so its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ObjectName {
    /// One long body.
    Body(BodyId),
    /// Many bodies.
    Segment(SegmentId),
    /// A domain's key, wrapped by the cluster's.
    DomainKey(DomainId),
}

impl ObjectName {
    /// The folders of the three kinds.
    pub(super) const FOLDERS: [&'static str; 3] = ["bodies", "segments", "keys"];

    /// Its path in the object store.
    pub(super) fn path(self) -> Path {
        let (folder, name) = match self {
            Self::Body(id) => (0, id.to_string()),
            Self::Segment(id) => (1, BodyId(id.0).to_string()),
            Self::DomainKey(id) => (2, format!("{:016x}", id.0)),
        };
        Path::from_iter([Self::FOLDERS[folder], name.as_str()])
    }

    /// The name of a listed path; `None` for what the body store did not write.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let (folder, name) = path.as_ref().split_once('/')?;
        let id = u128::from_str_radix(name, 16).ok()?;
        let found = match Self::FOLDERS.iter().position(|known| *known == folder)? {
            0 => Self::Body(BodyId(id.to_be_bytes())),
            1 => Self::Segment(SegmentId(id.to_be_bytes())),
            _ => Self::DomainKey(DomainId(u64::try_from(id).ok()?)),
        };
        (found.path() == *path).then_some(found)
    }

    /// `U upload`: how it stands while it is not settled.
    pub(super) fn key(self) -> Bytes {
        let key = KeyWriter::new(subspace::UPLOAD);
        match self {
            Self::Body(id) => key.u8(0).fixed(&id.0),
            Self::Segment(id) => key.u8(1).fixed(&id.0),
            Self::DomainKey(id) => key.u8(2).u64(id.0),
        }
        .finish()
    }

    /// All objects that are not settled.
    pub(super) fn keys() -> KeyRange {
        KeyRange::prefix(&[subspace::UPLOAD])
    }

    /// The name of a `U` key.
    pub(super) fn of_key(key: &[u8]) -> Result<Self> {
        let mut reader = KeyReader::new(key, subspace::UPLOAD)?;
        match reader.u8()? {
            0 => Ok(Self::Body(BodyId(reader.fixed()?))),
            1 => Ok(Self::Segment(SegmentId(reader.fixed()?))),
            2 => Ok(Self::DomainKey(DomainId(reader.u64()?))),
            _ => Err(Error::Corrupt("upload of an unknown kind".into())),
        }
    }
}

/// The object store, with retries.
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    patience: Duration,
    away_until: Mutex<Option<Instant>>,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, patience: Duration) -> Self {
        Self { store, patience, away_until: Mutex::new(None) }
    }

    /// Whether a write failed for good a moment ago.
    pub(super) fn is_away(&self) -> bool {
        self.away_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Writes an object whole; it is durable when this returns.
    pub(super) async fn put(&self, name: ObjectName, payload: PutPayload) -> Result<()> {
        let path = name.path();
        let put = self.retried(|| self.store.put(&path, payload.clone())).await;
        self.written(put.map(|_| ()))
    }

    /// Begins an upload in parts.
    pub(super) async fn put_multipart(&self, name: ObjectName) -> Result<Box<dyn MultipartUpload>> {
        let path = name.path();
        let begun = self.retried(|| self.store.put_multipart(&path)).await;
        self.written(begun)
    }

    /// Remembers how a write went.
    pub(super) fn written<T>(&self, outcome: object_store::Result<T>) -> Result<T> {
        *self.away_until.lock() = outcome.is_err().then(|| Instant::now() + AWAY_FOR);
        outcome.map_err(sorted)
    }

    /// A range of an object. `NotFound` if there is no such object.
    pub(super) async fn get(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes> {
        let path = name.path();
        let wanted = range.end - range.start;
        let octets = self.retried(|| self.store.get_range(&path, range.clone())).await.map_err(sorted)?;
        if octets.len() as u64 == wanted { Ok(octets) } else { Err(cut_short(name)) }
    }

    /// Several ranges of an object, in ascending order.
    pub(super) async fn get_ranges(&self, name: ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = name.path();
        let read = self.retried(|| self.store.get_ranges(&path, ranges)).await.map_err(sorted)?;
        let whole = |(octets, range): (&Bytes, &Range<u64>)| octets.len() as u64 == range.end - range.start;
        if read.len() == ranges.len() && read.iter().zip(ranges).all(whole) {
            Ok(read)
        } else {
            Err(cut_short(name))
        }
    }

    /// The length of an object; `None` if there is none.
    pub(super) async fn size(&self, name: ObjectName) -> Result<Option<u64>> {
        let path = name.path();
        match self.retried(|| self.store.head(&path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(sorted(error)),
        }
    }

    /// Deletes an object; one that is not there counts as deleted.
    pub(super) async fn delete(&self, name: ObjectName) -> Result<()> {
        let path = name.path();
        match self.retried(|| self.store.delete(&path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(sorted(error)),
        }
    }

    /// All objects of a folder, with their lengths.
    pub(super) fn list(&self, folder: &str) -> BoxStream<'static, Result<(Path, u64)>> {
        let listed = self.store.list(Some(&Path::from(folder)));
        listed.map_ok(|meta| (meta.location, meta.size)).map_err(sorted).boxed()
    }

    /// Makes a request again after faults, with jittered pauses, while patience lasts.
    async fn retried<T, F>(&self, request: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let end = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match request().await {
                Err(error) if is_fault(&error) && Instant::now() + pause < end => {
                    tracing::debug!(%error, "object store request is made again");
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Whether the same request may succeed a moment later.
fn is_fault(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    !matches!(
        error,
        E::NotFound { .. }
            | E::AlreadyExists { .. }
            | E::InvalidPath { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::UnknownConfigurationKey { .. }
    ) && !is_disk_full(error)
}

fn is_disk_full(error: &object_store::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return crate::error::is_out_of_space(io);
        }
        source = cause.source();
    }
    false
}

fn sorted(error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { path, .. } => Error::NotFound(format!("object {path}").into()),
        error if is_disk_full(&error) => Error::Full(format!("object store: {error}").into()),
        error => Error::Unavailable(format!("object store: {error}").into()),
    }
}

fn cut_short(name: ObjectName) -> Error {
    Error::Corrupt(format!("object {} is cut short", name.path()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_from_paths_and_keys() {
        for name in [
            ObjectName::Body(BodyId([0xab; 16])),
            ObjectName::Segment(SegmentId([0; 16])),
            ObjectName::DomainKey(DomainId(77)),
        ] {
            assert_eq!(ObjectName::of(&name.path()), Some(name));
            assert_eq!(ObjectName::of_key(&name.key()).expect("own key"), name);
        }
        for foreign in ["bodies/x", "bodies/1", "segments/0/1", "elsewhere/00000000000000000000000000000000"]
        {
            assert_eq!(ObjectName::of(&Path::from(foreign)), None);
        }
    }
}
