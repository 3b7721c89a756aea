//! A body store over a bucket. Where `STERNA_TEST_S3_ENDPOINT` names a service (with `STERNA_TEST_S3_BUCKET`,
//! `STERNA_TEST_S3_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), what needs no faults runs against that one.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt as _;
use sterna_cluster_tests::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use sterna_storage::bodies::{
    Bodies, BodiesConfig, Bucket, BucketConfig, BucketKind, Credentials, Owner, Problem, VerifyOptions,
};
use sterna_storage::kv::{Database, Memory};
use sterna_storage::types::{AccountId, BodyId, DomainId, MailboxId, Secret, Uid};

pub(crate) const BUCKET: &str = "mail";
pub(crate) const DOMAIN: DomainId = DomainId(1);

/// Settings under which nothing waits long.
pub(crate) fn settings() -> BodiesConfig {
    BodiesConfig {
        patience: Duration::from_secs(10),
        grace: Duration::ZERO,
        upload_life: Duration::ZERO,
        exclusive: true,
        ..BodiesConfig::default()
    }
}

/// How a bucket of the server of the tests is reached, with a file of credentials in `folder`.
pub(crate) fn bucket_config(server: &S3Server, folder: &std::path::Path) -> BucketConfig {
    let keys = folder.join("credentials");
    let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    std::fs::write(&keys, text).expect("written");
    BucketConfig {
        kind: BucketKind::S3,
        bucket: BUCKET.into(),
        prefix: String::new(),
        region: None,
        endpoint: Some(server.endpoint()),
        path_style: true,
        plain_http: true,
        account: None,
        credentials: Credentials::File(keys),
        authority: None,
        proxy: None,
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        requests: 16,
    }
}

/// The service that the environment names.
pub(crate) fn real_bucket() -> Option<BucketConfig> {
    let endpoint = env::var("STERNA_TEST_S3_ENDPOINT").ok()?;
    let named = |name: &str, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    Some(BucketConfig {
        kind: BucketKind::S3,
        bucket: named("STERNA_TEST_S3_BUCKET", "sterna-test"),
        prefix: format!("test-{}", BodyId::random()),
        region: Some(named("STERNA_TEST_S3_REGION", "us-east-1")),
        plain_http: endpoint.starts_with("http://"),
        endpoint: Some(endpoint),
        path_style: true,
        account: None,
        credentials: Credentials::Environment,
        authority: env::var("STERNA_TEST_S3_AUTHORITY").ok().map(PathBuf::from),
        proxy: None,
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        requests: 16,
    })
}

/// A body store in memory over a bucket.
pub(crate) struct Scene {
    pub(crate) server: S3Server,
    pub(crate) bodies: Bodies,
    pub(crate) database: Database,
    config: BucketConfig,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new(settings: BodiesConfig) -> Self {
        let (server, folder) = (S3Server::start(&[BUCKET]), tempfile::tempdir().expect("a folder"));
        let config = bucket_config(&server, folder.path());
        let database = Database::new(Memory::new());
        let bodies = open(&database, &config, settings).await;
        bodies.check_bucket().await.expect("fit");
        Self { server, bodies, database, config, _folder: folder }
    }

    /// The same store as another process sees it, with nothing cached.
    pub(crate) async fn reopened(&self, settings: BodiesConfig) -> Bodies {
        open(&self.database, &self.config, settings).await
    }

    pub(crate) async fn put(&self, octets: &[u8], owner: Owner) -> BodyId {
        let staged = self.bodies.write(DOMAIN, octets).await.expect("taken in");
        commit(&self.database, &staged, owner).await;
        staged.id
    }

    pub(crate) async fn drop_reference(&self, id: BodyId, owner: Owner) {
        let dropped = self.database.run(async |tx| {
            self.bodies.drop_reference(tx, id, owner);
            Ok(())
        });
        dropped.await.expect("committed");
    }

    /// Packs and collects until nothing is left to do.
    pub(crate) async fn settle(&self) {
        self.bodies.pack_once().await.expect("packs");
        for _ in 0..3 {
            self.bodies.collect_once().await.expect("collects");
        }
    }

    pub(crate) async fn problems(&self) -> Vec<Problem> {
        let options = VerifyOptions { read_bodies: true };
        self.bodies.verify(options, |_| ()).await.expect("walks").problems
    }

    /// Objects that hold bodies.
    pub(crate) fn objects(&self) -> usize {
        let count = |folder: &str| {
            let listed = std::fs::read_dir(self.server.folder(BUCKET).join(folder));
            listed.map_or(0, |files| files.filter(Result::is_ok).count())
        };
        count("bodies") + count("segments")
    }
}

pub(crate) async fn open(database: &Database, config: &BucketConfig, settings: BodiesConfig) -> Bodies {
    let bucket = Bucket::connect(config).expect("settings");
    Bodies::open(database.clone(), bucket, Secret::new([42; 32]), settings).await.expect("opens")
}

pub(crate) async fn commit(database: &Database, staged: &sterna_storage::bodies::Staged, owner: Owner) {
    database.run(async |tx| staged.commit_into(tx, owner).await).await.expect("committed");
}

pub(crate) async fn read(bodies: &Bodies, id: BodyId) -> sterna_storage::Result<Vec<u8>> {
    let chunks: Vec<_> = bodies.open_body(id).await?.read(0..u64::MAX).try_collect().await?;
    Ok(chunks.concat())
}

pub(crate) fn owner(uid: u32) -> Owner {
    let uid = Uid::new(uid).expect("not 0");
    Owner::Message { account: AccountId(1), mailbox: MailboxId(1), uid }
}

/// Octets that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    use rand::{RngCore as _, SeedableRng as _};
    let mut octets = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut octets);
    octets
}
