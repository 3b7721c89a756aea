//! openraft's state machine on the tree that `local` uses: committed entries are applied in order on every voter
//! alike, each once it is in this voter's own log. The tree is synced behind, off the path of any acknowledgement.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, SnapshotMeta};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::consensus::{LogEntry, LogId, Outcome, Proposal, StoredMembers, Types, log_id};
use super::log_store::{LogStore, other, ours};
use super::pipeline::Event;
use super::roster::{self, Roster};
use super::snapshot::{Carried, Complete, Ending, Outgoing};
use super::trees::{Replaced, Trees};
use crate::kv::engine::Version;
use crate::kv::store::inbox::Inbox;
use crate::kv::store::keeper::Keeper;
use crate::kv::store::tree::{Applying, Store};
use crate::kv::watches::Watches;
use crate::log::Position;
use crate::{Error, Result};

/// An entry of this length and more is applied beside the runtime's own threads.
const LONG_OCTETS: usize = 128 * 1024;
/// How often it is looked whether a stalled tree can take more.
const STALL: Duration = Duration::from_millis(5);

/// How far this voter has applied: one more than the last index, and the last version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) next: u64,
    pub(super) version: u64,
}

/// The state of a voter, shared with those who read it.
pub(super) struct State {
    pub(super) trees: Trees,
    pub(super) inbox: Arc<Inbox<Event>>,
    pub(super) watches: Arc<Watches>,
    pub(super) progress: watch::Sender<Progress>,
    /// Nothing more is applied.
    pub(super) is_over: watch::Sender<bool>,
    pub(super) replaced: Replaced,
    keeper: ArcSwap<Keeper>,
    applied: Mutex<Applied>,
}

#[derive(Default)]
struct Applied {
    last: Option<LogId>,
    roster: Roster,
    /// The roster is not in the tree yet.
    is_new: bool,
}

impl State {
    /// Opens the tree that holds the state. `Corrupt` if the log ends before it.
    pub(super) fn open(trees: Trees, log: &LogStore) -> Result<Arc<Self>> {
        let held = log.held();
        trees.remove_others(held.tree)?;
        let inbox = Arc::<Inbox<Event>>::default();
        let keeper = trees.open(held.tree, log, &inbox)?;
        let applied = keeper.store.applied();
        let reaches = held.received.map_or(0, |received| ours(&received)).max(log.log().last_index());
        if applied.index > reaches {
            let text = format!("log ends at entry {reaches}, the tree holds {}", applied.index);
            return Err(Error::Corrupt(text.into()));
        }
        let roster = match keeper.store.own(roster::KEY)? {
            Some(octets) => Roster::decode(&octets)?,
            None => Roster::default(),
        };
        let last = applied.index.checked_sub(1).map(|index| log_id(applied.term, index));
        let progress = Progress { next: applied.index, version: applied.version };
        Ok(Arc::new(Self {
            trees,
            inbox,
            watches: Arc::default(),
            progress: watch::Sender::new(progress),
            is_over: watch::Sender::new(false),
            replaced: Replaced::default(),
            keeper: ArcSwap::from_pointee(keeper),
            applied: Mutex::new(Applied { last, roster, is_new: false }),
        }))
    }

    /// The tree; another one once a state was received.
    pub(super) fn store(&self) -> Arc<Store> {
        self.keeper.load().store.clone()
    }

    /// Flushes what is in memory, soon.
    #[cfg(test)]
    pub(super) fn seal(&self) {
        let keeper = self.keeper.load();
        keeper.store.seal();
        keeper.bell.ring();
    }

    pub(super) fn roster(&self) -> Roster {
        self.applied.lock().roster.clone()
    }

    /// Nothing more is applied: who watches looks elsewhere.
    pub(super) fn end_watches(&self) {
        self.is_over.send_replace(true);
    }

    /// Ends the threads. Blocks.
    pub(super) fn stop(&self) {
        self.keeper.load().stop();
        self.end_watches();
    }

    fn note(&self, id: LogId) {
        self.applied.lock().last = Some(id);
        let version = self.store().visible();
        self.progress.send_replace(Progress { next: id.index + 1, version });
    }

    /// What a whole state includes, as it is now. Between entries only.
    fn ending(&self) -> Option<Ending> {
        let applied = self.applied.lock();
        applied.last.map(|last| Ending { last, roster: applied.roster.clone() })
    }

    /// Puts a received state in place of the tree. Blocks.
    fn replace(&self, complete: Complete, log: &LogStore) -> Result<()> {
        let _pass = log.enter()?;
        self.keeper.load().stop();
        let keeper = Arc::new(self.trees.open(complete.tree, log, &self.inbox)?);
        let version = keeper.store.visible();
        if Version(version) != complete.version {
            return Err(Error::Corrupt("the state that was received is of another version".into()));
        }
        let old = self.keeper.swap(keeper);
        *self.applied.lock() = Applied { last: Some(complete.last), roster: complete.roster, is_new: false };
        self.progress.send_replace(Progress { next: complete.last.index + 1, version });
        self.watches.all_changed();
        // Its folder goes once nobody reads it.
        self.replaced.push(&old.store);
        Ok(())
    }
}

