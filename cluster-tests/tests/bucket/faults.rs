//! Every kind of request meets every kind of fault, alone and in a storm: nothing is lost, nothing is left over.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::s3::Fault;
use sterna_storage::Error;
use sterna_storage::bodies::{BodiesConfig, RequestKind};

use super::scene::{DOMAIN, Scene, commit, noise, open, owner, read, real_bucket, settings};

/// Long enough for three parts.
const LONG: usize = 11 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn each_request_outlives_each_fault() {
    let scene = Scene::new(settings()).await;
    let plan = scene.server.plan();
    for (seed, fault) in (0..).zip(Fault::ALL) {
        let (short, long) = (noise(seed, 30_000), noise(seed + 100, LONG));
        let met = |kind: RequestKind| assert_eq!(plan.left(), 0, "{kind:?} meets {fault:?}");

        plan.next(RequestKind::Put, fault);
        let short_id = scene.put(&short, owner(1)).await;
        scene.bodies.pack_once().await.expect("packs");
        met(RequestKind::Put);

        plan.next(RequestKind::Multipart, fault);
        plan.next(RequestKind::Part, fault);
        let mut writer = scene.bodies.writer(DOMAIN);
        writer.write(&long[..LONG / 2]).await.expect("taken in");
        met(RequestKind::Part);
        // This one is for its completion.
        plan.next(RequestKind::Multipart, fault);
        writer.write(&long[LONG / 2..]).await.expect("taken in");
        let staged = writer.finish().await.expect("taken in");
        met(RequestKind::Multipart);
        commit(&scene.database, &staged, owner(2)).await;

        plan.next(RequestKind::Get, fault);
        let reopened = scene.reopened(settings()).await;
        assert!(read(&reopened, short_id).await.expect("reads") == short);
        plan.next(RequestKind::Get, fault);
        assert!(read(&reopened, staged.id).await.expect("reads") == long);
        met(RequestKind::Get);

        plan.next(RequestKind::List, fault);
        plan.next(RequestKind::Head, fault);
        assert_eq!(scene.problems().await, []);
        met(RequestKind::List);

        plan.next(RequestKind::Delete, fault);
        scene.drop_reference(short_id, owner(1)).await;
        scene.drop_reference(staged.id, owner(2)).await;
        scene.settle().await;
        met(RequestKind::Delete);
        assert_eq!(scene.objects(), 0, "{fault:?}");
    }
    // Where the answer to its beginning was lost, nobody knows of an upload. It has no parts, and costs nothing.
    assert!(scene.server.open_uploads() <= 2, "{}", scene.server.open_uploads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_loses_nothing_and_leaves_nothing() {
    let seed = setting("STERNA_TEST_SEED").unwrap_or(4);
    tell(&format!("STERNA_TEST_SEED={seed}"));
    let scene = Scene::new(BodiesConfig { segment_octets: 1 << 20, ..settings() }).await;
    let mut dice = StdRng::seed_from_u64(seed);
    let faults = Fault::storm(Duration::from_millis(20));
    scene.server.plan().chance(seed, 0.3, &faults);
    let mut living = Vec::new();
    for uid in 1..=200u32 {
        let length = match dice.random_range(0..20) {
            0 => 6 << 20,
            1..4 => 400_000,
            _ => dice.random_range(0..60_000),
        };
        let octets = noise(seed ^ u64::from(uid), length);
        match scene.bodies.write(DOMAIN, &octets).await {
            Ok(staged) => {
                commit(&scene.database, &staged, owner(uid)).await;
                living.push((uid, staged.id, octets));
            }
            Err(Error::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if dice.random_bool(0.2) && !living.is_empty() {
            let (uid, id, _) = living.swap_remove(dice.random_range(0..living.len()));
            scene.drop_reference(id, owner(uid)).await;
        }
        if uid % 8 == 0 {
            // It may fail, and comes again.
            let _ = scene.bodies.pack_once().await;
            let _ = scene.bodies.collect_once().await;
        }
    }
    let failed = scene.server.plan().failed();
    assert!(failed > 30, "only {failed} requests failed: that was no storm");
    scene.server.plan().calm();
    scene.settle().await;
    let reopened = scene.reopened(settings()).await;
    for (_, id, octets) in &living {
        assert!(read(&reopened, *id).await.expect("reads") == *octets);
    }
    assert_eq!(scene.problems().await, []);
    for (uid, id, _) in living {
        scene.drop_reference(id, owner(uid)).await;
    }
    scene.settle().await;
    assert_eq!((scene.objects(), scene.problems().await), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_writer_died_is_aborted_by_another() {
    let scene = Scene::new(settings()).await;
    let mut writer = scene.bodies.writer(DOMAIN);
    writer.write(&noise(1, LONG)).await.expect("taken in");
    // As if its process had been killed: nothing of it runs any more.
    std::mem::forget(writer);
    assert_eq!(scene.server.open_uploads(), 1);
    let other = scene.reopened(settings()).await;
    scene.server.plan().next(RequestKind::Delete, Fault::LostAnswer);
    for _ in 0..3 {
        other.collect_once().await.expect("collects");
    }
    assert_eq!((scene.server.open_uploads(), scene.objects()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_was_asked() {
    let scene = Scene::new(settings()).await;
    let fault = Fault::SlowDown;
    for kind in [RequestKind::Put, RequestKind::Get, RequestKind::Part] {
        scene.server.plan().next(kind, fault);
    }
    let short = scene.put(&noise(1, 30_000), owner(1)).await;
    let long = scene.put(&noise(2, LONG), owner(2)).await;
    scene.bodies.pack_once().await.expect("packs");
    read(&scene.bodies, short).await.expect("reads");
    read(&scene.bodies, long).await.expect("reads");
    assert_eq!(scene.problems().await, []);
    let meter = scene.bodies.bucket().meter();
    for kind in RequestKind::ALL {
        assert_eq!(meter.traffic(kind).requests, scene.server.plan().asked(kind), "{kind:?}");
    }
    assert_eq!(meter.traffic(RequestKind::Put).faults, 1);
    let (sent, received) = (meter.traffic(RequestKind::Part), meter.traffic(RequestKind::Get));
    assert!(sent.sent_octets > LONG as u64 + (5 << 20), "a part was sent twice: {sent:?}");
    assert!(received.received_octets > LONG as u64, "{received:?}");
    assert!(meter.cost_microdollars() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_service_holds_bodies() {
    let Some(config) = real_bucket() else {
        tell("skipped: STERNA_TEST_S3_ENDPOINT names no service");
        return;
    };
    let database = sterna_storage::kv::Database::new(sterna_storage::kv::Memory::new());
    let bodies = open(&database, &config, settings()).await;
    tell(&format!("{:?}", bodies.check_bucket().await.expect("fit")));
    let mut kept = Vec::new();
    for (uid, length) in [(1, 100), (2, 100_000), (3, 1_000_000), (4, LONG)] {
        let octets = noise(uid, length);
        let staged = bodies.write(DOMAIN, &octets).await.expect("taken in");
        commit(&database, &staged, owner(uid as u32)).await;
        kept.push((uid as u32, staged.id, octets));
    }
    assert_eq!(bodies.pack_once().await.expect("packs").bodies, 2);
    let reopened = open(&database, &config, settings()).await;
    for (_, id, octets) in &kept {
        assert!(read(&reopened, *id).await.expect("reads") == *octets);
    }
    let verify = async || bodies.verify(Default::default(), |_| ()).await.expect("walks");
    assert_eq!(verify().await.problems, []);
    for (uid, id, _) in kept {
        let dropped = database.run(async |tx| {
            bodies.drop_reference(tx, id, owner(uid));
            Ok(())
        });
        dropped.await.expect("committed");
    }
    for _ in 0..3 {
        bodies.collect_once().await.expect("collects");
    }
    let left = verify().await;
    assert_eq!((left.bodies, left.objects, left.problems), (0, 1, vec![]), "the domain's key is left");
}
