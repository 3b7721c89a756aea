//! The bucket is away: mail comes in, readers are told at once, and afterwards all of it is packed, once.

use std::time::{Duration, Instant};

use sterna_storage::Error;
use sterna_storage::bodies::{BodiesConfig, RequestKind};

use super::scene::{Scene, commit, noise, owner, read, settings};

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_wait_for_a_bucket_that_is_away() {
    let patience = Duration::from_millis(300);
    let scene = Scene::new(BodiesConfig { patience, ..settings() }).await;
    let id = scene.put(&noise(1, 1000), owner(1)).await;
    scene.bodies.pack_once().await.expect("packs");
    scene.server.plan().set_away(true);
    assert!(matches!(read(&scene.bodies, id).await, Err(Error::Unavailable(_))), "after its patience");
    let start = Instant::now();
    for _ in 0..100 {
        assert!(matches!(read(&scene.bodies, id).await, Err(Error::Unavailable(_))));
    }
    assert!(start.elapsed() < patience, "the others are told at once: {:?}", start.elapsed());
    scene.server.plan().set_away(false);
    while let Err(error) = read(&scene.bodies, id).await {
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(start.elapsed() < Duration::from_secs(30), "someone tries now and then");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_meanwhile_is_packed_once() {
    let limits = BodiesConfig { away_octets: 3_000_000, patience: Duration::from_millis(200), ..settings() };
    let scene = Scene::new(limits).await;
    scene.server.plan().set_away(true);
    let mut kept = Vec::new();
    for uid in 1..=50u32 {
        let octets = noise(u64::from(uid), 20_000);
        kept.push((scene.put(&octets, owner(uid)).await, octets));
    }
    let long = noise(99, 2_000_000);
    kept.push((scene.put(&long, owner(99)).await, long));
    let start = Instant::now();
    let refused = scene.bodies.write(super::scene::DOMAIN, &noise(100, 2_000_000)).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for _ in 0..3 {
        assert!(matches!(scene.bodies.pack_once().await, Err(Error::Unavailable(_))));
    }
    for (id, octets) in &kept {
        assert!(read(&scene.bodies, *id).await.expect("it is staged") == *octets);
    }
    assert_eq!(scene.bodies.waiting().await.expect("counts").bodies, 51);
    scene.server.plan().set_away(false);
    let before = scene.server.plan().asked(RequestKind::Put);
    assert_eq!(scene.bodies.pack_once().await.expect("packs").bodies, 51);
    // A segment, the domain's key, and the long body whole or in parts.
    assert!(scene.server.plan().asked(RequestKind::Put) - before <= 3);
    assert_eq!(scene.bodies.waiting().await.expect("counts").bodies, 0);
    let reopened = scene.reopened(settings()).await;
    for (id, octets) in &kept {
        assert!(read(&reopened, *id).await.expect("reads") == *octets);
    }
    assert_eq!(scene.objects(), 2);
    assert_eq!(scene.problems().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_landed_late_is_found_and_deleted() {
    use sterna_cluster_tests::s3::Fault;
    let scene = Scene::new(BodiesConfig { patience: Duration::ZERO, ..settings() }).await;
    // The domain's key goes first.
    let first = scene.bodies.write(super::scene::DOMAIN, &noise(1, 1000)).await.expect("taken in");
    commit(&scene.database, &first, owner(1)).await;
    scene.bodies.pack_once().await.expect("packs");
    let id = scene.put(&noise(2, 1000), owner(2)).await;
    scene.server.plan().next(RequestKind::Put, Fault::LostAnswer);
    assert!(scene.bodies.pack_once().await.is_err());
    assert_eq!(scene.objects(), 2, "it landed all the same");
    scene.bodies.pack_once().await.expect("packs");
    for _ in 0..2 {
        scene.bodies.collect_once().await.expect("collects");
    }
    assert_eq!(scene.objects(), 2, "one for each packing that ended well");
    assert_eq!(read(&scene.reopened(settings()).await, id).await.expect("reads"), noise(2, 1000));
    assert_eq!(scene.problems().await, []);
}
