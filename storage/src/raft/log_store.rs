//! openraft's log on ours: one sync for all that waits, entries readable from the moment they are handed over, votes
//! saved behind every entry that was handed over before them. Our indices are openraft's plus one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::anchor::{Anchor, Held};
use super::consensus::{LogEntry, LogId, Types, decode_payload, encode_payload, log_id};
use super::gate::{Gate, Pass};
use super::tail::{Tail, octets_of};
use crate::log::{self, Entry, Log, OnFatal, Position};
use crate::{Error, Result, limits};

/// The log of a group and its anchor; clones are the same one.
#[derive(Clone)]
pub(super) struct LogStore(Arc<Shared>);

struct Shared {
    log: Arc<Log>,
    anchor: Mutex<Anchor>,
    held: Mutex<Held>,
    tail: Mutex<Tail>,
    durable: Arc<watch::Sender<Durable>>,
    on_fatal: OnFatal,
    gate: Arc<Gate>,
}

/// How far the log is on disk, and why it goes no further.
#[derive(Debug, Clone, Default)]
struct Durable {
    index: u64,
    failed: Option<Error>,
}

/// An entry's index in our log.
pub(super) fn ours(id: &LogId) -> u64 {
    id.index + 1
}

/// The first entry of our log that must be there, where all up to `gone` need not.
fn needed(gone: Option<LogId>) -> u64 {
    gone.map_or(0, |id| ours(&id)) + 1
}

pub(super) fn other(error: Error) -> io::Error {
    io::Error::other(error)
}

impl LogStore {
    /// Opens the log and the anchor. `Corrupt` if something that was promised is lost.
    pub(super) fn open(folder: &Path, log: log::Config) -> Result<Self> {
        let (files, on_fatal) = (log.files.clone(), log.on_fatal.clone());
        let mut anchor = Anchor::open(&*files, folder, &log.folder, on_fatal.clone())?;
        let held = anchor.held().clone();
        let open = |gone| {
            let on_fatal = on_fatal.clone();
            let (folder, files) = (log.folder.clone(), files.clone());
            let first_needed = needed(gone);
            let segment_octets = log.segment_octets;
            Log::open(log::Config { folder, segment_octets, first_needed, files, on_fatal })
        };
        let mut behind_received = None;
        if let Some(received) = held.received
            && let Ok(log) = open(Some(received))
            && goes_on(&log)
        {
            // The log was told to go on behind the state that was received, or reached beyond it; the anchor was not.
            anchor.change(|held| held.forget(received))?;
            behind_received = Some(log);
        }
        let log = match behind_received {
            Some(log) => log,
            // Where a state was received, openraft goes on behind it when it starts.
            None => open(held.purged)?,
        };
        let index = log.last_index();
        Ok(Self(Arc::new(Shared {
            log: Arc::new(log),
            held: Mutex::new(anchor.held().clone()),
            anchor: Mutex::new(anchor),
            tail: Mutex::default(),
            durable: Arc::new(watch::Sender::new(Durable { index, failed: None })),
            on_fatal,
            gate: Arc::default(),
        })))
    }

    /// For who is about to change the group's folder. `Closed` once it ends.
    pub(super) fn enter(&self) -> Result<Pass> {
        self.0.gate.enter()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.gate.is_closed()
    }

    /// Nobody changes the group's folder any more, nor waits for the log. Blocks.
    pub(super) fn shut(&self) {
        self.0.gate.close();
        self.0.durable.send_modify(|durable| {
            durable.failed.get_or_insert(Error::Closed);
        });
    }

    pub(super) fn log(&self) -> &Arc<Log> {
        &self.0.log
    }

    /// What follows where it is not known any more what is on disk.
    pub(super) fn on_fatal(&self) -> OnFatal {
        self.0.on_fatal.clone()
    }

    pub(super) fn held(&self) -> Held {
        self.0.held.lock().clone()
    }

