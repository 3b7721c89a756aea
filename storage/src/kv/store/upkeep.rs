//! What goes on behind the tree: flush, compaction, old versions, and the purging of the log down to
//! what the tree's files do not hold. Nothing here is on the path of a commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lsm_tree::{AbstractTree, Guard};
use parking_lot::{Condvar, Mutex};

use super::inbox::{Inbox, Pending};
use super::tree::{Store, trouble};
use super::values::{self, Stored};
use crate::kv::engine::{Commit, Mutation, Version};
use crate::kv::range::KeyRange;
use crate::log::Position;
use crate::{Result, limits};

/// How often versions age.
const TICK: Duration = Duration::from_millis(500);
/// The longest between two looks.
const LOOK_LAST: Duration = Duration::from_secs(3600);
/// Below this share of live octets, in percent, a file's values are moved into the tree.
const LIVE_PERCENT: u64 = 25;
/// Most steps of compaction before other things are looked at.
const COMPACTION_STEPS: usize = 64;

/// Wakes the upkeep's threads, and ends them.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    rung: Condvar,
}

#[derive(Default)]
struct Rung {
    flush: bool,
    compact: bool,
    is_closing: bool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.state.lock().flush = true;
        self.rung.notify_all();
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.rung.notify_all();
    }

    /// Waits for the ring that `take` looks for, or a tick. False once closing.
    fn wait(&self, take: impl Fn(&mut Rung) -> &mut bool) -> bool {
        let mut rung = self.state.lock();
        if !*take(&mut rung) && !rung.is_closing {
            self.rung.wait_for(&mut rung, TICK);
        }
        *take(&mut rung) = false;
        !rung.is_closing
    }

    fn ring_compaction(&self) {
        self.state.lock().compact = true;
        self.rung.notify_all();
    }
}

/// The state of the flush thread.
pub(crate) struct Upkeep<E> {
    pub(crate) store: Arc<Store>,
    pub(crate) inbox: Arc<Inbox<E>>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) life: Duration,
    // Versions and when they were the newest, ascending.
    pub(crate) seen: VecDeque<(Instant, u64)>,
    // Log entries up to here are in the tree's files.
    pub(crate) persisted: u64,
    pub(crate) looks: BTreeMap<u64, Look>,
    pub(crate) first_look: Duration,
}

/// When a log file is looked through next, and what was found.
pub(crate) struct Look {
    next: Instant,
    pause: Duration,
    // From this version on nothing points into the file.
    empty_at: Option<u64>,
}

impl<E> Upkeep<E> {
    /// Runs until closed: old versions, flushes, the log.
    pub(crate) fn run(mut self) {
        while self.bell.wait(|rung| &mut rung.flush) {
            self.age();
            let outcome = self.flush_sealed().and_then(|()| self.purge());
            if let Err(error) = &outcome {
                tracing::warn!(%error, "upkeep of the store failed; it is tried again");
            }
            self.inbox.set_trouble(outcome.err());
        }
    }

    /// While the log is replayed nobody else flushes.
    pub(crate) fn flush_while_replaying(&mut self) -> Result<()> {
        self.store.raise_floor(self.store.visible());
        self.flush_sealed()
    }

    /// Moves the floor of readable versions up, and lets go what only older readers needed.
    fn age(&mut self) {
        let (now, visible) = (Instant::now(), self.store.visible());
        if self.seen.back().is_none_or(|(_, version)| *version < visible) {
            self.seen.push_back((now, visible));
        }
        let memory = self.store.tree.version_memtable_size_sum();
        let life = if memory > limits::RETAINED_MEMTABLE_OCTETS { TICK } else { self.life };
        // A version is old from when the next one was seen.
        while let Some((since, next)) = self.seen.get(1).copied()
            && now.duration_since(since) > life
        {
            self.seen.pop_front();
            self.store.raise_floor(next.min(visible));
        }
        let tree = &self.store.tree;
        if tree.version_free_list_len() > 0 {
            let watermark = self.store.watermark();
            let kept = tree.get_version_history_lock().maintenance(&tree.tree_config().path, watermark);
            if let Err(error) = kept {
                tracing::warn!(?error, "old versions of the tree stay");
            }
        }
    }

    fn flush_sealed(&mut self) -> Result<()> {
        let persisted = self.store.applied();
        let sealed = persisted.sealed;
        if sealed <= self.persisted {
            return Ok(());
        }
        self.store.align();
        let lock = self.store.tree.get_flush_lock();
        let flushed = self.store.tree.flush(&lock, self.store.watermark());
        flushed.map_err(|error| self.store.undone(error))?;
        drop(lock);
        self.persisted = sealed;
        self.store.set_persisted(persisted);
        self.bell.ring_compaction();
        Ok(())
    }

