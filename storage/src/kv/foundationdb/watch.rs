//! One native watch per key and node: whoever watches the same key shares it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use parking_lot::Mutex;

use crate::kv::engine::Version;
use crate::{Error, Result, limits};

type Native = BoxFuture<'static, Result<()>>;

/// Who is watched.
#[derive(Default)]
pub(super) struct Watched {
    keys: Mutex<HashMap<Bytes, Entry>>,
}

/// A native watch, and since which version it looks.
struct Entry {
    since: Version,
    native: WeakShared<Native>,
}

impl Watched {
    /// Ends with the key's next change after `at`. `native` makes the watch if nobody shares one.
    pub(super) fn watch(
        self: &Arc<Self>,
        key: Bytes,
        at: Version,
        native: impl FnOnce() -> Native,
    ) -> Result<Member> {
        let mut keys = self.keys.lock();
        let entry = keys.get(&key).filter(|entry| entry.since <= at);
        let under_way =
            entry.and_then(|entry| entry.native.upgrade()).filter(|native| native.peek().is_none());
        if let Some(native) = under_way {
            return Ok(Member { watched: self.clone(), key, native: Some(native) });
        }
        if keys.len() >= limits::WATCHED_KEYS && !keys.contains_key(&key) {
            return Err(Error::Overloaded(format!("{} watched keys", limits::WATCHED_KEYS).into()));
        }
        let native = native().shared();
        // It has not been polled, so that it cannot have ended.
        if let Some(weak) = native.downgrade() {
            keys.insert(key.clone(), Entry { since: at, native: weak });
        }
        Ok(Member { watched: self.clone(), key, native: Some(native) })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.lock().len()
    }
}

/// A share in a watch. The last one to be dropped gives it up.
pub(super) struct Member {
    watched: Arc<Watched>,
    key: Bytes,
    native: Option<Shared<Native>>,
}

impl Future for Member {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.native {
            Some(native) => native.poll_unpin(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut keys = self.watched.keys.lock();
        self.native = None;
        let is_over = |entry: &Entry| entry.native.upgrade().is_none_or(|native| native.peek().is_some());
        if keys.get(&self.key).is_some_and(is_over) {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn watch(watched: &Arc<Watched>, at: u64) -> (Member, Option<oneshot::Sender<()>>) {
        let (change, changed) = oneshot::channel();
        let mut change = Some(change);
        let mut kept = None;
        let native = || {
            kept = change.take();
            async move { changed.await.map_err(|_| Error::Closed) }.boxed()
        };
        let member = watched.watch(Bytes::from("a"), Version(at), native).expect("room");
        (member, kept)
    }

    #[tokio::test]
    async fn watchers_of_one_key_share_a_watch() {
        let watched = Arc::new(Watched::default());
        let (first, change) = watch(&watched, 5);
        let (second, other) = watch(&watched, 7);
        assert!(other.is_none(), "it joins");
        let (older, own) = watch(&watched, 3);
        assert!(own.is_some(), "what changed between 3 and 5 the first would not tell");
        drop(older);
        assert!(change.expect("made").send(()).is_ok());
        first.await.expect("ends");
        second.await.expect("ends too");
        let (_, again) = watch(&watched, 9);
        assert!(again.is_some(), "an ended watch is not joined");
        assert_eq!(watched.len(), 0);
    }

    #[tokio::test]
    async fn the_last_watcher_gives_the_watch_up() {
        let watched = Arc::new(Watched::default());
        let (first, change) = watch(&watched, 5);
        let (second, _) = watch(&watched, 5);
        let change = change.expect("made");
        drop(first);
        assert!(!change.is_closed());
        drop(second);
        assert!(change.is_closed());
        assert_eq!(watched.len(), 0);
    }
}
