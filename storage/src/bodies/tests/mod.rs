//! The body store as a whole, on real engines and a real folder.

pub(super) mod faults;
mod lifecycle;
mod model;
mod packing;
mod read_write;
mod relocation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStore;
use tempfile::TempDir;

use super::{Bodies, BodiesConfig, Owner, Problem, Reader, Staged, VerifyOptions};
use crate::kv::local::{Local, LocalConfig};
use crate::kv::{Database, Memory};
use crate::types::{AccountId, BodyId, DomainId, MailboxId, Secret, Uid};

pub(super) const DOMAIN: DomainId = DomainId(1);

/// A body store whose parts the test can reach.
pub(super) struct House {
    pub(super) bodies: Bodies,
    pub(super) db: Database,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) folder: TempDir,
}

/// Settings under which nothing waits.
pub(super) fn config() -> BodiesConfig {
    BodiesConfig {
        part_octets: 1 << 20,
        patience: Duration::ZERO,
        grace: Duration::ZERO,
        upload_life: Duration::ZERO,
        ..BodiesConfig::default()
    }
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(config()).await
    }

    pub(super) async fn with(config: BodiesConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::over(Database::new(Memory::new()), folder, config).await
    }

    /// On the durable engine, in the same folder.
    pub(super) async fn on_disk(config: BodiesConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let local = LocalConfig { path: folder.path().join("kv"), ..LocalConfig::default() };
        let engine = Local::open(LocalConfig { log_segment_octets: 1 << 20, ..local }).await.expect("opens");
        Self::over(Database::new(engine), folder, config).await
    }

    /// The folder opened anew, as by another process, after all that was in memory is gone.
    pub(super) async fn restarted(self) -> Self {
        let Self { bodies, db, objects, folder } = self;
        db.close().await;
        drop((bodies, db, objects));
        let local = LocalConfig { path: folder.path().join("kv"), ..LocalConfig::default() };
        let engine = Local::open(LocalConfig { log_segment_octets: 1 << 20, ..local }).await.expect("opens");
        Self::over(Database::new(engine), folder, config()).await
    }

    async fn over(db: Database, folder: TempDir, config: BodiesConfig) -> Self {
        let objects = Bodies::local_folder(folder.path().join("objects")).await.expect("a folder");
        let bodies = Self::open(&db, &objects, config).await;
        Self { bodies, db, objects, folder }
    }

    /// The same stores opened anew, with nothing cached.
    pub(super) async fn reopened(&self) -> Bodies {
        Self::open(&self.db, &self.objects, config()).await
    }

    /// A house whose object store can be away.
    pub(super) async fn with_faults(config: BodiesConfig) -> (Self, Arc<faults::Switch>) {
        let mut house = Self::new().await;
        let switch = Arc::<faults::Switch>::default();
        house.objects = Arc::new(faults::Faulty { inner: house.objects, switch: switch.clone() });
        house.bodies = Self::open(&house.db, &house.objects, config).await;
        (house, switch)
    }

    /// The files that hold bodies.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let in_folder =
            |folder| std::fs::read_dir(self.folder.path().join("objects").join(folder)).expect("a folder");
        let files = ["bodies", "segments"].into_iter().flat_map(in_folder);
        files.map(|file| file.expect("a file").path()).collect()
    }

    /// Packs and collects until nothing is left to do.
    pub(super) async fn settle(&self) {
        self.bodies.pack_once().await.expect("packs");
        for _ in 0..3 {
            self.bodies.collect_once().await.expect("collects");
        }
    }

    pub(super) async fn verify(&self) -> Vec<Problem> {
        let options = VerifyOptions { read_bodies: true };
        self.bodies.verify(options, |_| ()).await.expect("walks").problems
    }

    async fn open(db: &Database, objects: &Arc<dyn ObjectStore>, config: BodiesConfig) -> Bodies {
        let key = Secret::new([42; 32]);
        Bodies::open(db.clone(), objects.clone(), key, config).await.expect("opens")
    }

    pub(super) async fn commit(&self, staged: &Staged, owner: Owner) -> crate::Result<()> {
        self.db.run(async |tx| staged.commit_into(tx, owner).await).await
    }

    /// Writes and commits a body.
    pub(super) async fn put(&self, octets: &[u8], owner: Owner) -> BodyId {
        let staged = self.bodies.write(DOMAIN, octets).await.expect("taken in");
        self.commit(&staged, owner).await.expect("committed");
        staged.id
    }

    pub(super) async fn drop_reference(&self, id: BodyId, owner: Owner) {
        let dropped = self.db.run(async |tx| {
            self.bodies.drop_reference(tx, id, owner);
            Ok(())
        });
        dropped.await.expect("committed");
    }
}

pub(super) fn owner(uid: u32) -> Owner {
    let uid = Uid::new(uid).expect("not 0");
    Owner::Message { account: AccountId(1), mailbox: MailboxId(1), uid }
}

/// Octets that do not compress, the same for the same seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.finalize_xof().fill(&mut octets);
    octets
}

pub(super) async fn read_whole(reader: &Reader) -> crate::Result<Vec<u8>> {
    let chunks: Vec<Bytes> = reader.read(0..u64::MAX).try_collect().await?;
    Ok(chunks.concat())
}
