//! Whose bucket it is: an object that names the cluster. Nothing is read from a bucket or written to it before its mark
//! was seen, so that two clusters never share one by mistake; and once a cluster has marked one, it takes no other without
//! the mark, so that all nodes keep bodies in the same place. A folder may lose its mount at any time: there the mark is
//! looked at around each write.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as E, ObjectStoreExt};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::client::Objects;
use super::fault::{in_one_line, sorted};
use crate::bodies::keys;
use crate::kv::{Database, Transaction};
use crate::types::BodyId;
use crate::{Error, Result};

/// The mark's name.
const NAME: &str = "cluster";
/// What it starts with.
const START: &str = "sterna cluster ";
/// How long a refusal stands before it is looked at again: somebody may have mended it.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Whose metadata it is; made with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bodies) struct ClusterId(pub(in crate::bodies) [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BodyId(self.0).fmt(f)
    }
}

/// What these metadata ask of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bodies) struct Claim {
    pub(in crate::bodies) cluster: ClusterId,
    /// Whether one bears the mark: then one without it is another one.
    pub(in crate::bodies) is_placed: bool,
}

impl Claim {
    /// Of metadata that have an id.
    pub(in crate::bodies) async fn known(tx: &mut Transaction) -> Result<Option<Self>> {
        let is_placed = tx.get(&keys::placed()).await?.is_some();
        let Some(value) = tx.get(&keys::cluster_id()).await? else { return Ok(None) };
        let id = value[..].try_into().map_err(|_| Error::Corrupt("id of the cluster".into()))?;
        Ok(Some(Self { cluster: ClusterId(id), is_placed }))
    }
}

/// The claim of these metadata; their id is made at the first call.
pub(in crate::bodies) async fn claim(db: &Database) -> Result<Claim> {
    let run = db.run_repeatable(async |tx| {
        if let Some(claim) = Claim::known(tx).await? {
            return Ok(claim);
        }
        let cluster = ClusterId(rand::random());
        tx.set(keys::cluster_id(), Bytes::copy_from_slice(&cluster.0));
        Ok(Claim { cluster, is_placed: tx.get(&keys::placed()).await?.is_some() })
    });
    run.await
}

/// Notes that a bucket bears the mark.
pub(in crate::bodies) async fn note_place(db: &Database) -> Result<()> {
    let run = db.run_repeatable(async |tx| {
        if tx.get(&keys::placed()).await?.is_none() {
            tx.set(keys::placed(), Bytes::new());
        }
        Ok(())
    });
    run.await
}

/// What is known of the mark.
pub(super) struct Guard {
    claim: Option<Claim>,
    state: Mutex<State>,
    looking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum State {
    Unknown,
    Ours,
    Refused(String, Instant),
    /// It bears our mark, and cannot hold mail.
    Unfit(String),
}

impl Guard {
    /// Without a claim everything is admitted.
    pub(super) fn new(claim: Option<Claim>) -> Self {
        let state = if claim.is_some() { State::Unknown } else { State::Ours };
        Self { claim, state: Mutex::new(state), looking: tokio::sync::Mutex::default() }
    }

    /// What is known without asking: `None` where the mark must be looked at.
    fn known(&self) -> Option<Result<()>> {
        match &*self.state.lock() {
            State::Ours => Some(Ok(())),
            State::Unfit(reason) => Some(Err(Error::Unavailable(reason.clone().into()))),
            State::Refused(reason, since) if since.elapsed() < REFUSED_FOR => {
                Some(Err(Error::Unavailable(reason.clone().into())))
            }
            State::Unknown | State::Refused(..) => None,
        }
    }

    /// What a trial of the bucket has shown; after a bad one nothing is admitted before a good one.
    pub(super) fn tried(&self, outcome: Result<(), &str>) {
        *self.state.lock() = match outcome {
            Ok(()) => State::Ours,
            Err(reason) => State::Unfit(reason.to_owned()),
        };
    }
}

impl Objects {
    /// Returns once the bucket is known to be this cluster's. `Unavailable` while it is not.
    pub(super) async fn admitted(&self) -> Result<()> {
        if let Some(known) = self.guard.known() {
            return known;
        }
        let _alone = self.guard.looking.lock().await;
        if let Some(known) = self.guard.known() {
            return known;
        }
        match self.look().await {
            Err(Error::Invalid(reason)) => {
                tracing::error!(bucket = self.bucket.name(), %reason, "the bucket is not used");
                Err(Error::Unavailable(reason))
            }
            outcome => outcome,
        }
    }

