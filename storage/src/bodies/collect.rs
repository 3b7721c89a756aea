//! Taking away what nobody refers to: bodies that lost their last reference, segments whose bodies are gone, uploads
//! that were never committed. What a record or a reference needs is never touched: each step looks again in the
//! transaction that decides.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::keys;
use super::objects::ObjectName;
use super::pack::leave;
use super::record::{BodyRecord, Place, SegmentId, Upload};
use super::store::Bodies;
use crate::kv::{KeyRange, RangeOptions, Transaction};
use crate::limits::{BODIES_TOGETHER, UPLOAD_TIDIED};
use crate::types::BodyId;
use crate::{Error, Result};

/// How often the object of an upload that was given up is deleted again.
const TIDIED_EVERY: Duration = Duration::from_secs(60 * 60);

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Bodies that nobody referred to any more.
    pub bodies: u64,
    /// Segments that were less than half live and were written anew.
    pub rewritten: u64,
    /// Segments and long bodies that wait for the end of the grace period.
    pub doomed: u64,
    /// Objects deleted.
    pub objects: u64,
    /// Uploads given up.
    pub abandoned: u64,
}

/// What the collector remembers from one look to the next. Lost with the process, it only takes longer.
#[derive(Default)]
pub(super) struct Memory {
    // How each unsettled object was last seen, and since when, on this process's monotonic clock.
    uploads: HashMap<ObjectName, (Upload, Instant)>,
    // The waste of segments at which there was nothing to do.
    pub(super) segments: HashMap<SegmentId, Bytes>,
}

impl Bodies {
    /// Collects once. One at a time; a second call waits for the first.
    pub async fn collect_once(&self) -> Result<Collected> {
        let mut memory = self.inner.collecting.lock().await;
        let mut collected = Collected::default();
        self.collect_candidates(&mut collected).await?;
        self.collect_segments(&mut memory, &mut collected).await?;
        self.settle_objects(&mut memory, &mut collected).await?;
        Ok(collected)
    }

    /// Bodies that lost a reference: gone, if it was the last.
    async fn collect_candidates(&self, collected: &mut Collected) -> Result<()> {
        let mut left = keys::candidates();
        loop {
            let page = self.page(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            left.begin = KeyRange::key(last).end;
            let ids = page.iter().map(|(key, _)| keys::indexed_body(key)).collect::<Result<Vec<_>>>()?;
            let run = self.inner.db.run(async |tx| {
                let mut removed = 0;
                for id in &ids {
                    removed += u64::from(remove_unreferenced(tx, *id).await?);
                }
                Ok(removed)
            });
            collected.bodies += run.await?;
        }
    }

    /// Objects that are not settled, each when its time has come.
    async fn settle_objects(&self, memory: &mut Memory, collected: &mut Collected) -> Result<()> {
        let now = Instant::now();
        let mut seen = HashMap::new();
        let (mut left, mut is_away) = (ObjectName::keys(), false);
        loop {
            let page = self.page(&left).await?;
            let Some((last, _)) = page.last() else { break };
            left.begin = KeyRange::key(last).end;
            for (key, value) in &page {
                let (name, upload) = (ObjectName::of_key(key)?, Upload::decode(value)?);
                let (was, since) = memory.uploads.get(&name).copied().unwrap_or((upload, now));
                let since = if was == upload { since } else { now };
                let known = memory.uploads.contains_key(&name) && was == upload;
                if is_away {
                    seen.insert(name, (upload, since));
                    continue;
                }
                match self.settle(name, upload, (since, now, known), collected).await {
                    Ok(Some(since)) => drop(seen.insert(name, (upload, since))),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(object = %name.path(), %error, "object cannot be settled yet");
                        // The next one would wait as long, for nothing.
                        is_away = matches!(error, Error::Unavailable(_));
                        seen.insert(name, (upload, since));
                    }
                }
            }
        }
        memory.uploads = seen;
        Ok(())
    }

