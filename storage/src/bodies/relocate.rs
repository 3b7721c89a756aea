//! Moves all objects to another place: each is copied in parts, read back, and noted in the metadata that are being filled,
//! so that a run that was cut off goes on behind it. Objects never change under their names, so copying may begin while
//! servers still use the source. Nothing is deleted there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::PutPayload;

use super::keys;
use super::objects::{Bucket, Claim, ObjectName, Objects};
use crate::kv::{Database, KeyRange, RangeOptions, Transaction};
use crate::limits::{MOVE_OBJECTS_TOGETHER, MOVE_PAGE_PAIRS, MOVE_PART_OCTETS, MOVE_PATIENCE};
use crate::migrate::{Side, copied_object, copied_objects, upload_of, uploads};
use crate::{Error, Result};

/// Whose metadata they are, and whether their bucket bears the mark of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity(Claim);

impl Identity {
    /// The id that a bucket's mark names.
    pub(crate) fn cluster(self) -> [u8; 16] {
        self.0.cluster.0
    }
}

/// The identity, if these metadata have one: a server has used them.
pub async fn identity(db: &Database) -> Result<Option<Identity>> {
    db.run(async |tx| Ok(Claim::known(tx).await?.map(Identity))).await
}

/// Notes in metadata whose objects were moved that the new place bears the mark.
pub(crate) fn set_placed(tx: &mut Transaction) {
    tx.set(keys::placed(), Bytes::new());
}

/// Objects and their octets, in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    /// Objects.
    pub objects: u64,
    /// Their octets.
    pub octets: u64,
}

/// What a move of objects has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relocated {
    /// What was looked at.
    pub seen: Stock,
    /// What of it was copied and read back by this run.
    pub copied: Stock,
}

/// A move of objects.
pub struct Relocation {
    source: Arc<Objects>,
    target: Arc<Objects>,
    notes: Database,
    identity: Option<Identity>,
}

#[derive(Default)]
struct Counters {
    objects: AtomicU64,
    octets: AtomicU64,
}

impl Counters {
    fn add(&self, octets: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    fn stock(&self) -> Stock {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stock { objects: read(&self.objects), octets: read(&self.octets) }
    }
}

impl Relocation {
    /// From one place to another; `notes` keeps what was done. Without an identity, which nobody knows while a server has the
    /// metadata to itself, the target is not marked yet.
    pub fn new(source: Bucket, target: Bucket, notes: Database, identity: Option<Identity>) -> Self {
        // A place that bore the mark and does not is not mounted, or another one.
        let known = identity.map(|Identity(claim)| claim).filter(|claim| claim.is_placed);
        let claimed = identity.map(|Identity(claim)| Claim { is_placed: false, ..claim });
        Self {
            source: Objects::new(source, MOVE_PATIENCE, known),
            target: Objects::new(target, MOVE_PATIENCE, claimed),
            notes,
            identity,
        }
    }

    /// Looks whether the target is fit, and marks it. `is_new`: no earlier run has written there; then `Invalid` where there
    /// is anything.
    pub async fn prepare(&self, is_new: bool) -> Result<()> {
        if is_new {
            let held = self.stock(Side::Target).await?;
            let is_marked = self.identity.is_none() && self.target.mark().await?.is_some();
            if held.objects > 0 || is_marked {
                let name = self.target.bucket().name();
                let text = format!("{name}, where bodies are to lie, is not empty: {} objects", held.objects);
                return Err(Error::Invalid(text.into()));
            }
        }
        self.source.is_back().await.map_err(|error| Side::Source.told(error))?;
        self.target.check().await.map_err(|error| Side::Target.told(error))?;
        self.abort_uploads().await
    }

    /// What lies at the source, or at the target.
    pub async fn stock(&self, side: Side) -> Result<Stock> {
        let counters = Counters::default();
        for folder in ObjectName::FOLDERS {
            let mut listed = self.of(side).list(folder);
            while let Some((_, octets)) = listed.try_next().await.map_err(|error| side.told(error))? {
                counters.add(octets);
            }
        }
        Ok(counters.stock())
    }

    /// Copies what was not copied yet, and deletes at the target what the source has no more. `watcher` is told after each
    /// object.
    pub async fn run(&self, watcher: &(dyn Fn(&Relocated) + Send + Sync)) -> Result<Relocated> {
        let (seen, copied) = (Counters::default(), Counters::default());
        let so_far = || Relocated { seen: seen.stock(), copied: copied.stock() };
        for folder in ObjectName::FOLDERS {
            let listed = self.source.list(folder).map_err(|error| Side::Source.told(error));
            let move_one = async |(path, octets)| {
                let Some(name) = ObjectName::of(&path) else { return Ok(()) };
                if self.move_one(name, octets).await? {
                    copied.add(octets);
                }
                seen.add(octets);
                watcher(&so_far());
                Ok::<_, Error>(())
            };
            listed.try_for_each_concurrent(MOVE_OBJECTS_TOGETHER, move_one).await?;
        }
        self.delete_gone(seen.stock().objects).await?;
        Ok(so_far())
    }