    /// Holds something else, durably.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Held) + Send + 'static) -> Result<()> {
        let (shared, pass) = (self.0.clone(), self.enter()?);
        let changed = tokio::task::spawn_blocking(move || {
            let _pass = pass;
            let mut anchor = shared.anchor.lock();
            let changed = anchor.change(change);
            *shared.held.lock() = anchor.held().clone();
            changed
        });
        changed.await.unwrap_or(Err(Error::Closed))
    }

    /// Where the entry's payload stands, once it is on this disk.
    pub(super) async fn position(&self, id: &LogId) -> Result<Position> {
        self.wait_durable(ours(id)).await?;
        self.0.log.position(ours(id))
    }

    async fn wait_durable(&self, index: u64) -> Result<()> {
        let mut durable = self.0.durable.subscribe();
        let reached = durable.wait_for(|durable| durable.failed.is_some() || durable.index >= index).await;
        let reached = reached.map_err(|_| Error::Closed)?;
        reached.failed.clone().map_or(Ok(()), Err)
    }

    /// The last entry of the log, or what it would follow.
    pub(super) fn last(&self) -> Option<LogId> {
        if let Some(last) = self.0.tail.lock().last() {
            return Some(last);
        }
        let (log, purged) = (&self.0.log, self.held().purged);
        let last = log.last_index().checked_sub(1).map(|index| log_id(log.last_term(), index));
        if last.map(|last| last.index) > purged.map(|purged| purged.index) { last } else { purged }
    }

    /// Entries of the range that are there, until `octets` are reached (at least one).
    pub(super) fn read(&self, begin: u64, end: u64, octets: usize) -> Result<Vec<LogEntry>> {
        let begin = begin.max(needed(self.held().purged) - 1);
        let end = end.min(self.last().map_or(0, |last| last.index + 1));
        let mut entries = Vec::new();
        let mut total = 0;
        let mut index = begin;
        while index < end && (entries.is_empty() || total < octets) {
            if let Some(entry) = self.0.tail.lock().get(index + 1) {
                total += octets_of(entry);
                entries.push(entry.clone());
                index += 1;
                continue;
            }
            // Some at once: files are read in order.
            let step = (octets - total).min(limits::RAFT_SENT_OCTETS);
            let in_memory = self.0.tail.lock().first().map_or(u64::MAX, |first| first.index);
            let last = end.min(index + limits::RAFT_SENT_ENTRIES).min(in_memory);
            let read = match self.0.log.read(index + 1..=last, step) {
                // Cut off or purged since it was looked where the log ends.
                Err(Error::NotFound(_)) => break,
                read => read?,
            };
            if read.is_empty() {
                // Cut off, and something else is in memory since.
                break;
            }
            for entry in read {
                let payload = decode_payload(entry.payload)?;
                let entry = LogEntry { log_id: log_id(entry.term, entry.index - 1), payload };
                total += octets_of(&entry);
                entries.push(entry);
                index += 1;
            }
        }
        Ok(entries)
    }

    /// Appends entries, which can be read when this returns.
    pub(super) async fn add(&self, entries: Vec<LogEntry>, callback: IOFlushed<Types>) -> Result<()> {
        let record = |entry: &LogEntry| Entry {
            index: ours(&entry.log_id),
            term: entry.log_id.leader_id.term,
            payload: encode_payload(&entry.payload),
        };
        let records: Vec<Entry> = entries.iter().map(record).collect();
        let durable = self.0.durable.borrow().index;
        self.0.tail.lock().push(&entries, durable);
        self.hand_over(records, callback).await
    }

    /// Waits until all that was handed over is on disk.
    pub(super) async fn settle(&self) -> Result<()> {
        let last = self.0.tail.lock().last().map_or(0, |last| ours(&last));
        self.wait_durable(last).await
    }

    /// Hands entries to the log; waits while its queue is full.
    async fn hand_over(&self, records: Vec<Entry>, callback: IOFlushed<Types>) -> Result<()> {
        let callback = Arc::new(Mutex::new(Some(callback)));
        let last = records.last().map_or(0, |entry| entry.index);
        loop {
            let mut durable = self.0.durable.subscribe();
            // The log's thread must not be the last to hold the log.
            let (told, callback) = (self.0.durable.clone(), callback.clone());
            let done = move |outcome: Result<Vec<Position>>| {
                let Some(callback) = callback.lock().take() else { return };
                told.send_modify(|durable| match &outcome {
                    Ok(_) => durable.index = durable.index.max(last),
                    Err(error) => durable.failed = durable.failed.take().or(Some(error.clone())),
                });
                callback.io_completed(outcome.map(|_| ()).map_err(other));
            };
            match self.0.log.append(records.clone(), done) {
                Err(Error::Overloaded(_)) => {
                    let changed = durable.changed().await;
                    changed.map_err(|_| Error::Closed)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Lets a job of the log end.
    async fn finish(&self, job: impl FnOnce(oneshot::Sender<Result<()>>) -> Result<()>) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        job(done)?;
        outcome.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) async fn truncate(&self, after: u64) -> Result<()> {
        let log = &self.0.log;
        self.finish(|done| log.truncate_after(after, move |outcome| drop(done.send(outcome)))).await?;
        self.0.tail.lock().retain(|index| index <= after);
        self.0.durable.send_modify(|durable| durable.index = durable.index.min(after));
        Ok(())
    }

    pub(super) async fn forget(&self, upto: LogId) -> Result<()> {
        let log = &self.0.log;
        let index = ours(&upto);
        if log.last_index() < index {
            let term = upto.leader_id.term;
            self.finish(|done| log.skip_to(index, term, move |outcome| drop(done.send(outcome)))).await?;
            self.0.durable.send_modify(|durable| durable.index = index);
        }
        self.0.tail.lock().retain(|kept| kept > index);
        self.change(move |held| held.forget(upto)).await
    }
}

/// Whether entries can be appended to its last file.
fn goes_on(log: &Log) -> bool {
    log.segments().last().is_some_and(|last| !last.is_retained)
}
