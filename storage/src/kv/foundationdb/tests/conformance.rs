//! The suite that every engine passes, and histories under faults.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::cluster::Cluster;
use crate::kv::conformance::{self, history};
use crate::kv::{Database, Engine, KeyRange, Transaction};

/// A history in which fewer commit says nothing.
const LEAST_COMMITTED: usize = 40;
const FAULTS: &str = "conflict=4 old=2 busy=2 unknown-applied=5 unknown-lost=5 behind=1";

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let clusters = parking_lot::Mutex::new(Vec::new());
    let make = |_: Duration| -> BoxFuture<'static, Arc<dyn Engine>> {
        let cluster = Cluster::any();
        let config = cluster.config.clone();
        clusters.lock().push(cluster);
        async move { crate::kv::FoundationDb::open(config).await.expect("opens") as Arc<dyn Engine> }.boxed()
    };
    conformance::run_all(&make).await;
    for cluster in clusters.into_inner() {
        // A real cluster outlives the test.
        let whole = KeyRange::new(&[0][..], &[0xff][..]);
        cluster.database().await.clear_in_steps(whole).await.expect("clears");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_with_faults_are_serializable() {
    for seed in 0..12 {
        let Some(cluster) = Cluster::double("") else { return };
        // Two nodes: each connects for itself.
        let engines: [Arc<dyn Engine>; 2] =
            [cluster.open().await.expect("opens"), cluster.open().await.expect("opens")];
        cluster.say(&format!("seed={seed} {FAULTS}"));
        let outcome = history::check_together(&engines, seed).await;
        let committed = outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert!(committed >= LEAST_COMMITTED, "seed {seed}: only {committed} committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_overlooks_conflicts_is_caught() {
    let mut caught = 0;
    for seed in 0..4 {
        let Some(cluster) = Cluster::double("blind") else { return };
        let engine = cluster.open().await.expect("opens");
        caught += usize::from(history::check(engine, seed).await.is_err());
    }
    // Who runs beside whom is the machine's choice: not every run need show it.
    assert!(caught > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_in_one_database_do_not_meet() {
    let one = Cluster::any();
    let mut config = one.config.clone();
    config.prefix.push('2');
    let other = Database::new(crate::kv::FoundationDb::open(config).await.expect("opens"));
    let database = one.database().await;
    let set = async |tx: &mut Transaction| {
        tx.set("a", "1");
        Ok(())
    };
    database.run(set).await.expect("commits");
    let seen = other.begin().get(b"a").await.expect("reads");
    assert_eq!(seen, None);
    let whole = || KeyRange::new(&[0][..], &[0xff][..]);
    let clear = async |tx: &mut Transaction| {
        tx.clear_range(whole());
        Ok(())
    };
    other.run(clear).await.expect("commits");
    database.close().await;
    let again = one.database().await;
    let kept = again.begin().get(b"a").await.expect("reads");
    assert_eq!(kept.as_deref(), Some(&b"1"[..]), "what was committed is there for the next to connect");
    again.clear_in_steps(whole()).await.expect("clears");
}
