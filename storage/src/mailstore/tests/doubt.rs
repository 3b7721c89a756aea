//! Commits of which nobody is told how they ended: what was asked for happens, and happens once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::kv::engine::{Chunk, ChunkLimit, Commit};
use crate::kv::{Committed, Engine, KeyRange, Version, Watch};
use crate::{Error, Result};

/// An engine that says of two in three commits, once told to, that it does not know how they ended: one was carried
/// out, the other was not.
struct Doubtful {
    engine: Arc<Memory>,
    // Commits since; 0 as long as it says what it knows.
    commits: AtomicU32,
}

#[async_trait]
impl Engine for Doubtful {
    async fn read_version(&self) -> Result<Version> {
        self.engine.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.engine.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        if self.commits.load(Ordering::Relaxed) == 0 {
            return self.engine.commit(commit).await;
        }
        match self.commits.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => self.engine.commit(commit).await,
            1 => Err(Error::CommitUnknown),
            _ => self.engine.commit(commit).await.and(Err(Error::CommitUnknown)),
        }
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}

#[tokio::test]
async fn flags_change_and_messages_go_once() {
    let engine = Arc::new(Doubtful { engine: Memory::new(), commits: AtomicU32::new(0) });
    let house = House::over(Database::new(engine.clone()), config()).await;
    house.append(house.inbox, 12, &Flags::default()).await;
    let some = uids(&[2, 3, 5, 7, 11]);
    engine.commits.store(1, Ordering::Relaxed);
    for round in 1..=6u32 {
        let before = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        let keyword = Flags { keywords: [format!("round{round}").parse().expect("valid")].into(), ..seen() };
        let change = FlagChange::Add(keyword);
        let store = house.store.store_flags(ACCOUNT, house.inbox, &some, &change, Some(before));
        let stored = store.await.expect("stores");
        assert_eq!(stored.changed.len(), 5);
        assert!(stored.failed.is_empty(), "its own first try is no other's change");
        let after = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        assert_eq!(after.0, before.0 + 1);
    }
    for value in [2, 3, 5, 7, 11] {
        let marked = uids(&[value]);
        let change = FlagChange::Add(deleted());
        house.store.store_flags(ACCOUNT, house.inbox, &marked, &change, None).await.expect("stores");
        assert_eq!(house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges"), marked);
    }
    house.check().await;
}
