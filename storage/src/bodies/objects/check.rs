//! What a bucket must be able to do, tried out on objects of its own before the first body goes there. Conditional
//! writes are looked at and reported; nothing rests on them.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error as E, ObjectStoreExt, PutMode, PutOptions};

use super::client::Objects;
use super::fault::{in_one_line, is_fault, sorted};
use crate::limits::UPLOAD_TIDIED;
use crate::types::{BodyId, Timestamp};
use crate::{Error, Result};

/// The folder of the objects on which it is tried.
const FOLDER: &str = "check";
/// Length of the parts that are tried: the least that S3 takes.
const PART_OCTETS: usize = 5 << 20;

/// What a create-only write does over an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalPut {
    /// It fails.
    Honoured,
    /// It overwrites.
    Ignored,
    /// The service knows no such thing.
    Refused,
}

/// What a bucket was found to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketReport {
    /// The bucket's name for people.
    pub bucket: String,
    /// Reported only.
    pub conditional_put: ConditionalPut,
}

/// What went wrong in a step: a fault of the moment, or what the service does otherwise than it must.
enum Failure {
    Fault(E),
    Lacks(String),
}

impl From<E> for Failure {
    fn from(error: E) -> Self {
        if is_fault(&error) { Self::Fault(error) } else { Self::Lacks(in_one_line(&error)) }
    }
}

fn must(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Lacks(what.to_owned())) }
}

impl Objects {
    /// Looks whose bucket it is and what it can do. `Invalid` names what only an operator can mend, `Unavailable` says that
    /// it must be looked at later. `None` for a folder: what it can do is known.
    pub(in crate::bodies) async fn check(&self) -> Result<Option<BucketReport>> {
        self.look().await?;
        let Some(remote) = &self.bucket.remote else { return Ok(None) };
        let folder = Path::from(FOLDER).join(BodyId::random().to_string());
        let trial = Trial { objects: self, folder: self.at(&folder), multipart: &*remote.multipart };
        let tried = trial.run().await;
        trial.tidy().await;
        match tried {
            Ok(conditional_put) => {
                self.guard.tried(Ok(()));
                Ok(Some(BucketReport { bucket: remote.name.clone(), conditional_put }))
            }
            Err((_, Failure::Fault(error))) => Err(sorted(error)),
            Err((step, Failure::Lacks(what))) => {
                let reason = format!("{} cannot hold mail: {step}: {what}", remote.name);
                self.guard.tried(Err(&reason));
                Err(Error::Invalid(reason.into()))
            }
        }
    }
}

/// One trial, on objects of its own.
struct Trial<'a> {
    objects: &'a Objects,
    folder: Path,
    multipart: &'a dyn MultipartStore,
}

