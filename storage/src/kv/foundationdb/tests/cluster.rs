//! A cluster for a test.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Result;
use crate::kv::{Database, FoundationDb, FoundationDbConfig};

/// A double of its own, or a place of its own in the real cluster.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    pub(super) config: FoundationDbConfig,
}

/// The library that was built beside the test.
fn library() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own name");
    let name = format!("{}sterna_fdb_double{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    program.with_file_name(name)
}

impl Cluster {
    /// The double, with these settings (`control.rs` there lists them). `None` where a real cluster is tested.
    pub(super) fn double(settings: &str) -> Option<Self> {
        if std::env::var_os("FDB_CLUSTER_FILE").is_some() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let config = FoundationDbConfig {
            cluster_file: Some(folder.path().join("fdb.cluster")),
            client_library: Some(library()),
            ..FoundationDbConfig::default()
        };
        let cluster = Self { folder, config };
        cluster.say(settings);
        Some(cluster)
    }

    /// The double without faults, or the real one.
    pub(super) fn any() -> Self {
        Self::double("").unwrap_or_else(|| {
            let prefix = format!("test-{:016x}", rand::random::<u64>());
            let config = FoundationDbConfig { prefix, ..FoundationDbConfig::default() };
            Self { folder: tempfile::tempdir().expect("a folder"), config }
        })
    }

    /// Changes the settings of the double.
    pub(super) fn say(&self, settings: &str) {
        let unique = self.folder.path().file_name().expect("a name").to_string_lossy().replace('.', "");
        let text = format!("# double: {settings}\ntest:{unique}@127.0.0.1:4500\n");
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("fdb.cluster"));
        std::fs::write(&new, text).and_then(|()| std::fs::rename(new, file)).expect("written");
    }

    /// Connects.
    pub(super) async fn open(&self) -> Result<Arc<FoundationDb>> {
        FoundationDb::open(self.config.clone()).await
    }

    /// Connects, for a test whose cluster answers.
    pub(super) async fn database(&self) -> Database {
        Database::new(self.open().await.expect("opens"))
    }
}
