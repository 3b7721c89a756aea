//! What only FoundationDB has: its own bounds and errors, and a cluster that is away.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;

use super::cluster::Cluster;
use crate::kv::engine::{Commit, Engine, Mutation};
use crate::kv::{Database, KeyRange, Version};
use crate::{Error, limits};

fn set(key: impl Into<Bytes>, octets: usize) -> Commit {
    Commit { mutations: vec![Mutation::Set(key.into(), vec![7; octets].into())], ..Commit::default() }
}

#[tokio::test]
async fn foundationdbs_own_bounds_are_told() {
    let engine = Cluster::any().open().await.expect("opens");
    let many = (0..110).map(|number| Mutation::Set(format!("k{number}").into(), vec![7; 95_000].into()));
    let refused = [
        Commit { mutations: many.collect(), ..Commit::default() },
        set("value", limits::VALUE_OCTETS + 1),
        set(vec![1; 10_001], 1),
    ];
    for commit in refused {
        let outcome = engine.commit(commit).await;
        assert!(matches!(outcome, Err(Error::TooLarge(_))), "{outcome:?}");
    }
    let longest = vec![1; limits::KEY_OCTETS];
    engine.commit(set(longest.clone(), 1)).await.expect("fits behind the prefix");
    let mut stamped = longest.clone();
    stamped[0] = 2;
    let key = Mutation::SetVersionstampedKey { key: stamped.into(), offset: 9, value: Bytes::new() };
    engine.commit(Commit { mutations: vec![key], ..Commit::default() }).await.expect("fits with its place");
    let whole = KeyRange::new(&[0][..], &[0xff][..]);
    engine
        .commit(Commit { mutations: vec![Mutation::ClearRange(whole)], ..Commit::default() })
        .await
        .expect("clears");
}

#[tokio::test]
async fn versions_older_than_the_cluster_keeps_are_too_old() {
    let Some(cluster) = Cluster::double("life=50") else { return };
    let engine = cluster.open().await.expect("opens");
    let at = engine.read_version().await.expect("answers");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(60) {
        engine.commit(set("other", 1)).await.expect("commits");
    }
    assert!(matches!(engine.get(at, b"a").await, Err(Error::TooOld)));
    let late = Commit { read_version: Some(at), read_conflicts: vec![KeyRange::key(b"a")], ..set("b", 1) };
    assert!(matches!(engine.commit(late).await, Err(Error::TooOld)));
    engine.watch(Bytes::from("a"), at).await.expect("nobody knows what it was then: it may have changed");
}

#[tokio::test]
async fn errors_are_what_a_caller_can_do_about_them() {
    let script = "commits=conflict,old,busy,too-large,unknown-lost,ok";
    let Some(cluster) = Cluster::double(script) else { return };
    let engine = cluster.open().await.expect("opens");
    let told = async || engine.commit(set("a", 1)).await.map(|_| ());
    assert!(matches!(told().await, Err(Error::Conflict)));
    assert!(matches!(told().await, Err(Error::TooOld)));
    assert!(matches!(told().await, Err(Error::Overloaded(_))));
    assert!(matches!(told().await, Err(Error::TooLarge(_))));
    assert!(matches!(told().await, Err(Error::CommitUnknown)));
    assert!(matches!(told().await, Ok(())));
    cluster.say("behind=100");
    let at = engine.read_version().await.expect("answers");
    assert!(matches!(engine.get(at, b"a").await, Err(Error::Unavailable(_))));
    let ahead = engine.get(Version(at.0 + 3_600_000_000), b"a").await;
    assert!(matches!(ahead, Err(Error::Unavailable(_))), "{ahead:?}");
}

#[tokio::test]
async fn nothing_hangs_when_the_cluster_is_away() {
    let Some(cluster) = Cluster::double("") else { return };
    let engine = cluster.open().await.expect("opens");
    engine.commit(set("a", 1)).await.expect("commits");
    let at = engine.read_version().await.expect("answers");
    cluster.say("away");
    let begun = Instant::now();
    let opened = cluster.open();
    let (version, value, committed, opened) =
        tokio::join!(engine.read_version(), engine.get(at, b"a"), engine.commit(set("b", 1)), opened);
    assert!(matches!(version, Err(Error::Unavailable(_))), "{version:?}");
    assert!(matches!(value, Err(Error::Unavailable(_))), "{value:?}");
    assert!(matches!(committed, Err(Error::CommitUnknown)), "{committed:?}");
    let said = opened.err().expect("nobody answers").to_string();
    assert!(said.contains("fdb.cluster") && said.contains("no answer"), "{said}");
    let longest = limits::FOUNDATIONDB_COMMIT_PATIENCE.max(limits::FOUNDATIONDB_READ_PATIENCE);
    assert!(begun.elapsed() < longest + Duration::from_secs(5));
    cluster.say("");
    let at = engine.read_version().await.expect("answers again");
    assert!(engine.get(at, b"a").await.expect("reads").is_some());
}

#[tokio::test]
async fn a_commit_that_is_never_answered_is_in_doubt() {
    let Some(cluster) = Cluster::double("commits=hangs-applied") else { return };
    let engine = cluster.open().await.expect("opens");
    let outcome = engine.commit(set("a", 1)).await;
    assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
    let at = engine.read_version().await.expect("answers");
    assert!(engine.get(at, b"a").await.expect("reads").is_some());
}

#[tokio::test]
async fn an_engine_that_closes_ends_its_watches_and_commits() {
    let Some(cluster) = Cluster::double("") else { return };
    let engine = cluster.open().await.expect("opens");
    let at = engine.read_version().await.expect("answers");
    let watch = tokio::spawn(engine.watch(Bytes::from("a"), at));
    cluster.say("away");
    let (mut commit, mut close) = (Box::pin(engine.commit(set("b", 1))), Box::pin(engine.close()));
    assert!((&mut commit).now_or_never().is_none(), "on its way");
    assert!((&mut close).now_or_never().is_none(), "waits for it");
    cluster.say("");
    let (committed, ()) = tokio::join!(commit, close);
    committed.expect("what was on its way is finished");
    watch.await.expect("joins").expect("ends");
    assert!(matches!(engine.read_version().await, Err(Error::Closed)));
    let database = Database::new(engine);
    assert!(matches!(database.begin().watch(b"a").await.map(|_| ()), Err(Error::Closed)));
}

#[tokio::test]
async fn a_process_loads_one_client_library() {
    let Some(cluster) = Cluster::double("") else { return };
    cluster.open().await.expect("opens");
    let mut other = cluster.config.clone();
    other.client_library = Some("/nowhere/libfdb_c.so".into());
    let said = crate::kv::FoundationDb::open(other).await.err().expect("another library").to_string();
    assert!(said.contains("/nowhere/libfdb_c.so") && said.contains("sterna_fdb_double"), "{said}");
    let mut nowhere = cluster.config.clone();
    nowhere.cluster_file = Some("/nowhere/fdb.cluster".into());
    let said = crate::kv::FoundationDb::open(nowhere).await.err().expect("no such file").to_string();
    assert!(said.contains("/nowhere/fdb.cluster") && said.contains("1515"), "{said}");
}