    /// Purges the log's files that the tree's files hold and nothing points into.
    fn purge(&mut self) -> Result<()> {
        let purgeable = self.persisted.min(self.store.purgeable());
        let segments = self.store.log.segments();
        let mut may_go = BTreeSet::new();
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.first_index > purgeable + 1 {
                break;
            }
            if !self.is_needed(segment.first_index, segment.octets)? {
                may_go.insert(segment.first_index);
                self.looks.remove(&segment.first_index);
            }
        }
        if may_go.is_empty() { Ok(()) } else { self.store.log.purge(purgeable, &may_go) }
    }

    /// Whether a value that someone may read stands in the file. Looks only as often as is due.
    fn is_needed(&mut self, segment: u64, octets: u64) -> Result<bool> {
        let now = Instant::now();
        let first = Look { next: now + self.first_look, pause: self.first_look, empty_at: None };
        let look = self.looks.entry(segment).or_insert(first);
        if let Some(version) = look.empty_at {
            // Readers of versions before may still follow a place into the file.
            return Ok(self.store.floor() < version);
        }
        if look.next > now {
            return Ok(true);
        }
        look.next = now + look.pause;
        let is_old = look.pause > self.first_look;
        look.pause = (look.pause * 2).min(LOOK_LAST);
        let visible = self.store.visible();
        let live = live_values(&self.store, segment, visible)?;
        let live_octets: u64 = live.iter().map(|(_, length)| u64::from(*length)).sum();
        if live.is_empty() {
            look.empty_at = Some(visible);
            return Ok(self.store.floor() < visible);
        }
        if is_old && live_octets * 100 < octets * LIVE_PERCENT {
            self.rescue(segment, &live);
        }
        Ok(true)
    }

    /// Moves values into the tree, as transactions that conflict with whoever writes them meanwhile. What
    /// does not fit the queue now is moved at the next look.
    fn rescue(&self, segment: u64, live: &[(Bytes, u32)]) {
        let mut moved = 0;
        for (key, length) in live {
            let at = Version(self.store.visible());
            let Ok(Some(value)) = self.store.get(at, key) else { continue };
            let commit = Commit {
                read_version: Some(at),
                read_conflicts: vec![KeyRange::key(key)],
                write_conflicts: Vec::new(),
                mutations: vec![Mutation::Set(key.clone(), value)],
            };
            let (done, _) = tokio::sync::oneshot::channel();
            let octets = key.len() + *length as usize;
            if self.inbox.push(Pending { commit, inline: true, octets, done }).is_err() {
                break;
            }
            moved += 1;
        }
        tracing::debug!(segment, moved, of = live.len(), "moved values out of an old log file");
    }
}

/// The keys whose value stands in the file, and its length; forgets those whose value no longer does.
fn live_values(store: &Store, segment: u64, visible: u64) -> Result<Vec<(Bytes, u32)>> {
    let begin = values::place_key(Position { segment, offset: 0 });
    let end = values::place_key(Position { segment: segment + 1, offset: 0 });
    let range = KeyRange::new(begin.to_vec(), end.to_vec());
    let mut live = Vec::new();
    for pair in store.pairs(visible, &range)? {
        let (place_key, key) = pair.into_inner().map_err(trouble)?;
        let Some(position) = values::place_of(&place_key) else { continue };
        match store.stored(visible, &key)? {
            Some(Stored::Place(place)) if place.position == position => {
                live.push((Bytes::copy_from_slice(&key), place.length));
            }
            _ => store.forget_place(position),
        }
    }
    Ok(live)
}

/// Runs compaction until closed.
pub(crate) fn compact(store: &Store, bell: &Bell) {
    let strategy = Arc::new(lsm_tree::compaction::Leveled::default().with_table_target_size(TABLE_OCTETS));
    while bell.wait(|rung| &mut rung.compact) {
        for _ in 0..COMPACTION_STEPS {
            let before = store.tree.current_version().id();
            store.align();
            if let Err(error) = store.tree.compact(strategy.clone(), store.watermark()) {
                let error = store.undone(error);
                tracing::warn!(%error, "compaction failed; it is tried again");
                break;
            }
            if store.tree.current_version().id() == before {
                break;
            }
        }
    }
}

/// Size of the tree's files below the top level.
const TABLE_OCTETS: u64 = 32 * 1024 * 1024;