impl Trial<'_> {
    async fn run(&self) -> Result<ConditionalPut, (&'static str, Failure)> {
        let named = |step| move |failure| (step, failure);
        self.writes().await.map_err(named("writing"))?;
        self.reads().await.map_err(named("reading what was written"))?;
        self.lists().await.map_err(named("listing"))?;
        self.overwrites().await.map_err(named("overwriting"))?;
        self.uploads().await.map_err(named("uploading in parts"))?;
        let conditional_put = self.conditional().await.map_err(named("a conditional write"))?;
        self.deletes().await.map_err(named("deleting"))?;
        Ok(conditional_put)
    }

    fn one(&self) -> Path {
        self.folder.clone().join("one")
    }

    fn parts(&self) -> Path {
        self.folder.clone().join("parts")
    }

    async fn put(&self, octets: &'static [u8]) -> Result<(), Failure> {
        let path = self.one();
        let payload = Bytes::from_static(octets);
        self.objects.retried(0, || self.objects.store().put(&path, payload.clone().into())).await?;
        Ok(())
    }

    async fn writes(&self) -> Result<(), Failure> {
        self.put(b"0123456789").await
    }

    async fn whole(&self, path: &Path, octets: u64) -> Result<Bytes, Failure> {
        let read = || async { self.objects.store().get(path).await?.bytes().await };
        Ok(self.objects.retried(octets, read).await?)
    }

    async fn reads(&self) -> Result<(), Failure> {
        let path = self.one();
        must(self.whole(&path, 0).await? == b"0123456789"[..], "other octets came back")?;
        let range = self.objects.retried(0, || self.objects.store().get_range(&path, 3..7)).await?;
        must(range == b"3456"[..], "a range came back as something else")?;
        must(self.objects.size_at(&path).await? == Some(10), "its length is told wrong")?;
        let absent = self.objects.size_at(&self.folder.clone().join("absent")).await?;
        must(absent.is_none(), "an object is told of that was never written")
    }

    async fn lists(&self) -> Result<(), Failure> {
        let list = || self.objects.store().list(Some(&self.folder)).try_collect::<Vec<_>>();
        let listed = self.objects.retried(0, list).await?;
        let found = listed.iter().any(|meta| meta.location == self.one() && meta.size == 10);
        must(found, "an object is missing that was just written")?;
        must(listed.len() == 1, "objects are listed that do not begin with what was asked for")
    }

    async fn overwrites(&self) -> Result<(), Failure> {
        self.put(b"other").await?;
        must(self.whole(&self.one(), 0).await? == b"other"[..], "the former octets came back")
    }

    async fn uploads(&self) -> Result<(), Failure> {
        let (objects, path, store) = (self.objects, self.parts(), self.multipart);
        let id = objects.retried(0, || store.create_multipart(&path)).await?;
        let mut sent = Vec::new();
        for (number, part) in
            [Bytes::from(vec![b'a'; PART_OCTETS]), Bytes::from_static(b"b")].iter().enumerate()
        {
            let send = || store.put_part(&path, &id, number, part.clone().into());
            sent.push(objects.retried(part.len() as u64, send).await?);
        }
        let completed = objects.retried(0, || store.complete_multipart(&path, &id, sent.clone())).await;
        let octets = PART_OCTETS as u64 + 1;
        // After a lost answer the upload is unknown, and the object is there.
        if objects.size_at(&path).await? != Some(octets) {
            completed?;
            return must(false, "the object's length is told wrong");
        }
        let end = objects.retried(0, || objects.store().get_range(&path, octets - 2..octets)).await?;
        must(end == b"ab"[..], "the parts came back in another order")
    }

    async fn conditional(&self) -> Result<ConditionalPut, Failure> {
        let path = self.one();
        let create = || {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.objects.store().put_opts(&path, Bytes::from_static(b"again").into(), options)
        };
        match self.objects.retried(0, create).await {
            Ok(_) => Ok(ConditionalPut::Ignored),
            Err(E::AlreadyExists { .. } | E::Precondition { .. }) => Ok(ConditionalPut::Honoured),
            // 501 and the like: whatever the service says to it, nothing is built on it.
            Err(_) => Ok(ConditionalPut::Refused),
        }
    }

    async fn deletes(&self) -> Result<(), Failure> {
        for path in [self.one(), self.parts()] {
            self.objects.delete_at(&path).await?;
            must(self.objects.size_at(&path).await?.is_none(), "an object is still there")?;
        }
        Ok(())
    }

    /// Deletes what this trial left, and what those left a day ago that were cut off.
    async fn tidy(&self) {
        let now = Timestamp::now().as_millis();
        let all = self.objects.at(&Path::from(FOLDER));
        let tidied = async {
            let listed: Vec<_> = self.objects.store().list(Some(&all)).try_collect().await?;
            for meta in listed {
                let age = now - meta.last_modified.timestamp_millis();
                let is_own = meta.location.prefix_matches(&self.folder);
                if is_own || age > UPLOAD_TIDIED.as_millis() as i64 {
                    self.objects.delete_at(&meta.location).await?;
                }
            }
            Ok::<_, E>(())
        };
        if let Err(error) = tidied.await {
            tracing::debug!(%error, "what the trial of the bucket left is deleted after a later one");
        }
    }
}