/// openraft's handle on it.
pub(super) struct Machine {
    state: Arc<State>,
    log: LogStore,
}

impl Machine {
    pub(super) fn new(state: Arc<State>, log: LogStore) -> Self {
        Self { state, log }
    }

    async fn apply_one(&self, entry: LogEntry) -> Result<Outcome> {
        let id = entry.log_id;
        let outcome = match entry.payload {
            EntryPayload::Blank => Outcome::Applied,
            EntryPayload::Membership(members) => {
                let mut applied = self.state.applied.lock();
                applied.roster.apply(id, members);
                applied.is_new = true;
                Outcome::Applied
            }
            EntryPayload::Normal(proposal) => {
                let (term, batch) = proposal.parts()?;
                // Resolved in one term and appended in another: what it was judged against may not be what
                // precedes it. Every voter sees the same two terms.
                if term == id.leader_id.term {
                    self.apply_batch(id, batch).await?;
                    Outcome::Applied
                } else {
                    Outcome::Skipped
                }
            }
        };
        self.state.note(id);
        Ok(outcome)
    }

    async fn apply_batch(&self, id: LogId, batch: Bytes) -> Result<()> {
        let place = self.log.position(&id).await?;
        let position = Position { offset: place.offset + Proposal::HEAD_OCTETS as u64, ..place };
        let store = self.state.store();
        while store.is_stalled() {
            if let Some(trouble) = self.state.inbox.trouble() {
                return Err(trouble);
            }
            if self.log.is_closed() {
                return Err(Error::Closed);
            }
            tokio::time::sleep(STALL).await;
        }
        let beside = {
            let applied = self.state.applied.lock();
            applied.is_new.then(|| (roster::KEY, applied.roster.encode()))
        };
        let sealed = store.applied().sealed;
        let is_long = batch.len() >= LONG_OCTETS;
        let tree = store.clone();
        let apply = move || {
            let (index, term) = (ours(&id), id.leader_id.term);
            tree.apply(Applying { index, term, batch: &batch, position, beside })
        };
        let batch = if is_long {
            tokio::task::spawn_blocking(apply).await.map_err(|_| Error::Closed)??
        } else {
            apply()?
        };
        self.state.applied.lock().is_new = false;
        if store.applied().sealed != sealed {
            self.state.keeper.load().bell.ring();
        }
        self.state.note_version();
        self.state.watches.batch_applied(&batch);
        Ok(())
    }

    fn meta(ending: &Ending) -> SnapshotMetaOf<Types> {
        SnapshotMeta { last_log_id: Some(ending.last), last_membership: ending.roster.members.clone() }
    }
}

impl State {
    /// Readers see the version before the entry's waiters are told.
    fn note_version(&self) {
        let version = self.store().visible();
        self.progress.send_modify(|progress| progress.version = version);
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Carried;
    type SnapshotBuilder = Marker;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembers), io::Error> {
        let applied = self.state.applied.lock();
        Ok((applied.last, applied.roster.members.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let outcome = self.apply_one(entry).await.map_err(other)?;
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _: bool) -> Option<Marker> {
        self.state.ending().map(|ending| Marker(Self::meta(&ending)))
    }

    async fn get_snapshot_builder(&mut self) -> Marker {
        let meta = self.state.ending().map(|ending| Self::meta(&ending));
        Marker(meta.unwrap_or_default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Carried,
    ) -> Result<(), io::Error> {
        let Carried::Incoming(complete) = snapshot else {
            return Err(io::Error::other("a state that was not received"));
        };
        let (tree, last) = (complete.tree, meta.last_log_id);
        // From here on the received state is the one that a restart opens.
        let held = self.log.change(move |held| (held.tree, held.received) = (tree, last)).await;
        held.map_err(other)?;
        let (state, log) = (self.state.clone(), self.log.clone());
        let replaced = tokio::task::spawn_blocking(move || state.replace(complete, &log)).await;
        replaced.unwrap_or(Err(Error::Closed)).map_err(other)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, Carried>>, io::Error> {
        let Some(ending) = self.state.ending() else { return Ok(None) };
        let meta = Self::meta(&ending);
        let whole = self.state.store().whole().map_err(other)?;
        let snapshot = Carried::Outgoing(Box::new(Outgoing::new(whole, ending)));
        Ok(Some(SnapshotOf::<Types, Carried> { meta, snapshot }))
    }
}

/// Says that the tree is the snapshot: nothing has to be built.
pub(super) struct Marker(SnapshotMetaOf<Types>);

impl RaftSnapshotBuilder<Types> for Marker {
    type SnapshotData = Carried;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Carried>, io::Error> {
        Ok(SnapshotOf::<Types, Carried> { meta: self.0.clone(), snapshot: Carried::Nothing })
    }
}

/// A number that equal states share, whatever voter holds them: over all pairs of users.
pub(super) fn hash(store: &Arc<Store>) -> Result<(Version, [u8; 32])> {
    let whole = store.whole()?;
    let version = whole.version;
    let mut hasher = blake3::Hasher::new();
    for pair in whole {
        let (key, value) = pair?;
        for part in [key, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
    }
    Ok((version, *hasher.finalize().as_bytes()))
}
