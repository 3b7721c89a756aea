//! A database and who is connected to it: commits are gathered into batches that get one version, as a
//! cluster's proxies do, and watches are looked through after each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::control::{Control, Told};
use crate::errors::{self, Code};
use crate::future::{Future, Output};
use crate::history::{Commit, History};
use crate::network;
use crate::options::Options;

/// Those of this process, by `description:id`.
static CLUSTERS: LazyLock<Mutex<HashMap<String, Arc<Cluster>>>> = LazyLock::new(Mutex::default);

/// The store of one database.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) history: Mutex<History>,
    waiting: Mutex<Vec<Waiting>>,
    watches: Mutex<Vec<Watch>>,
}

/// What a commit became: version and place in its batch.
pub(crate) type Committed = Result<(i64, u16), Code>;

/// A commit that waits for its batch.
struct Waiting {
    database: Arc<Database>,
    commit: Commit,
    done: Box<dyn FnOnce(Committed) + Send>,
}

/// Who waits for a key to hold something else.
pub(crate) struct Watch {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) future: Arc<Future>,
}

/// A connection.
pub(crate) struct Database {
    pub(crate) cluster: Arc<Cluster>,
    /// What its transactions begin with.
    pub(crate) options: Mutex<Options>,
    file: PathBuf,
    control: Mutex<(String, Control)>,
}

impl Cluster {
    /// Takes a commit in; `done` is called on the network thread.
    pub(crate) fn commit(
        self: &Arc<Self>,
        database: Arc<Database>,
        commit: Commit,
        done: impl FnOnce(Committed) + Send + 'static,
    ) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            let cluster = self.clone();
            network::spawn(move || cluster.flush());
        }
        waiting.push(Waiting { database, commit, done: Box::new(done) });
    }

    fn flush(&self) {
        let batch = std::mem::take(&mut *self.waiting.lock());
        let mut told = Vec::new();
        {
            let mut history = self.history.lock();
            let version = history.next_version();
            for (order, Waiting { database, commit, done }) in (0..).zip(batch) {
                let (outcome, life, blind) = database.next_commit();
                let refusal = history.refusal(&commit, life);
                let refusal = refusal.filter(|code| !(blind && *code == errors::NOT_COMMITTED));
                if outcome.applied && refusal.is_none() {
                    history.apply(version, order, commit);
                }
                history.forget(life);
                match outcome.told {
                    Told::Truth => told.push((done, refusal.map_or(Ok((version, order)), Err))),
                    Told::Error(code) => told.push((done, Err(code))),
                    Told::Nothing => {}
                }
            }
        }
        told.into_iter().for_each(|(done, committed)| done(committed));
        self.look_through_watches();
    }

    /// Begins to watch; what has changed already is told at once.
    pub(crate) fn watch(&self, watches: impl IntoIterator<Item = Watch>) {
        self.watches.lock().extend(watches);
        self.look_through_watches();
    }

    /// How many watches have not ended.
    pub(crate) fn watching(&self) -> usize {
        let mut watches = self.watches.lock();
        watches.retain(|watch| watch.future.result().is_none());
        watches.len()
    }

    fn look_through_watches(&self) {
        let mut changed = Vec::new();
        {
            let mut history = self.history.lock();
            let now = history.read_version();
            let mut watches = self.watches.lock();
            watches.retain(|watch| {
                let same = history.value(now, &watch.key).map(|value| &value[..]) == watch.value.as_deref();
                if !same {
                    changed.push(watch.future.clone());
                }
                same && watch.future.result().is_none()
            });
        }
        changed.into_iter().for_each(|future| future.complete(Ok(Output::Void)));
    }
}

impl Database {
    /// Connects to what the cluster file names; `None`: where the client library looks.
    pub(crate) fn open(file: Option<&Path>) -> Result<Arc<Self>, Code> {
        let usual = || std::env::var_os("FDB_CLUSTER_FILE").unwrap_or("/etc/foundationdb/fdb.cluster".into());
        let file = file.map_or_else(|| PathBuf::from(usual()), Path::to_owned);
        let text = std::fs::read_to_string(&file).map_err(|_| errors::NO_CLUSTER_FILE)?;
        let control = Control::parse(&text)?;
        let cluster = CLUSTERS.lock().entry(control.database.clone()).or_default().clone();
        let control = Mutex::new((text, control));
        Ok(Arc::new(Self { cluster, options: Mutex::default(), file, control }))
    }

    /// Runs it on what the cluster file says now.
    pub(crate) fn control<T>(&self, read: impl FnOnce(&mut Control) -> T) -> T {
        let mut control = self.control.lock();
        // A file that is gone or being written counts as unchanged.
        if let Ok(text) = std::fs::read_to_string(&self.file)
            && text != control.0
            && let Ok(changed) = Control::parse(&text)
        {
            *control = (text, changed);
        }
        read(&mut control.1)
    }

    fn next_commit(&self) -> (crate::control::Outcome, std::time::Duration, bool) {
        self.control(|control| (control.next_commit(), control.life, control.blind))
    }
}