    /// The same for who does not want to wait for a store that is away.
    pub(super) async fn readable(&self) -> Result<()> {
        if self.bucket.remote.is_none() {
            return Ok(());
        }
        if !self.presence.may_try(Instant::now()) {
            return Err(Error::Unavailable("object store is away".into()));
        }
        self.admitted().await
    }

    /// `Unavailable` where a folder that nodes share does not bear the mark any more: what is written there now lies beneath
    /// the folder, once its mount is back.
    pub(super) async fn is_mounted(&self) -> Result<()> {
        let Some(claim) = self.guard.claim.filter(|_| self.bucket.shared_folder.is_some()) else {
            return Ok(());
        };
        let is_ours = match self.mark().await? {
            Some(found) => self.judge(claim.cluster, &found).is_ok(),
            None => false,
        };
        if is_ours {
            return Ok(());
        }
        self.presence.gone(Instant::now());
        Err(Error::Unavailable(format!("{} does not bear the cluster's mark now", self.bucket.name()).into()))
    }

    /// Looks at the mark, and sets it in a bucket that has none. `Invalid` for what only an operator can mend.
    pub(super) async fn look(&self) -> Result<()> {
        let Some(claim) = self.guard.claim else { return Ok(()) };
        let looked = self.look_for(claim).await;
        let mut state = self.guard.state.lock();
        match &looked {
            Ok(()) if matches!(*state, State::Unfit(_)) => {}
            Ok(()) => *state = State::Ours,
            Err(Error::Invalid(reason)) => *state = State::Refused(reason.to_string(), Instant::now()),
            Err(_) => *state = State::Unknown,
        }
        drop(state);
        looked
    }

    async fn look_for(&self, Claim { cluster, is_placed }: Claim) -> Result<()> {
        if let Some(found) = self.mark().await? {
            return self.judge(cluster, &found);
        }
        if is_placed {
            let text = format!(
                "{} is not where this cluster keeps bodies: it has no object {NAME:?} that says \"{START}{cluster}\"",
                self.bucket.name()
            );
            return Err(Error::Invalid(text.into()));
        }
        let (path, mark) = (self.at(&Path::from(NAME)), Bytes::from(format!("{START}{cluster}\n")));
        let put = self.retried(0, || self.store().put(&path, mark.clone().into())).await;
        put.map_err(|error| self.trouble("written to", error))?;
        let found = self.mark().await?.unwrap_or_default();
        self.judge(cluster, &found)
    }

    /// The mark's text, if there is one.
    pub(in crate::bodies) async fn mark(&self) -> Result<Option<Bytes>> {
        let path = self.at(&Path::from(NAME));
        let read = self.retried(0, || async { self.store().get(&path).await?.bytes().await }).await;
        self.answered(&read);
        match read {
            Ok(octets) => Ok(Some(octets)),
            Err(error @ E::NotFound { .. }) if is_bucket_missing(&error) => {
                Err(Error::Invalid(format!("{} does not exist", self.bucket.name()).into()))
            }
            Err(E::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.trouble("read", error)),
        }
    }

    fn judge(&self, cluster: ClusterId, found: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(&found[..found.len().min(200)]);
        let Some(other) = text.strip_prefix(START).map(str::trim) else {
            let text = format!("{} holds an object {NAME:?} that is no mark", self.bucket.name());
            return Err(Error::Invalid(text.into()));
        };
        if other == cluster.to_string() {
            return Ok(());
        }
        let name = self.bucket.name();
        Err(Error::Invalid(format!("{name} belongs to another cluster: {other}, this is {cluster}").into()))
    }

    fn trouble(&self, what: &str, error: E) -> Error {
        match error {
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                let said = in_one_line(&error);
                let text = format!("{} cannot be {what} with these credentials: {said}", self.bucket.name());
                Error::Invalid(text.into())
            }
            error => sorted(error),
        }
    }
}

/// Whether it is the bucket that was not found, by the codes of S3 and Google, and of Azure.
fn is_bucket_missing(error: &E) -> bool {
    let text = error.to_string();
    text.contains("NoSuchBucket") || text.contains("ContainerNotFound")
}
