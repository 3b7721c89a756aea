//! A node that is cut off: what its own copy may tell, and for how long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::fixture::*;
use crate::directory::{DirectoryConfig, Domain, Seen};
use crate::kv::engine::{Chunk, ChunkLimit, Commit};
use crate::kv::{Committed, Database, Engine, KeyRange, Memory, OwnCopy, Version, Watch};
use crate::{Error, Result};

const TRUSTED: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that does not answer once told so, and of which this node has a copy that stands still.
struct Severed {
    engine: Arc<Memory>,
    is_silent: AtomicBool,
    copy: Mutex<Option<Arc<Still>>>,
}

/// What there was at one moment.
struct Still(BTreeMap<Bytes, Bytes>);

#[async_trait]
impl OwnCopy for Still {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).cloned())
    }

    async fn range(&self, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        assert!(!limit.reverse, "nobody asks for that");
        let mut within = self.0.range(range.begin..range.end);
        let pairs = within.by_ref().take(limit.pairs).map(|(key, value)| (key.clone(), value.clone()));
        Ok(Chunk { pairs: pairs.collect(), more: within.next().is_some() })
    }
}

impl Severed {
    fn check(&self) -> Result<()> {
        match self.is_silent.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable("nobody answers".into())),
            false => Ok(()),
        }
    }

    /// From now on the node's copy is of now.
    async fn keep_copy(&self) {
        let (all, now) = (KeyRange::new("\0", "\u{7f}"), self.engine.read_version().await.expect("reads"));
        let limit = ChunkLimit { pairs: usize::MAX, octets: usize::MAX, reverse: false };
        let pairs = self.engine.range(now, all, limit).await.expect("reads").pairs;
        assert!(!pairs.is_empty());
        *self.copy.lock() = Some(Arc::new(Still(pairs.into_iter().collect())));
    }
}

#[async_trait]
impl Engine for Severed {
    async fn read_version(&self) -> Result<Version> {
        self.check()?;
        self.engine.read_version().await
    }

    async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
        self.check()?;
        self.engine.get(at, key).await
    }

    async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.check()?;
        self.engine.range(at, range, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.check()?;
        self.engine.commit(commit).await
    }

    fn watch(&self, key: Bytes, at: Version) -> Watch {
        self.engine.watch(key, at)
    }

    fn copy(&self) -> Option<Arc<dyn OwnCopy>> {
        let copy = self.copy.lock().clone();
        copy.map(|copy| copy as Arc<dyn OwnCopy>)
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}

/// One directory from two nodes, of which one can be cut off.
struct Scene {
    here: Directory,
    there: Directory,
    severed: Arc<Severed>,
}

impl Scene {
    /// With the domain `a.example` and `ann` in it.
    async fn new() -> Self {
        let engine = Memory::new();
        let there = Directory::open(Database::new(engine.clone())).await.expect("opens");
        there.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
        account(&there, "ann@a.example").await;
        let severed = Arc::new(Severed { engine, is_silent: AtomicBool::new(false), copy: Mutex::default() });
        let config = DirectoryConfig { cut_off_trusted: TRUSTED };
        let here = Directory::open_with(Database::new(severed.clone()), config).await.expect("opens");
        Self { here, there, severed }
    }