    /// One unsettled object, first seen so at `since`. Gives since when it is to be remembered, if it still is unsettled.
    async fn settle(
        &self,
        name: ObjectName,
        upload: Upload,
        (since, now, known): (Instant, Instant, bool),
        collected: &mut Collected,
    ) -> Result<Option<Instant>> {
        let age = now.saturating_duration_since(since);
        match upload {
            Upload::Intended if age >= self.inner.config.upload_life => {
                let run = self.inner.db.run(async |tx| give_up(tx, name).await);
                collected.abandoned += u64::from(run.await?);
                Ok(None)
            }
            Upload::Dead if age >= self.inner.config.grace => {
                self.inner.objects.delete(name).await?;
                self.settled(name, upload).await?;
                collected.objects += 1;
                Ok(None)
            }
            Upload::Abandoned(until) if !known || age >= TIDIED_EVERY => {
                self.inner.db.run(async |tx| forget_pieces(tx, name).await).await?;
                self.abort_parts(name).await?;
                self.inner.objects.delete(name).await?;
                collected.objects += 1;
                if self.inner.db.now().await?.as_millis() >= until {
                    return self.settled(name, upload).await.map(|()| None);
                }
                Ok(Some(now))
            }
            Upload::Intended | Upload::Dead | Upload::Abandoned(_) => Ok(Some(since)),
        }
    }

    /// Aborts the upload in parts that an abandoned object may have been, so that its parts are not kept for ever.
    async fn abort_parts(&self, name: ObjectName) -> Result<()> {
        let key = keys::multipart(name);
        let Some(id) = self.inner.db.begin().get_snapshot(&key).await? else { return Ok(()) };
        self.inner.objects.abort_parts(name, &id).await?;
        let run = self.inner.db.run(async |tx| {
            tx.clear(key.clone());
            Ok(())
        });
        run.await
    }

    async fn settled(&self, name: ObjectName, upload: Upload) -> Result<()> {
        let run = self.inner.db.run(async |tx| {
            if tx.get(&name.key()).await?.is_some_and(|value| value == upload.encode()) {
                tx.clear(name.key());
            }
            Ok(())
        });
        run.await
    }

    /// The next pairs of an index.
    pub(super) async fn page(&self, range: &KeyRange) -> Result<Vec<(Bytes, Bytes)>> {
        let options =
            RangeOptions { limit: Some(BODIES_TOGETHER), snapshot: true, ..RangeOptions::default() };
        self.inner.db.begin().range(range.clone(), options).collect().await
    }
}

/// Removes the body if nothing refers to it; tells whether it did. It is no candidate afterwards.
async fn remove_unreferenced(tx: &mut Transaction, id: BodyId) -> Result<bool> {
    tx.clear(keys::candidate(id));
    // With a conflict: a reference that is added or dropped meanwhile decides anew.
    let one = RangeOptions { limit: Some(1), ..RangeOptions::default() };
    if tx.range(keys::references(id), one).next().await?.is_some() {
        return Ok(false);
    }
    let Some(value) = tx.get(&keys::body(id)).await? else { return Ok(false) };
    let record = BodyRecord::decode(&value)?;
    leave(tx, id, &record);
    if record.place == Place::Object {
        tx.set(ObjectName::Body(id).key(), Upload::Dead.encode());
    }
    tx.clear(keys::body(id));
    Ok(true)
}

/// Gives an upload up that is still an intent. A segment to which records point already only lost its last step.
async fn give_up(tx: &mut Transaction, name: ObjectName) -> Result<bool> {
    let intent = tx.get(&name.key()).await?;
    if intent.map(|value| Upload::decode(&value)).transpose()? != Some(Upload::Intended) {
        return Ok(false);
    }
    if let ObjectName::Segment(segment) = name
        && tx.get(&keys::segment(segment)).await?.is_some()
    {
        tx.clear(name.key());
        tx.clear(keys::multipart(name));
        // So that the collector counts what of it is live.
        tx.add(keys::waste(segment), 1);
        return Ok(false);
    }
    let until = tx.now().await?.plus(UPLOAD_TIDIED).as_millis();
    tx.set(name.key(), Upload::Abandoned(until).encode());
    Ok(true)
}

/// Clears the pieces of a long body that was never committed. `Corrupt` if the body is committed to the object after
/// all, which then must stay.
async fn forget_pieces(tx: &mut Transaction, name: ObjectName) -> Result<()> {
    let ObjectName::Body(id) = name else { return Ok(()) };
    match tx.get(&keys::body(id)).await? {
        None => {
            tx.clear_range(keys::pieces(id));
            tx.clear(keys::away(id));
            Ok(())
        }
        Some(value) if BodyRecord::decode(&value)?.place == Place::Object => {
            Err(Error::Corrupt(format!("body {id} lies in an object that was given up").into()))
        }
        Some(_) => Ok(()),
    }
}
