//! Packing, collecting, verifying and recovering, with what can go wrong at each step.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;

use super::{DOMAIN, House, config, noise, owner, read_whole};
use crate::Error;
use crate::bodies::pack::{Gathering, Source};
use crate::bodies::{Bodies, BodiesConfig, Owner, Problem, Reader, Recovered, Recovery, keys};
use crate::types::{BodyId, Secret};

async fn read(bodies: &Bodies, id: BodyId) -> crate::Result<Vec<u8>> {
    read_whole(&bodies.open_body(id).await?).await
}

async fn gather(bodies: &Bodies) -> Gathering {
    let mut gathering = Gathering::new();
    for body in bodies.staged_page(&mut keys::all_staged()).await.expect("reads") {
        gathering.push(Source::Staged, body);
    }
    gathering
}

fn flip(file: &std::path::Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(file).expect("a file");
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).expect("reads");
    file.write_all_at(&[octet[0] ^ 4], at).expect("writes");
}

#[tokio::test]
async fn staged_bodies_are_packed_and_read_on() {
    let house = House::with(BodiesConfig { segment_octets: 100_000, ..config() }).await;
    let mut bodies = Vec::new();
    for uid in 1..=40u32 {
        let octets = noise(u64::from(uid), uid as usize * 5000);
        bodies.push((house.put(&octets, owner(uid)).await, octets));
    }
    let packed = house.bodies.pack_once().await.expect("packs");
    assert_eq!(packed.bodies, 40);
    assert!((20..=40).contains(&packed.segments) && house.files().len() as u64 == packed.segments);
    assert_eq!(house.bodies.pack_once().await.expect("packs").bodies, 0);
    let reopened = house.reopened().await;
    for (id, octets) in &bodies {
        assert!(read(&reopened, *id).await.expect("reads") == *octets);
    }
    let ids = bodies.iter().map(|(id, _)| *id).collect();
    let many: Vec<Reader> =
        house.reopened().await.read_many(ids, 1 << 20).try_collect().await.expect("opens");
    for (reader, (_, octets)) in many.iter().zip(&bodies) {
        assert!(read_whole(reader).await.expect("reads") == *octets);
    }
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn a_reader_survives_packing_and_rewriting() {
    let house = House::new().await;
    let octets = noise(1, 200_000);
    let kept = house.put(&octets, owner(1)).await;
    let gone = house.put(&noise(2, 250_000), owner(2)).await;
    let during_pack = house.reopened().await.open_body(kept).await.expect("opens");
    house.bodies.pack_once().await.expect("packs");
    assert!(read_whole(&during_pack).await.expect("finds it packed") == octets);
    let during_rewrite = house.reopened().await.open_body(kept).await.expect("opens");
    let before = house.files();
    house.drop_reference(gone, owner(2)).await;
    house.settle().await;
    assert_eq!(house.files().len(), 1);
    assert_ne!(house.files(), before, "it was rewritten");
    assert!(read_whole(&during_rewrite).await.expect("finds it elsewhere") == octets);
    assert!(matches!(read(&house.reopened().await, gone).await, Err(Error::NotFound(_))));
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn a_body_that_goes_while_it_is_packed_stays_gone() {
    let house = House::new().await;
    let (kept, gone) = (house.put(b"kept", owner(1)).await, house.put(b"gone", owner(2)).await);
    let gathering = gather(&house.bodies).await;
    let (segment, octets, entries) = house.bodies.put_segment(gathering.builder).await.expect("written");
    house.drop_reference(gone, owner(2)).await;
    let collected = house.db.run(async |tx| Ok(tx.get(&keys::body(gone)).await?.is_some())).await;
    assert!(collected.expect("reads"));
    let one = BodiesConfig { upload_life: std::time::Duration::from_secs(60), ..config() };
    let collector = Bodies::open(house.db.clone(), house.objects.clone(), Secret::new([42; 32]), one).await;
    assert_eq!(collector.expect("opens").collect_once().await.expect("collects").bodies, 1);
    let packed = house.bodies.point(segment, octets, &entries, &gathering.sources).await.expect("points");
    assert_eq!(packed.bodies, 1);
    assert_eq!(read(&house.reopened().await, kept).await.expect("reads"), b"kept");
    assert!(matches!(read(&house.reopened().await, gone).await, Err(Error::NotFound(_))));
    assert_eq!(house.verify().await, []);
    house.drop_reference(kept, owner(1)).await;
    house.settle().await;
    assert_eq!(house.files().len(), 0);
}

#[tokio::test]
async fn a_segment_whose_packer_died_is_collected() {
    let house = House::new().await;
    let id = house.put(b"octets", owner(1)).await;
    let gathering = gather(&house.bodies).await;
    let (segment, octets, entries) = house.bodies.put_segment(gathering.builder).await.expect("written");
    assert_eq!(house.files().len(), 1);
    assert_eq!(house.verify().await, [], "its intent is known");
    house.bodies.collect_once().await.expect("gives it up");
    house.bodies.collect_once().await.expect("deletes it");
    assert_eq!(house.files().len(), 0);
    let late = house.bodies.point(segment, octets, &entries, &gathering.sources).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "a packer that slept must not point at it");
    assert_eq!(read(&house.reopened().await, id).await.expect("is still staged"), b"octets");
    assert_eq!(house.bodies.pack_once().await.expect("packs").bodies, 1);
    assert_eq!(read(&house.reopened().await, id).await.expect("reads"), b"octets");
}

#[tokio::test]
async fn a_long_body_that_nobody_commits_goes_at_the_next_look() {
    let life = std::time::Duration::from_secs(4 * 60 * 60);
    let house = House::with(BodiesConfig { upload_life: life, ..config() }).await;
    let kept = house.put(&noise(1, 500_000), owner(1)).await;
    let refused = house.bodies.write(super::DOMAIN, &noise(2, 500_000)).await.expect("taken in");
    let again = refused.clone();
    drop(refused);
    house.settle().await;
    assert_eq!(house.files().len(), 2, "it can still be committed");
    drop(again);
    // Giving it up is a task of its own.
    while house.files().len() > 1 {
        tokio::task::yield_now().await;
        house.bodies.collect_once().await.expect("collects");
    }
    assert_eq!(house.verify().await, []);
    assert_eq!(read(&house.bodies, kept).await.expect("reads"), noise(1, 500_000));
}

#[tokio::test]
async fn what_nobody_refers_to_goes_from_every_place() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for (uid, length) in [(1, 10), (2, 150_000), (3, 500_000), (4, 2_500_000)] {
        ids.push(house.put(&noise(uid, length), owner(uid as u32)).await);
    }
    let packed = house.put(b"packed", owner(5)).await;
    house.bodies.pack_once().await.expect("packs");
    let shared = house.put(b"shared", owner(6)).await;
    let added = house.db.run(async |tx| {
        house.bodies.add_reference(tx, shared, owner(7));
        Ok(())
    });
    added.await.expect("committed");
    for (uid, id) in (1..).zip(&ids) {
        house.drop_reference(*id, owner(uid)).await;
    }
    house.drop_reference(packed, owner(5)).await;
    house.drop_reference(shared, owner(6)).await;
    house.settle().await;
    for id in ids {
        assert!(matches!(read(&house.reopened().await, id).await, Err(Error::NotFound(_))));
    }
    assert_eq!(read(&house.reopened().await, shared).await.expect("has an owner"), b"shared");
    house.drop_reference(shared, owner(7)).await;
    house.settle().await;
    assert_eq!(house.files().len(), 0);
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn a_body_is_shared_or_collected_but_not_both() {
    let house = House::new().await;
    let id = house.put(b"octets", owner(1)).await;
    house.drop_reference(id, owner(1)).await;
    let mut late = house.db.begin();
    house.bodies.share(&mut late, id, owner(2)).await.expect("is there still");
    house.bodies.collect_once().await.expect("collects");
    assert!(matches!(late.commit().await, Err(Error::Conflict)));
    let later = house.db.run(async |tx| house.bodies.share(tx, id, owner(2)).await).await;
    assert!(matches!(later, Err(Error::Invalid(_))));

    let id = house.put(b"other octets", owner(3)).await;
    house.drop_reference(id, owner(3)).await;
    house.db.run(async |tx| house.bodies.share(tx, id, owner(4)).await).await.expect("shares");
    house.settle().await;
    assert_eq!(read(&house.reopened().await, id).await.expect("has an owner"), b"other octets");
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn damage_is_told_and_never_read() {
    for length in [3000, 600_000] {
        let house = House::new().await;
        let id = house.put(&noise(1, length), owner(1)).await;
        house.bodies.pack_once().await.expect("packs");
        let file = house.files().remove(0);
        let end = file.metadata().expect("a file").len();
        for at in [8, 1000, length as u64 - 1] {
            flip(&file, at);
            assert!(matches!(read(&house.reopened().await, id).await, Err(Error::Corrupt(_))), "octet {at}");
            let problems = house.verify().await;
            assert!(matches!(&problems[..], [Problem::Damaged { body, .. }] if *body == id), "{problems:?}");
            flip(&file, at);
        }
        flip(&file, end - 30);
        assert!(matches!(house.verify().await[..], [Problem::Footer { .. }]));
        flip(&file, end - 30);
        assert_eq!(house.verify().await, []);
        std::fs::remove_file(&file).expect("removed");
        assert!(matches!(read(&house.reopened().await, id).await, Err(Error::Corrupt(_))));
        assert!(matches!(house.verify().await[..], [Problem::Damaged { .. }]));
    }
}

#[tokio::test]
async fn damage_of_staged_bodies_and_strangers_are_told() {
    let house = House::new().await;
    let id = house.put(b"octets", owner(1)).await;
    let damage = house.db.run(async |tx| {
        let mut value = tx.get(&keys::body(id)).await?.expect("is there").to_vec();
        *value.last_mut().expect("not empty") ^= 1;
        tx.set(keys::body(id), value);
        tx.set(keys::reference(BodyId([1; 16]), owner(2)), bytes::Bytes::new());
        Ok(())
    });
    damage.await.expect("committed");
    let stranger = house.folder.path().join("objects/segments/00000000000000000000000000000000");
    std::fs::write(&stranger, b"not ours").expect("written");
    let problems = house.verify().await;
    assert!(
        matches!(&problems[..], [Problem::Damaged { .. }, Problem::Dangling { .. }, Problem::Orphan { .. }]),
        "{problems:?}"
    );
    assert!(matches!(read(&house.reopened().await, id).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn while_the_object_store_is_away_mail_is_taken_in() {
    let (house, switch) = House::with_faults(BodiesConfig { away_octets: 3_000_000, ..config() }).await;
    switch.away.store(true, Ordering::SeqCst);
    let (short, long) = (noise(1, 1000), noise(2, 2_500_000));
    let (short_id, long_id) = (house.put(&short, owner(1)).await, house.put(&long, owner(2)).await);
    let refused = house.bodies.write(DOMAIN, &noise(3, 600_000)).await;
    assert!(matches!(refused, Err(Error::Full(_))), "the room for long bodies is full");
    assert!(house.bodies.pack_once().await.is_err());
    assert_eq!(house.files().len(), 0);
    assert!(read(&house.reopened().await, short_id).await.expect("reads") == short);
    assert!(read(&house.reopened().await, long_id).await.expect("reads") == long);
    let reader = house.reopened().await.open_body(long_id).await.expect("opens");
    assert!(reader.read_all(1_000_000..1_100_000).await.expect("reads") == long[1_000_000..1_100_000]);

    switch.away.store(false, Ordering::SeqCst);
    house.settle().await;
    assert_eq!(house.files().len(), 2);
    assert!(read_whole(&reader).await.expect("finds it elsewhere") == long);
    assert!(read(&house.reopened().await, short_id).await.expect("reads") == short);
    assert_eq!(house.verify().await, []);
    house.drop_reference(long_id, owner(2)).await;
    house.drop_reference(short_id, owner(1)).await;
    house.settle().await;
    assert_eq!(house.files().len(), 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let (house, switch) = House::with_faults(config()).await;
    switch.parts.store(true, Ordering::SeqCst);
    let broken = house.bodies.write(DOMAIN, &noise(1, 4_000_000)).await;
    assert!(matches!(broken, Err(Error::Unavailable(_))));
    switch.parts.store(false, Ordering::SeqCst);
    let reopened = house.reopened().await;
    let mut dropped = reopened.writer(DOMAIN);
    dropped.write(&noise(2, 4_000_000)).await.expect("taken in");
    drop(dropped);
    let uncommitted = reopened.write(DOMAIN, &noise(3, 4_000_000)).await.expect("taken in");
    for _ in 0..3 {
        house.bodies.collect_once().await.expect("collects");
    }
    let late = house.commit(&uncommitted, owner(1)).await;
    assert!(matches!(late, Err(Error::Invalid(_))));
    house.bodies.collect_once().await.expect("collects");
    assert_eq!(house.files().iter().filter(|file| !file.to_string_lossy().contains('#')).count(), 0);
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn bodies_are_recovered_from_the_object_store_alone() {
    let house = House::new().await;
    let (short, long) = (noise(1, 90_000), noise(2, 900_000));
    house.put(&short, owner(1)).await;
    house.put(&long, Owner::Queue(crate::types::QueueId([7; 10]))).await;
    house.bodies.pack_once().await.expect("packs");
    let recovery = Recovery::open(house.objects.clone(), &Secret::new([42; 32])).await.expect("opens");
    let mut found: Vec<Recovered> = Vec::new();
    recovery.bodies(|body| found.push(body.expect("a footer"))).await.expect("lists");
    found.sort_by_key(Recovered::size);
    assert_eq!(found[0].owners(), [owner(1)]);
    for (body, octets) in found.iter().zip([short, long]) {
        let mut read = Vec::new();
        recovery.read(body, |frame| read.extend_from_slice(&frame)).await.expect("reads");
        assert!(read == octets);
    }
    assert!(Recovery::open(house.objects.clone(), &Secret::new([1; 32])).await.is_err());
    house.bodies.erase_domain_key(DOMAIN).await.expect("erased");
    let recovery = Recovery::open(house.objects.clone(), &Secret::new([42; 32])).await.expect("opens");
    assert!(matches!(recovery.read(&found[0], drop).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn bodies_of_an_erased_domain_are_no_damage() {
    let house = House::new().await;
    house.put(b"octets", owner(1)).await;
    house.bodies.erase_domain_key(DOMAIN).await.expect("erased");
    house.bodies.pack_once().await.expect("packs what it cannot read");
    assert_eq!(house.verify().await, []);
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let mut house = House::on_disk(config()).await;
    let mut bodies = Vec::new();
    for (uid, length) in [(1, 3_000), (2, 70_000), (3, 200_000), (4, 2_000_000)] {
        let octets = noise(uid, length);
        bodies.push((house.put(&octets, owner(uid as u32)).await, octets));
    }
    for packs in [false, true] {
        if packs {
            house.settle().await;
        }
        house = house.restarted().await;
        for (id, octets) in &bodies {
            assert!(read(&house.bodies, *id).await.expect("reads") == *octets);
        }
        assert_eq!(house.verify().await, []);
    }
}