    async fn cut(&self, is_silent: bool) {
        self.severed.is_silent.store(is_silent, Ordering::SeqCst);
        let begun = Instant::now();
        while self.here.shared.cache.is_cut_off() != is_silent {
            assert!(begun.elapsed() < PATIENCE, "noticed in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// As if it had been cut off for so long.
    fn age(&self, by: Duration) {
        let cache = &self.here.shared.cache;
        cache.confirm(Instant::now() - by);
        cache.cut_off();
    }

    /// Waits until this node has taken in all that the other one did.
    async fn follow(&self) {
        let latest = self.there.latest_version().await.expect("reads");
        let mut versions = self.here.subscribe();
        let followed = tokio::time::timeout(PATIENCE, versions.wait_for(|version| *version >= latest)).await;
        followed.expect("followed in time").expect("open");
    }

    async fn rename_ann(&self, to: &str) {
        let ann = self.there.account_by_address(&address("ann@a.example")).await.expect("reads");
        let rename = |account: &mut Account| {
            account.name = to.to_owned();
            Ok(())
        };
        self.there.update_account(ann.expect("there").id, rename).await.expect("updated");
    }

    async fn anns_name(&self) -> String {
        let ann = self.here.account_by_address(&address("ann@a.example")).await;
        ann.expect("reads").expect("there").name.clone()
    }
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
}

async fn is_current_elsewhere(directory: &Directory) -> bool {
    match directory.resolve(&address("x@else.example")).await {
        Ok(Resolution::NotLocal { is_current }) => is_current,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_tells_what_is_there_and_not_what_is_not() {
    let scene = Scene::new().await;
    let Scene { here, there, severed } = &scene;
    alias(there, "sales@a.example", &["ann+x@a.example", "out@else.example"]).await;
    severed.keep_copy().await;
    account(there, "bob@a.example").await;
    scene.follow().await;
    scene.cut(true).await;
    for (to, expected) in [
        ("ann@a.example", "ann@a.example"),
        ("Ann+lists@a.example", "ann@a.example"),
        ("postmaster@a.example", "ann@a.example"),
        ("sales@a.example", ">out@else.example ann@a.example"),
    ] {
        assert_eq!(recipients(here, to).await, expected, "{to}");
    }
    let postmaster = here.resolve_postmaster().await;
    assert!(matches!(postmaster, Ok(Resolution::Deliver { .. })), "{postmaster:?}");
    for absent in ["bob@a.example", "nobody@a.example"] {
        assert_unavailable(here.resolve(&address(absent)).await);
        assert_unavailable(here.account_by_address(&address(absent)).await);
        assert_unavailable(here.account_by_login(absent).await);
        assert_unavailable(here.alias(&address(absent)).await);
    }
    assert_unavailable(here.domain(&name("else.example")).await);
    assert!(!is_current_elsewhere(here).await);
    let ann = here.account_by_address(&address("ann@a.example")).await.expect("reads").expect("there");
    assert!(here.may_send_as(ann.id, &address("sales@a.example")).await.expect("reads"));
    assert_unavailable(here.may_send_as(ann.id, &address("bob@a.example")).await);
    assert_unavailable(
        here.create_account(NewAccount::at(address("c@a.example")), async |_, _| Ok(())).await,
    );
    scene.cut(false).await;
    assert_eq!(recipients(here, "bob@a.example").await, "bob@a.example");
    assert_eq!(recipients(here, "nobody@a.example").await, "unknown");
    assert!(is_current_elsewhere(here).await);
    assert!(!here.may_send_as(ann.id, &address("bob@a.example")).await.expect("reads"));
}

#[tokio::test]
async fn a_catch_all_of_the_copy_takes_what_it_does_not_know() {
    let scene = Scene::new().await;
    let catch = |domain: &mut Domain| {
        domain.catch_all = Some(address("ann@a.example"));
        Ok(())
    };
    scene.there.update_domain(&name("a.example"), catch).await.expect("updated");
    scene.severed.keep_copy().await;
    scene.cut(true).await;
    assert_eq!(recipients(&scene.here, "whoever@a.example").await, "ann@a.example");
}

#[tokio::test]
async fn what_the_copy_tells_is_not_remembered() {
    let scene = Scene::new().await;
    scene.severed.keep_copy().await;
    scene.rename_ann("Anna").await;
    scene.follow().await;
    assert_eq!(scene.anns_name().await, "Anna");
    scene.cut(true).await;
    assert_eq!(scene.anns_name().await, "", "the copy is behind");
    scene.rename_ann("Annabel").await;
    assert_eq!(scene.anns_name().await, "");
    scene.severed.keep_copy().await;
    assert_eq!(scene.anns_name().await, "Annabel", "it goes on by itself");
    scene.cut(false).await;
    assert_eq!(scene.anns_name().await, "Annabel");
}

/// No entry of the log is left by which it could be forgotten.
#[tokio::test]
async fn an_old_copy_leaves_nothing_behind() {
    let scene = Scene::new().await;
    scene.severed.keep_copy().await;
    scene.rename_ann("Anna").await;
    scene.follow().await;
    scene.cut(true).await;
    assert_eq!(scene.anns_name().await, "");
    scene.cut(false).await;
    assert_eq!(scene.anns_name().await, "Anna");
}

#[tokio::test]
async fn people_are_let_in_for_so_long_and_mail_comes_in_for_longer() {
    let scene = Scene::new().await;
    let Scene { here, there, severed } = &scene;
    severed.keep_copy().await;
    let ann = there.account_by_login("ann").await.expect("reads").expect("there");
    let disable = |account: &mut Account| {
        account.enabled = false;
        Ok(())
    };
    scene.cut(true).await;
    there.update_account(ann.id, disable).await.expect("updated");
    for login in ["ann", "ann@a.example"] {
        assert!(here.account_by_login(login).await.expect("reads").expect("there").enabled, "as it was");
    }
    let Seen { found, is_current } = here.account_in_use(ann.id).await.expect("reads");
    assert!(found.is_some_and(|found| found.enabled) && !is_current);
    scene.age(TRUSTED);
    assert_unavailable(here.account_by_login("ann").await);
    assert_unavailable(here.account_in_use(ann.id).await);
    assert_eq!(recipients(here, "ann@a.example").await, "ann@a.example");
    assert!(here.account(ann.id).await.expect("reads").is_some());
    scene.cut(false).await;
    assert!(!here.account_by_login("ann").await.expect("reads").expect("there").enabled);
    let Seen { found, is_current } = here.account_in_use(ann.id).await.expect("reads");
    assert!(found.is_some_and(|found| !found.enabled) && is_current);
}

#[tokio::test]
async fn without_a_copy_nothing_is_told() {
    let scene = Scene::new().await;
    assert_eq!(recipients(&scene.here, "ann@a.example").await, "ann@a.example");
    scene.cut(true).await;
    assert_unavailable(scene.here.resolve(&address("ann@a.example")).await);
    assert_unavailable(scene.here.account_by_login("ann").await);
    assert_unavailable(scene.here.settings().await);
}
