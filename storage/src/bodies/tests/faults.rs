//! An object store that can be made to fail.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

/// What fails.
#[derive(Debug, Default)]
pub(in crate::bodies) struct Switch {
    /// Every write.
    pub(in crate::bodies) away: AtomicBool,
    /// Every part of an upload but its first.
    pub(in crate::bodies) parts: AtomicBool,
    /// The ranges that were read.
    pub(in crate::bodies) ranges: Mutex<Vec<Range<u64>>>,
}

#[derive(Debug)]
pub(in crate::bodies) struct Faulty {
    pub(in crate::bodies) inner: Arc<dyn ObjectStore>,
    pub(in crate::bodies) switch: Arc<Switch>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

fn fault() -> Error {
    Error::Generic { store: "faulty", source: "503 SlowDown".into() }
}

impl Faulty {
    fn check(&self) -> Result<()> {
        if self.switch.away.load(Ordering::SeqCst) { Err(fault()) } else { Ok(()) }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.check()?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check()?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FaultyUpload { inner, switch: self.switch.clone(), is_first: true }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let read = self.inner.get_opts(location, options).await?;
        self.switch.ranges.lock().push(read.range.clone());
        Ok(read)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    switch: Arc<Switch>,
    is_first: bool,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let is_first = std::mem::take(&mut self.is_first);
        if !is_first && self.switch.parts.load(Ordering::SeqCst) {
            return Box::pin(async { Err(fault()) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
