//! Where objects lie: a bucket of an object store, or what stands in for one.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use super::meter::Meter;

/// A place for objects. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    /// What stands before every name; empty where the bucket is the body store's alone.
    pub(super) prefix: Path,
    pub(super) meter: Arc<Meter>,
    /// `None` where it is no service: then nothing is timed.
    pub(super) remote: Option<Remote>,
    /// The name for people of a folder that other nodes reach too.
    pub(super) shared_folder: Option<String>,
}

/// What a service is, beside a place.
#[derive(Clone)]
pub(super) struct Remote {
    /// Its name for people.
    pub(super) name: String,
    /// Uploads in parts by their id, by which they can be aborted later and from elsewhere.
    pub(super) multipart: Arc<dyn MultipartStore>,
    /// How long a request may take, beside what its octets take.
    pub(super) timeout: Duration,
    /// Most requests at once.
    pub(super) requests: usize,
}

impl Bucket {
    /// A service that speaks for itself.
    pub(super) fn remote<S>(
        store: S,
        prefix: Path,
        meter: Arc<Meter>,
        name: String,
        limits: (Duration, usize),
    ) -> Self
    where
        S: ObjectStore + MultipartStore,
    {
        let store = Arc::new(store);
        let remote = Remote { name, multipart: store.clone(), timeout: limits.0, requests: limits.1 };
        Self { store, prefix, meter, remote: Some(remote), shared_folder: None }
    }

    /// A folder that other nodes reach too, by its name for people: it bears the cluster's mark.
    pub fn shared_folder(folder: Arc<dyn ObjectStore>, name: String) -> Self {
        Self { shared_folder: Some(name), ..Self::from(folder) }
    }

    /// Whether others reach it: then it bears a mark.
    pub(in crate::bodies) fn is_shared(&self) -> bool {
        self.remote.is_some() || self.shared_folder.is_some()
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        match &self.remote {
            Some(remote) => &remote.name,
            None => self.shared_folder.as_deref().unwrap_or("a local folder"),
        }
    }

    /// What was asked of it since it was opened. A folder counts nothing.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

impl From<Arc<dyn ObjectStore>> for Bucket {
    fn from(store: Arc<dyn ObjectStore>) -> Self {
        let (prefix, meter) = (Path::default(), Arc::default());
        Self { store, prefix, meter, remote: None, shared_folder: None }
    }
}
