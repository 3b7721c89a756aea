//! What was written is read, whole, in ranges and in numbers.

use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::{DOMAIN, House, config, noise, owner, read_whole};
use crate::Error;
use crate::bodies::{Bodies, BodiesConfig};
use crate::types::{BodyId, DomainId, Secret};

#[tokio::test]
async fn bodies_of_all_lengths_read_back() {
    let house = House::new().await;
    let frame = 64 * 1024;
    let lengths =
        [0, 1, 4096, frame - 1, frame, frame + 1, 200_000, 256 << 10, (256 << 10) + 1, 900_000, 3_000_000];
    for (uid, length) in (1..).zip(lengths) {
        let octets = noise(uid, length);
        let id = house.put(&octets, owner(uid as u32)).await;
        let reader = house.reopened().await.open_body(id).await.expect("opens");
        assert_eq!(reader.len(), length as u64);
        assert!(read_whole(&reader).await.expect("reads") == octets, "{length} octets");
    }
}

#[tokio::test]
async fn a_long_body_streams_in_and_out() {
    let house = House::new().await;
    let chunk = noise(5, 100_000);
    let mut writer = house.bodies.writer(DOMAIN);
    for _ in 0..120 {
        writer.write(&chunk).await.expect("taken in");
    }
    let staged = writer.finish().await.expect("whole");
    assert_eq!(staged.size, 12_000_000);
    assert!(staged.staged_octets() < 2000, "a long body adds its record alone");
    house.commit(&staged, owner(1)).await.expect("committed");
    let reader = house.reopened().await.open_body(staged.id).await.expect("opens");
    let (mut at, mut chunks) = (0, reader.read(0..u64::MAX));
    while let Some(octets) = chunks.try_next().await.expect("reads") {
        assert!(octets.len() <= 64 * 1024);
        for octet in &octets {
            assert_eq!(*octet, chunk[at % chunk.len()]);
            at += 1;
        }
    }
    assert_eq!(at, 12_000_000);
    // Who has no memory to spare reads less at a time, and the same.
    let frugal = reader.read_ahead(1_000_000..3_000_000, 0).try_collect::<Vec<_>>().await.expect("reads");
    assert!(frugal.concat() == chunk.repeat(20));
}

#[tokio::test]
async fn many_bodies_come_in_order() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for uid in 1..=300u32 {
        ids.push(house.put(&noise(u64::from(uid), uid as usize * 7), owner(uid)).await);
    }
    let long = house.put(&noise(1000, 500_000), owner(1000)).await;
    ids.insert(100, long);
    ids.insert(200, BodyId([0; 16]));
    ids.reverse();
    let bodies = house.reopened().await;
    let readers: Vec<_> = bodies.read_many(ids.clone(), 100_000).collect().await;
    assert_eq!(readers.len(), ids.len());
    for (id, reader) in ids.iter().zip(readers) {
        if *id == BodyId([0; 16]) {
            assert!(matches!(reader, Err(Error::NotFound(_))));
            continue;
        }
        let reader = reader.expect("opens");
        assert_eq!(reader.id(), *id);
        assert_eq!(reader.loaded().is_some(), *id != long);
        let octets = read_whole(&reader).await.expect("reads");
        let alone = bodies.open_body(*id).await.expect("opens");
        assert!(octets == read_whole(&alone).await.expect("reads"));
    }
}

#[tokio::test]
async fn no_more_is_loaded_than_was_asked_for() {
    let house = House::new().await;
    // What is short when sealed may be long when opened.
    let long = house.put(&vec![b'a'; 2_000_000], owner(1)).await;
    let mut ids = vec![long];
    for uid in 2..=40u32 {
        ids.push(house.put(&noise(u64::from(uid), 1_000), owner(uid)).await);
    }
    let bodies = house.reopened().await;
    let mut readers = Box::pin(bodies.read_many(ids.clone(), 10_000));
    let first = readers.try_next().await.expect("opens").expect("is there");
    assert!(first.loaded().is_none());
    assert!(bodies.inner.cache.whole(ids[10]).is_some(), "ten thousand octets were asked for");
    assert!(bodies.inner.cache.whole(ids[11]).is_none(), "and no more");
    assert_eq!(read_whole(&first).await.expect("reads").len(), 2_000_000);
    assert_eq!(readers.try_collect::<Vec<_>>().await.expect("opens").len(), 39);
}

#[tokio::test]
async fn a_wrong_cluster_key_is_told_at_once() {
    let house = House::new().await;
    house.put(b"octets", owner(1)).await;
    let opened = Bodies::open(house.db.clone(), house.objects.clone(), Secret::new([1; 32]), config()).await;
    assert!(matches!(opened.err(), Some(Error::Invalid(_))));
}

#[tokio::test]
async fn an_erased_domain_cannot_be_read() {
    let house = House::new().await;
    let id = house.put(b"octets", owner(1)).await;
    let staged = house.bodies.write(DomainId(2), b"others").await.expect("taken in");
    house.commit(&staged, owner(2)).await.expect("committed");
    house.bodies.erase_domain_key(DOMAIN).await.expect("erased");
    assert!(matches!(house.bodies.open_body(id).await.err(), Some(Error::NotFound(_))));
    assert!(matches!(house.bodies.write(DOMAIN, b"more").await.err(), Some(Error::NotFound(_))));
    let other = house.bodies.open_body(staged.id).await.expect("opens");
    assert_eq!(read_whole(&other).await.expect("reads"), b"others");
}

#[tokio::test]
async fn a_body_can_be_committed_again() {
    let house = House::new().await;
    let staged = house.bodies.write(DOMAIN, &noise(1, 400_000)).await.expect("taken in");
    house.commit(&staged, owner(1)).await.expect("committed");
    house.commit(&staged, owner(1)).await.expect("the same again");
    house.commit(&staged, owner(2)).await.expect("for another");
    assert_eq!(house.bodies.open_body(staged.id).await.expect("opens").len(), 400_000);
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused() {
    let config = BodiesConfig { staging_octets: 5 << 20, ..config() };
    let house = House::new().await;
    let refused = Bodies::open(house.db.clone(), house.objects.clone(), Secret::new([42; 32]), config).await;
    assert!(matches!(refused.err(), Some(Error::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ranges_equal_slices(
        length in 0..700_000usize,
        text: bool,
        ranges in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let house = House::new().await;
            let octets = if text { b"Subject: words\r\n".repeat(length / 16) } else { noise(9, length) };
            let id = house.put(&octets, owner(1)).await;
            let reader = house.reopened().await.open_body(id).await.expect("opens");
            for (start, end) in ranges {
                let (start, end) = (start.index(length + 100), end.index(length + 100));
                let read = reader.read_all(start as u64..end as u64).await.expect("reads");
                let end = end.min(octets.len());
                prop_assert!(read == octets[start.min(end)..end]);
            }
            Ok(())
        })?;
    }
}
