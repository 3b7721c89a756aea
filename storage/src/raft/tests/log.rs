//! The log of a group and its anchor, crash by crash.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};

use crate::Result;
use crate::log;
use crate::log::simulated::Disk;
use crate::raft::consensus::{LogEntry, LogId, log_id};
use crate::raft::log_store::LogStore;

const TERM: u64 = 3;

fn open(disk: &Disk) -> Result<LogStore> {
    let log = log::Config {
        segment_octets: 64 * 1024,
        files: Arc::new(disk.clone()),
        on_fatal: Arc::new(|_| {}),
        ..log::Config::new(PathBuf::from("/group/log"))
    };
    LogStore::open(Path::new("/group"), log)
}

async fn append(store: &mut LogStore, indices: std::ops::Range<u64>) {
    let entry = |index| LogEntry { log_id: log_id(TERM, index), payload: EntryPayload::Blank };
    store.blocking_append(indices.map(entry)).await.expect("appends");
}

async fn ends(store: &mut LogStore) -> (Option<LogId>, Option<LogId>) {
    let state = store.get_log_state().await.expect("tells");
    (state.last_purged_log_id, state.last_log_id)
}

/// Opens what a power loss left, and does what openraft does when it starts on a tree that holds all up to `received`.
async fn start(disk: &Disk, received: LogId) -> LogStore {
    let mut store = open(disk).expect("opens");
    let (purged, last) = ends(&mut store).await;
    assert!(purged <= last, "inverted: {purged:?} and {last:?}");
    if last < Some(received) {
        assert!(last.is_none_or(|last| last.index < received.index), "{last:?} is no entry");
        store.purge(received).await.expect("goes on behind the state");
    }
    store
}

/// Gives whether the crash came too late to matter.
async fn crash_while_told(reached: u64, steps: usize) -> bool {
    let received = log_id(TERM, 20);
    let disk = Disk::default();
    let mut store = open(&disk).expect("opens");
    if reached > 0 {
        append(&mut store, 0..reached).await;
    }
    store.change(move |held| held.received = Some(received)).await.expect("changes");
    disk.die_after(steps);
    let told = store.forget(received).await;
    let disk = disk.lose_power(steps as u64);
    drop(store);
    let mut store = start(&disk, received).await;
    let last = received.max(log_id(TERM, reached.saturating_sub(1)));
    assert_eq!(ends(&mut store).await, (Some(received), Some(last)), "log of {reached}, {steps} steps");
    append(&mut store, last.index + 1..last.index + 3).await;
    let disk = disk.lose_power(steps as u64);
    drop(store);
    let mut store = start(&disk, received).await;
    let last = log_id(TERM, last.index + 2);
    assert_eq!(ends(&mut store).await, (Some(received), Some(last)), "log of {reached}, {steps} steps");
    told.is_ok()
}

#[tokio::test]
async fn a_crash_while_the_log_is_told_of_a_received_state_is_made_good_by_the_next_start() {
    for reached in [0, 5, 20, 21, 25] {
        let mut steps = 0;
        while !crash_while_told(reached, steps).await {
            steps += 1;
            assert!(steps < 1000, "it never ends");
        }
        assert!(steps > 3, "log of {reached}: {steps} steps");
    }
}
