//! The body store's handle: what its parts share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use object_store::ObjectStore;
use tokio::sync::{Notify, Semaphore};

use super::cache::FrameCache;
use super::collect;
use super::config::BodiesConfig;
use super::domains::DomainKeys;
use super::keys;
use super::objects::{self, Bucket, BucketReport, Objects};
use super::record::Owner;
use super::stage::{Staged, Writer};
use crate::kv::{Database, Transaction};
use crate::limits::UPLOAD_TIDIED;
use crate::types::{BodyId, DomainId, Secret};
use crate::{Error, Result};

/// The body store; cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) db: Database,
    pub(super) objects: Arc<Objects>,
    pub(super) domains: DomainKeys,
    pub(super) cache: FrameCache,
    pub(super) config: BodiesConfig,
    /// Octets of memory that uploads may take.
    pub(super) upload_memory: Arc<Semaphore>,
    /// Whether the bucket was found to be this cluster's and able.
    pub(super) is_checked: AtomicBool,
    pub(super) pack_hint: PackHint,
    /// Held while packing: two packers would only do the same work twice.
    pub(super) packing: tokio::sync::Mutex<()>,
    pub(super) collecting: tokio::sync::Mutex<collect::Memory>,
}

impl Bodies {
    /// Opens the body store over the metadata and a bucket. `Invalid` if the cluster key is not the one
    /// that the store was made with, or a setting is out of bounds. The bucket is asked nothing yet.
    pub async fn open(
        db: Database,
        bucket: impl Into<Bucket>,
        cluster_key: Secret<[u8; 32]>,
        config: BodiesConfig,
    ) -> Result<Self> {
        check(&config)?;
        let inner = Inner {
            domains: DomainKeys::open(db.clone(), &cluster_key).await?,
            objects: Objects::new(bucket.into(), config.patience, Some(objects::claim(&db).await?)),
            cache: FrameCache::new(config.cache_octets),
            upload_memory: Arc::new(Semaphore::new(config.upload_octets)),
            is_checked: AtomicBool::new(false),
            pack_hint: PackHint::new(config.segment_octets as u64),
            packing: tokio::sync::Mutex::default(),
            collecting: tokio::sync::Mutex::default(),
            db,
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A local folder as object store. What it has written is on disk: the file and the folder that names it.
    pub async fn local_folder(path: impl AsRef<Path>) -> Result<Arc<dyn ObjectStore>> {
        objects::local_folder(path.as_ref()).await
    }

    /// Looks whose bucket it is, and whether it can do what it must. `Invalid` names what only an operator can mend (wrong
    /// credentials, no such bucket, one of another cluster, what the service lacks); after `Unavailable` the workers look
    /// again, and what comes in meanwhile stays staged. `None` for a folder: of one that nodes share it is known whose it is.
    pub async fn check_bucket(&self) -> Result<Option<BucketReport>> {
        let report = self.inner.objects.check().await?;
        if self.bucket().is_shared() {
            objects::note_place(&self.inner.db).await?;
        }
        self.inner.is_checked.store(true, Ordering::Relaxed);
        Ok(report)
    }

    /// Where the objects lie.
    pub fn bucket(&self) -> &Bucket {
        self.inner.objects.bucket()
    }

    /// Whether the object store does not answer.
    pub fn is_away(&self) -> bool {
        self.inner.objects.is_away()
    }

    /// Begins a body, to be sealed under the domain's key.
    pub fn writer(&self, domain: DomainId) -> Writer {
        Writer::new(self.clone(), domain)
    }

    /// Takes a body in that is at hand whole.
    pub async fn write(&self, domain: DomainId, octets: &[u8]) -> Result<Staged> {
        let mut writer = self.writer(domain);
        writer.write(octets).await?;
        writer.finish().await
    }

    /// Adds a reference to a body that is committed. The transaction must hold another reference to it (have
    /// read, with a conflict, the record whose reference it is), so that the body cannot go meanwhile.
    pub fn add_reference(&self, tx: &mut Transaction, id: BodyId, owner: Owner) {
        tx.set(keys::reference(id, owner), Bytes::new());
    }

    /// Adds a reference to a body that the caller knows of and need not hold. `Invalid` if it was collected; until the
    /// commit it is not.
    pub async fn share(&self, tx: &mut Transaction, id: BodyId, owner: Owner) -> Result<()> {
        // With a conflict: who collects the body clears its record.
        if tx.get(&keys::body(id)).await?.is_none() {
            return Err(Error::Invalid(format!("body {id} is not there any more").into()));
        }
        self.add_reference(tx, id, owner);
        Ok(())
    }

    /// Drops a reference. Once the last is gone, the collector takes the body away.
    pub fn drop_reference(&self, tx: &mut Transaction, id: BodyId, owner: Owner) {
        tx.clear(keys::reference(id, owner));
        tx.set(keys::candidate(id), Bytes::new());
    }

    /// Puts one reference in the place of another. The body does not become a candidate for collection.
    pub fn move_reference(&self, tx: &mut Transaction, id: BodyId, from: Owner, to: Owner) {
        tx.clear(keys::reference(id, from));
        tx.set(keys::reference(id, to), Bytes::new());
    }

    /// Destroys the domain's key: none of its bodies can be read again. Other nodes may have it in memory for a
    /// minute more.
    pub async fn erase_domain_key(&self, domain: DomainId) -> Result<()> {
        let until = self.inner.db.now().await?.plus(UPLOAD_TIDIED);
        let erased = self.inner.domains.erase(&self.inner.objects, domain, until).await;
        self.inner.cache.clear();
        erased
    }
}

fn check(config: &BodiesConfig) -> Result<()> {
    let invalid = |what: &'static str| Err(Error::Invalid(what.into()));
    if config.part_octets == 0 || config.part_octets > 256 << 20 {
        return invalid("part_octets must be from 1 to 256 MiB");
    }
    if config.upload_octets < config.part_octets * 2 || config.upload_octets > Semaphore::MAX_PERMITS {
        return invalid("upload_octets must hold two parts at least");
    }
    if config.staging_octets > 4 << 20 {
        return invalid("staging_octets must be 4 MiB at most: it is written in one transaction");
    }
    if config.segment_octets == 0 || config.segment_octets > 1 << 30 {
        return invalid("segment_octets must be from 1 to 1 GiB");
    }
    Ok(())
}

/// Tells the packer when enough waits. A hint: what waits is in the metadata.
pub(super) struct PackHint {
    staged: AtomicU64,
    enough: u64,
    pub(super) wanted: Notify,
}

impl PackHint {
    fn new(enough: u64) -> Self {
        Self { staged: AtomicU64::new(0), enough, wanted: Notify::new() }
    }

    /// So many octets more wait, or may.
    pub(super) fn staged(&self, octets: u64) {
        if self.staged.fetch_add(octets, Ordering::Relaxed) + octets >= self.enough {
            self.staged.store(0, Ordering::Relaxed);
            self.wanted.notify_one();
        }
    }
}
