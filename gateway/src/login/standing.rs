//! Whether an account is still what it was when a session logged in to it: one that is deleted, disabled, or given
//! another password ends its sessions (design §6), whichever protocol they speak.

use std::sync::Arc;

use sterna_storage::directory::{Account, Directory, Seen};

/// How an account stands beside what a session knows of it.
pub enum Standing {
    /// Its sessions may go on, with what is newer.
    Good(Arc<Account>),
    /// Its sessions end.
    Revoked,
    /// It cannot be looked at for a moment.
    Unknown,
}

/// Looks at the account again. No session ends because its node is cut off: what the node's own copy says otherwise may be
/// older than what the session knows.
pub async fn of(directory: &Directory, known: &Arc<Account>) -> Standing {
    match directory.account_in_use(known.id).await {
        Ok(Seen { found: Some(found), is_current }) if is_good(&found, known) => {
            Standing::Good(if is_current { found } else { known.clone() })
        }
        Ok(Seen { is_current: true, .. }) => Standing::Revoked,
        Ok(Seen { is_current: false, .. }) => Standing::Unknown,
        Err(error) => {
            tracing::warn!(%error, account = %known.id, "a session's account cannot be looked at");
            Standing::Unknown
        }
    }
}

fn is_good(found: &Account, known: &Account) -> bool {
    found.enabled && password(found) == password(known)
}

fn password(account: &Account) -> Option<&str> {
    account.password_hash.as_ref().map(|hash| hash.expose().as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use bytes::Bytes;
    use sterna_storage::directory::{NewAccount, NewDomain};
    use sterna_storage::kv::engine::{Chunk, ChunkLimit, Commit};
    use sterna_storage::kv::{Committed, Database, Engine, KeyRange, Memory, OwnCopy, Version, Watch};
    use sterna_storage::types::Secret;
    use sterna_storage::{Error, Result};

    use super::*;

    /// A store of which the node has a copy, and which can fall silent.
    struct Silent {
        engine: Arc<Memory>,
        is_silent: Arc<AtomicBool>,
    }

    struct Whole(Arc<Memory>);

    #[async_trait]
    impl OwnCopy for Whole {
        async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
            self.0.get(self.0.read_version().await?, key).await
        }

        async fn range(&self, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
            self.0.range(self.0.read_version().await?, range, limit).await
        }
    }

    #[async_trait]
    impl Engine for Silent {
        async fn read_version(&self) -> Result<Version> {
            match self.is_silent.load(Ordering::SeqCst) {
                true => Err(Error::Unavailable("nobody answers".into())),
                false => self.engine.read_version().await,
            }
        }

        async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
            self.engine.get(at, key).await
        }

        async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
            self.engine.range(at, range, limit).await
        }

        async fn commit(&self, commit: Commit) -> Result<Committed> {
            self.engine.commit(commit).await
        }

        fn watch(&self, key: Bytes, at: Version) -> Watch {
            self.engine.watch(key, at)
        }

        fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
            Some(Arc::new(Whole(self.engine.clone())))
        }

        async fn close(&self) {
            self.engine.close().await;
        }
    }

    #[tokio::test]
    async fn a_session_that_knows_more_than_the_nodes_copy_goes_on_undecided() {
        let (engine, is_silent) = (Memory::new(), Arc::<AtomicBool>::default());
        let silent = Silent { engine: engine.clone(), is_silent: is_silent.clone() };
        let directory = Directory::open(Database::new(Arc::new(silent))).await.expect("opens");
        directory.create_domain(NewDomain::named("a.example".parse().expect("name"))).await.expect("made");
        let new = NewAccount::at("ann@a.example".parse().expect("address"));
        let ann = directory.create_account(new, async |_, _| Ok(())).await.expect("made");
        let password_hash = Some(Secret::new("another".to_owned()));
        let other = Arc::new(Account { password_hash, ..Account::clone(&ann) });
        assert!(matches!(of(&directory, &ann).await, Standing::Good(_)));
        assert!(matches!(of(&directory, &other).await, Standing::Revoked));
        is_silent.store(true, Ordering::SeqCst);
        let is_current = async || directory.account_in_use(ann.id).await.expect("reads").is_current;
        let begun = Instant::now();
        while is_current().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "noticed in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(matches!(of(&directory, &ann).await, Standing::Good(_)));
        assert!(matches!(of(&directory, &other).await, Standing::Unknown));
    }
}
