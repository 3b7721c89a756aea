//! The objects: `s3s-fs` on a folder, with what it leaves open: create-only writes that are so under a race too, a bucket
//! that is missing told from a missing object, and the uploads that nobody completed.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::plan::Plan;

/// The store of one server.
pub(super) struct Store {
    files: FileSystem,
    root: PathBuf,
    plan: Arc<Plan>,
    writes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    uploads: Arc<Mutex<BTreeSet<String>>>,
}

impl Store {
    pub(super) fn new(root: PathBuf, plan: Arc<Plan>, uploads: Arc<Mutex<BTreeSet<String>>>) -> Self {
        let files = FileSystem::new(&root).expect("a folder");
        Self { files, root, plan, writes: Mutex::default(), uploads }
    }

    fn exists(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// What one write of the key at a time holds.
    fn lock(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.writes.lock().entry(key.to_owned()).or_default().clone()
    }
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.exists(&req.input.bucket)?;
        if self.plan.ignores_conditions() {
            req.input.if_none_match = None;
        }
        let lock = self.lock(&req.input.key);
        let _alone = lock.lock().await;
        self.files.put_object(req).await
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.exists(&req.input.bucket)?;
        self.files.get_object(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.files.delete_object(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(req).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.exists(&req.input.bucket)?;
        let created = self.files.create_multipart_upload(req).await?;
        self.uploads.lock().extend(created.output.upload_id.clone());
        Ok(created)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        if !self.uploads.lock().contains(&req.input.upload_id) {
            return Err(s3_error!(NoSuchUpload));
        }
        self.files.upload_part(req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let id = req.input.upload_id.clone();
        if !self.uploads.lock().contains(&id) {
            return Err(s3_error!(NoSuchUpload));
        }
        let completed = self.files.complete_multipart_upload(req).await?;
        self.uploads.lock().remove(&id);
        Ok(completed)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        if !self.uploads.lock().remove(&req.input.upload_id) {
            return Err(s3_error!(NoSuchUpload));
        }
        self.files.abort_multipart_upload(req).await
    }
}
