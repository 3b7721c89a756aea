//! A local folder as object store: what is written, and what is deleted, is so on the disk when a call returns. The crate
//! sees to the first only: an object deleted by it may be back after a power loss, when nobody knows of it any more.

use std::fmt;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::name::ObjectName;
use crate::folder;
use crate::limits::UPLOAD_TIDIED;

/// The folder.
#[derive(Debug)]
struct LocalFolder {
    inner: LocalFileSystem,
    path: PathBuf,
}

/// Opens a folder, and makes it if need be.
pub(in crate::bodies) async fn open(path: &FilePath) -> crate::Result<Arc<dyn ObjectStore>> {
    let path = path.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        // Made and synced here, so that no later write depends on a folder that a power loss takes away.
        folder::make(&path)?;
        for name in ObjectName::FOLDERS {
            folder::make(&path.join(name))?;
            sweep(&path.join(name))?;
        }
        let inner = LocalFileSystem::new_with_prefix(&path).map_err(std::io::Error::other)?.with_fsync(true);
        Ok::<_, std::io::Error>(LocalFolder { inner, path })
    });
    let made = made.await.map_err(|error| crate::Error::Unavailable(error.to_string().into()))?;
    Ok(Arc::new(made?))
}

/// Removes what writes left behind that a crash cut off: files that the store gives a name of their own (`…#1`) until
/// they are whole, and does not list. Those younger than a day may be another process's.
fn sweep(folder: &FilePath) -> std::io::Result<()> {
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let suffix = name.to_str().and_then(|name| name.split_once('#')).map(|(_, suffix)| suffix);
        if suffix.is_some_and(|suffix| suffix.bytes().all(|octet| octet.is_ascii_digit())) {
            remove_old(&file)?;
        }
    }
    Ok(())
}

/// Nothing if it is gone: whoever wrote it gave it its name meanwhile.
fn remove_old(file: &DirEntry) -> std::io::Result<()> {
    let removed = file.metadata().and_then(|metadata| {
        let is_old = metadata.modified()?.elapsed().is_ok_and(|age| age > UPLOAD_TIDIED);
        if is_old { std::fs::remove_file(file.path()) } else { Ok(()) }
    });
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes the deletion durable, also of what was gone already: whoever deleted it may have been killed before.
async fn deleted(root: PathBuf, outcome: Result<Path>) -> Result<Path> {
    let file = match &outcome {
        Ok(path) => path.parts().fold(root, |file, part| file.join(part.as_ref())),
        // Here the path is the file's own.
        Err(Error::NotFound { path, .. }) => path.into(),
        Err(_) => return outcome,
    };
    let synced = tokio::task::spawn_blocking(move || folder::sync(folder::above(&file)));
    let synced = synced.await.map_err(std::io::Error::other).flatten();
    synced.map_err(|source| Error::Generic { store: "LocalFolder", source: source.into() })?;
    outcome
}

impl fmt::Display for LocalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for LocalFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let root = self.path.clone();
        self.inner.delete_stream(locations).then(move |outcome| deleted(root.clone(), outcome)).boxed()
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
