//! One object uploaded in parts, of which one is on its way at a time. A service keeps the parts of an upload that
//! nobody completes, unseen and charged for: its id is given out, so that it can be aborted from elsewhere.

use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::client::Objects;
use super::fault::{is_fault, sorted};
use super::name::ObjectName;
use crate::{Error, Result};

/// A part on its way. Gives what completing the upload takes of it.
pub(in crate::bodies) type Sending = BoxFuture<'static, Result<Option<PartId>>>;

/// An upload under way. Dropped before it is completed, it must be aborted by its id.
pub(in crate::bodies) struct Parts {
    objects: Arc<Objects>,
    path: Path,
    octets: u64,
    handle: Handle,
}

enum Handle {
    /// By its id, which anybody can use.
    ById { store: Arc<dyn MultipartStore>, id: String, next: usize, sent: Vec<PartId> },
    /// By this handle alone; what it leaves behind is swept by its store.
    Held(Box<dyn MultipartUpload>),
}

impl Objects {
    /// Begins an upload in parts.
    pub(in crate::bodies) async fn begin_parts(self: &Arc<Self>, name: ObjectName) -> Result<Parts> {
        self.admitted().await?;
        self.is_mounted().await?;
        let path = self.at(&name.path());
        let handle = match &self.bucket.remote {
            Some(remote) => {
                let store = remote.multipart.clone();
                let begun = self.retried(0, || store.create_multipart(&path)).await;
                Handle::ById { id: self.written(begun)?, store, next: 0, sent: Vec::new() }
            }
            None => {
                let begun = self.retried(0, || self.store().put_multipart(&path)).await;
                Handle::Held(self.written(begun)?)
            }
        };
        Ok(Parts { objects: self.clone(), path, octets: 0, handle })
    }

    /// Aborts an upload of another process or time. One that is not there counts as aborted.
    pub(in crate::bodies) async fn abort_parts(&self, name: ObjectName, id: &[u8]) -> Result<()> {
        let Some(remote) = &self.bucket.remote else { return Ok(()) };
        self.admitted().await?;
        let (path, id) = (self.at(&name.path()), String::from_utf8_lossy(id).into_owned());
        let aborted = self.retried(0, || remote.multipart.abort_multipart(&path, &id)).await;
        match aborted {
            // Services say in many ways that they know nothing of it: not found, no access, bad request.
            Err(error) if is_fault(&error) && !is_unknown_upload(&error) => Err(sorted(error)),
            _ => Ok(()),
        }
    }
}

fn is_unknown_upload(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("NoSuchUpload") || text.contains("status code: 4")
}

impl Parts {
    /// By which anybody can abort it; `None` where that needs nobody.
    pub(in crate::bodies) fn id(&self) -> Option<&[u8]> {
        match &self.handle {
            Handle::ById { id, .. } => Some(id.as_bytes()),
            Handle::Held(_) => None,
        }
    }

    /// The next part, to be awaited before the one after it is sent.
    pub(in crate::bodies) fn send(&mut self, payload: PutPayload) -> Sending {
        let octets = payload.content_length() as u64;
        self.octets += octets;
        let objects = self.objects.clone();
        match &mut self.handle {
            Handle::ById { store, id, next, .. } => {
                let (store, id, path, number) = (store.clone(), id.clone(), self.path.clone(), *next);
                *next += 1;
                Box::pin(async move {
                    let part = || store.put_part(&path, &id, number, payload.clone());
                    let sent = objects.retried(octets, part).await;
                    objects.written(sent).map(Some)
                })
            }
            Handle::Held(upload) => {
                let sending = upload.put_part(payload);
                Box::pin(async move { objects.written(sending.await).map(|()| None) })
            }
        }
    }

    /// Takes note of a part that was sent.
    pub(in crate::bodies) fn sent(&mut self, part: Option<PartId>) {
        if let (Handle::ById { sent, .. }, Some(part)) = (&mut self.handle, part) {
            sent.push(part);
        }
    }

    /// Makes the object of its parts; it is durable when this returns.
    pub(in crate::bodies) async fn complete(&mut self) -> Result<()> {
        let objects = &self.objects;
        match &mut self.handle {
            Handle::Held(upload) => {
                objects.is_mounted().await?;
                objects.written(upload.complete().await)?;
                objects.is_mounted().await
            }
            Handle::ById { store, id, sent, .. } => {
                let completed =
                    objects.retried(0, || store.complete_multipart(&self.path, id, sent.clone())).await;
                let Err(error) = completed else { return objects.written(Ok(())) };
                // The answer to an earlier try may have been lost, after which the upload is unknown.
                if objects.size_at(&self.path).await.ok().flatten() == Some(self.octets) {
                    return objects.written(Ok(()));
                }
                match objects.written(Err(error)) {
                    Err(Error::NotFound(_)) => {
                        Err(Error::Unavailable("the upload is unknown to the object store".into()))
                    }
                    outcome => outcome,
                }
            }
        }
    }

    /// Gives it up.
    pub(in crate::bodies) async fn abort(mut self) {
        let aborted = match &mut self.handle {
            Handle::ById { store, id, .. } => store.abort_multipart(&self.path, id).await,
            Handle::Held(upload) => upload.abort().await,
        };
        if let Err(error) = aborted {
            tracing::debug!(%error, "aborting an upload failed; the collector does it again");
        }
    }
}