    fn of(&self, side: Side) -> &Arc<Objects> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Whether it had to be copied.
    async fn move_one(&self, name: ObjectName, octets: u64) -> Result<bool> {
        let key = copied_object(|key| name.behind(key));
        let noted = Side::Target.asked(async || self.notes.begin().get_snapshot(&key).await).await?;
        if noted.is_some_and(|noted| noted.starts_with(&octets.to_be_bytes())) {
            return Ok(false);
        }
        let digest = match self.copy(name, octets).await {
            // It was listed, and a server has let it go since.
            Err(Error::NotFound(_)) => return Ok(false),
            digest => digest?,
        };
        if self.read_back(name, octets).await? != digest {
            let text = format!("{name:?} was read back from the new place as something else");
            return Err(Error::Corrupt(text.into()));
        }
        let noted = [&octets.to_be_bytes()[..], digest.as_bytes()].concat();
        let upload = upload_of(|key| name.behind(key));
        self.note(|tx| {
            tx.set(key.clone(), noted.clone());
            tx.clear(upload.clone());
        })
        .await?;
        Ok(true)
    }

    /// Gives the digest of what was read.
    async fn copy(&self, name: ObjectName, octets: u64) -> Result<blake3::Hash> {
        if octets <= MOVE_PART_OCTETS {
            let whole = self.read(Side::Source, name, 0..octets).await?;
            let digest = blake3::hash(&whole);
            let put = self.target.put(name, PutPayload::from(whole)).await;
            return put.map(|()| digest).map_err(|error| Side::Target.told(error));
        }
        let upload = self.target.begin_parts(name).await;
        let (mut digest, mut upload) =
            (blake3::Hasher::new(), upload.map_err(|error| Side::Target.told(error))?);
        if let Some(id) = upload.id() {
            let (key, id) = (upload_of(|key| name.behind(key)), Bytes::copy_from_slice(id));
            self.note(|tx| tx.set(key.clone(), id.clone())).await?;
        }
        for range in parts(octets) {
            let part = self.read(Side::Source, name, range).await?;
            digest.update(&part);
            let sent = upload.send(PutPayload::from(part)).await;
            upload.sent(sent.map_err(|error| Side::Target.told(error))?);
        }
        upload.complete().await.map_err(|error| Side::Target.told(error))?;
        Ok(digest.finalize())
    }

    async fn read_back(&self, name: ObjectName, octets: u64) -> Result<blake3::Hash> {
        let mut digest = blake3::Hasher::new();
        if self.target.size(name).await.map_err(|error| Side::Target.told(error))? != Some(octets) {
            return Err(Error::Corrupt(format!("{name:?} has another length in the new place").into()));
        }
        for range in parts(octets) {
            digest.update(&self.read(Side::Target, name, range).await?);
        }
        Ok(digest.finalize())
    }

    async fn read(&self, side: Side, name: ObjectName, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.of(side).get(name, range).await.map_err(|error| side.told(error))
    }

    async fn note(&self, change: impl Fn(&mut Transaction) + Send + Sync) -> Result<()> {
        let note = async || {
            let run = self.notes.run_repeatable(async |tx| {
                change(tx);
                Ok(())
            });
            run.await
        };
        Side::Target.asked(note).await
    }

    /// A service keeps, and charges for, the parts of uploads that nobody ends: those of a run that was cut off.
    async fn abort_uploads(&self) -> Result<()> {
        let noted = async || {
            self.notes.run(async |tx| tx.range(uploads(), RangeOptions::default()).collect().await).await
        };
        for (key, id) in Side::Target.asked(noted).await? {
            let name = ObjectName::noted(&key)?;
            self.target.abort_parts(name, &id).await.map_err(|error| Side::Target.told(error))?;
            self.note(|tx| tx.clear(key.clone())).await?;
        }
        Ok(())
    }

    /// Deletes at the target what an earlier run copied and the source has no more. Nothing is asked where as many objects
    /// are noted as there are.
    async fn delete_gone(&self, there: u64) -> Result<()> {
        let mut noted = 0;
        let mut left = copied_objects();
        loop {
            let page = self.noted(&left).await?;
            let Some((last, _)) = page.last() else { break };
            left.begin = KeyRange::key(last).end;
            noted += page.len() as u64;
        }
        let mut left = if noted == there { return Ok(()) } else { copied_objects() };
        loop {
            let page = self.noted(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            left.begin = KeyRange::key(last).end;
            for (key, _) in page {
                self.delete_if_gone(key).await?;
            }
        }
    }

    async fn delete_if_gone(&self, key: Bytes) -> Result<()> {
        let name = ObjectName::noted(&key)?;
        if self.source.size(name).await.map_err(|error| Side::Source.told(error))?.is_some() {
            return Ok(());
        }
        self.target.delete(name).await.map_err(|error| Side::Target.told(error))?;
        self.note(|tx| tx.clear(key.clone())).await
    }

    async fn noted(&self, range: &KeyRange) -> Result<Vec<(Bytes, Bytes)>> {
        let options =
            RangeOptions { limit: Some(MOVE_PAGE_PAIRS), snapshot: true, ..RangeOptions::default() };
        let read = async || self.notes.run(async |tx| tx.range(range.clone(), options).collect().await).await;
        Side::Target.asked(read).await
    }
}

/// The ranges in which an object is moved.
fn parts(octets: u64) -> impl Iterator<Item = Range<u64>> {
    (0..octets.div_ceil(MOVE_PART_OCTETS))
        .map(move |number| number * MOVE_PART_OCTETS..octets.min((number + 1) * MOVE_PART_OCTETS))
}
