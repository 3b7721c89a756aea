//! One object being written as it comes: whole if it fits one part, else in parts, of which one is on its
//! way while the next one fills.

use bytes::Bytes;
use object_store::PutPayload;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::keys;
use super::objects::{ObjectName, Parts, Sending};
use super::record::Upload;
use super::segment::{Entry, MARK, encode_footer};
use super::store::Bodies;
use crate::limits::UPLOAD_TIDIED;
use crate::{Error, Result};

/// A part on its way.
type Sent = JoinHandle<<Sending as Future>::Output>;

/// Dropped before its end, it is aborted, and its intent says so.
pub(super) struct ObjectUpload {
    bodies: Bodies,
    name: ObjectName,
    parts: Option<Parts>,
    sent: Option<Sent>,
    _memory: OwnedSemaphorePermit,
}

impl ObjectUpload {
    /// Waits for the memory that an upload takes: `Overloaded` past the configured patience.
    pub(super) async fn begin(bodies: Bodies, name: ObjectName) -> Result<Self> {
        let config = &bodies.inner.config;
        let octets = u32::try_from(config.part_octets * 2).unwrap_or(u32::MAX);
        let wanted = bodies.inner.upload_memory.clone().acquire_many_owned(octets);
        let memory = match tokio::time::timeout(config.patience, wanted).await {
            Ok(Ok(memory)) => memory,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => return Err(Error::Overloaded("too many long bodies are being written".into())),
        };
        Ok(Self { bodies, name, parts: None, sent: None, _memory: memory })
    }

    /// Whether anything was sent that cannot be sent again.
    pub(super) fn has_begun(&self) -> bool {
        self.parts.is_some()
    }

    /// Sends what is enough for parts, and leaves the rest. Before the upload has begun, `sealed` is left
    /// whole on errors.
    pub(super) async fn push(&mut self, sealed: &mut Vec<u8>) -> Result<()> {
        let part = self.bodies.inner.config.part_octets;
        if self.parts.is_none() {
            let first = part.saturating_sub(MARK.len()).max(1);
            if sealed.len() < first {
                return Ok(());
            }
            self.send_first(sealed, first).await?;
        }
        while sealed.len() >= part {
            let rest = sealed.split_off(part);
            let full = std::mem::replace(sealed, rest);
            self.send(PutPayload::from(full)).await?;
        }
        Ok(())
    }

    /// The first part is waited for: while it is at hand, the body can still go elsewhere.
    async fn send_first(&mut self, sealed: &mut Vec<u8>, first: usize) -> Result<()> {
        let mut parts = self.bodies.inner.objects.begin_parts(self.name).await?;
        let head = Bytes::copy_from_slice(&sealed[..first]);
        let payload = PutPayload::from_iter([Bytes::from_static(MARK), head]);
        let id = parts.id().map(Bytes::copy_from_slice);
        let sent = match self.bodies.remember_parts(self.name, id).await {
            Ok(()) => parts.send(payload).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(part) => parts.sent(part),
            Err(error) => {
                parts.abort().await;
                return Err(error);
            }
        }
        sealed.drain(..first);
        self.parts = Some(parts);
        Ok(())
    }

    async fn send(&mut self, payload: PutPayload) -> Result<()> {
        self.wait_sent().await?;
        let parts = self.parts.as_mut().expect("the upload has begun");
        self.sent = Some(tokio::spawn(parts.send(payload)));
        Ok(())
    }

    async fn wait_sent(&mut self) -> Result<()> {
        let Some(sent) = self.sent.take() else { return Ok(()) };
        let part = sent.await.map_err(|error| Error::Unavailable(error.to_string().into()))??;
        self.parts.as_mut().expect("the upload has begun").sent(part);
        Ok(())
    }

    /// Sends the rest and the footer; the object is durable when this returns.
    pub(super) async fn finish(&mut self, sealed: &mut Vec<u8>, entry: &Entry) -> Result<()> {
        let footer = Bytes::from(encode_footer(std::iter::once(entry)));
        if self.parts.is_none() {
            let whole = Bytes::copy_from_slice(sealed);
            let payload = PutPayload::from_iter([Bytes::from_static(MARK), whole, footer]);
            return self.bodies.inner.objects.put(self.name, payload).await;
        }
        let rest = Bytes::from(std::mem::take(sealed));
        self.send(PutPayload::from_iter([rest, footer])).await?;
        self.wait_sent().await?;
        self.parts.as_mut().expect("the upload has begun").complete().await?;
        self.parts = None;
        Ok(())
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        let (bodies, name, sent) = (self.bodies.clone(), self.name, self.sent.take());
        // Outside a runtime nobody is left to do it: the collector gives the intent up after its time.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Some(sent) = sent {
                sent.abort();
            }
            parts.abort().await;
            bodies.abandon_or_leave(name).await;
        });
    }
}

/// That an object is on its way, as the metadata say. Dropped before the object's record is committed, it is given
/// up; afterwards there is nothing left to give up.
pub(super) struct Intent {
    bodies: Bodies,
    name: ObjectName,
}

impl Intent {
    /// Commits the intent: the object can be found from now on, whatever becomes of it.
    pub(super) async fn write(bodies: Bodies, name: ObjectName) -> Result<Self> {
        let intend = bodies.inner.db.run_repeatable(async |tx| {
            tx.set(name.key(), Upload::Intended.encode());
            Ok(())
        });
        intend.await?;
        Ok(Self { bodies, name })
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let (bodies, name) = (self.bodies.clone(), self.name);
        // Outside a runtime nobody is left to do it: the collector gives the intent up after its time.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move { bodies.abandon_or_leave(name).await });
    }
}

impl Bodies {
    /// Gives an upload up that is still an intent: the collector deletes its object.
    pub(super) async fn abandon(&self, name: ObjectName) -> Result<()> {
        let run = self.inner.db.run_repeatable(async |tx| {
            let until = tx.now().await?.plus(UPLOAD_TIDIED).as_millis();
            if let Some(value) = tx.get(&name.key()).await?
                && Upload::decode(&value)? == Upload::Intended
            {
                tx.set(name.key(), Upload::Abandoned(until).encode());
            }
            Ok(())
        });
        run.await
    }

    /// Commits the id of an upload in parts beside its intent, before anything is kept under it.
    async fn remember_parts(&self, name: ObjectName, id: Option<Bytes>) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        let key = keys::multipart(name);
        let run = self.inner.db.run_repeatable(async |tx| {
            tx.set(key.clone(), id.clone());
            Ok(())
        });
        run.await
    }

    async fn abandon_or_leave(&self, name: ObjectName) {
        if let Err(error) = self.abandon(name).await {
            tracing::debug!(%error, "the collector gives the upload up after its time");
        }
    }
}
