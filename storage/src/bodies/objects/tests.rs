//! The object store as the body store sees it, over one in memory that speaks as a service does.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::mark::{Claim, ClusterId};
use super::{Bucket, BucketConfig, BucketKind, ConditionalPut, Credentials, Meter, ObjectName, Objects};
use crate::Error;
use crate::bodies::tests::faults::{Faulty, Switch};
use crate::limits::REMOTE_GAP_OCTETS;
use crate::types::BodyId;

const ONE: ClusterId = ClusterId([1; 16]);
const OTHER: ClusterId = ClusterId([2; 16]);
const NAME: ObjectName = ObjectName::Body(BodyId([7; 16]));

fn bucket(prefix: &str) -> Bucket {
    let limits = (Duration::from_secs(5), 4);
    Bucket::remote(
        InMemory::new(),
        Path::from(prefix),
        Arc::<Meter>::default(),
        "bucket \"b\"".into(),
        limits,
    )
}

fn objects(bucket: &Bucket, cluster: ClusterId) -> Arc<Objects> {
    Objects::new(bucket.clone(), Duration::ZERO, Some(Claim { cluster, is_placed: false }))
}

#[tokio::test]
async fn a_bucket_is_one_clusters() {
    let bucket = bucket("");
    let report = objects(&bucket, ONE).check().await.expect("fit").expect("a service");
    assert_eq!(report.conditional_put, ConditionalPut::Honoured);
    assert_eq!(objects(&bucket, ONE).check().await.expect("still fit"), Some(report));
    let foreign = objects(&bucket, OTHER);
    let refused = foreign.check().await.expect_err("another's").to_string();
    assert!(refused.contains("belongs to another cluster: 0101"), "{refused}");
    for outcome in [foreign.put(NAME, "x".into()).await, foreign.get(NAME, 0..1).await.map(drop)] {
        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    }
    assert!(foreign.list("bodies").try_next().await.is_err());
    let listed: Vec<_> = bucket.store.list(None).try_collect().await.expect("lists");
    assert_eq!(listed.len(), 1, "the mark is all that is left: {listed:?}");
}

#[tokio::test]
async fn a_bucket_that_was_mended_is_taken() {
    let bucket = bucket("");
    bucket.store.put(&Path::from("cluster"), "something else".into()).await.expect("written");
    let objects = objects(&bucket, ONE);
    let refused = objects.check().await.expect_err("no mark").to_string();
    assert!(refused.contains("that is no mark"), "{refused}");
    bucket.store.delete(&Path::from("cluster")).await.expect("deleted");
    objects.check().await.expect("looked at again");
    objects.put(NAME, "x".into()).await.expect("taken");
}

#[tokio::test]
async fn a_cluster_that_has_marked_a_place_takes_no_other() {
    let folder = |name: &str| Bucket::shared_folder(Arc::new(InMemory::new()), name.into());
    let (own, other) = (folder("the folder /mail"), folder("the folder /not-mounted"));
    let placed = |bucket: &Bucket| {
        Objects::new(bucket.clone(), Duration::ZERO, Some(Claim { cluster: ONE, is_placed: true }))
    };
    objects(&own, ONE).put(NAME, "x".into()).await.expect("the first takes its mark");
    placed(&own).check().await.expect("it bears the mark");
    let refused = placed(&other).check().await.expect_err("no mark").to_string();
    assert!(refused.contains("the folder /not-mounted is not where this cluster keeps bodies"), "{refused}");
    assert!(matches!(placed(&other).put(NAME, "x".into()).await, Err(Error::Unavailable(_))));
    let listed: Vec<_> = other.store.list(None).try_collect().await.expect("lists");
    assert!(listed.is_empty(), "{listed:?}");
}

#[tokio::test]
async fn a_folder_whose_mount_is_gone_takes_nothing() {
    let bucket = Bucket::shared_folder(Arc::new(InMemory::new()), "the folder /mail".into());
    let objects = objects(&bucket, ONE);
    objects.put(NAME, "x".into()).await.expect("it takes the mark");
    let mut parts = objects.begin_parts(NAME).await.expect("begun");
    let sent = parts.send("y".into()).await.expect("sent");
    parts.sent(sent);
    let (mark, away) = (Path::from("cluster"), Path::from("away"));
    bucket.store.rename(&mark, &away).await.expect("renamed");
    let refused = [
        objects.put(NAME, "z".into()).await,
        objects.delete(NAME).await,
        parts.complete().await,
        objects.begin_parts(NAME).await.map(drop),
        objects.is_back().await,
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    }
    assert!(objects.is_away());
    bucket.store.rename(&away, &mark).await.expect("renamed");
    objects.is_back().await.expect("it bears the mark");
    parts.complete().await.expect("completed");
    assert_eq!(objects.get(NAME, 0..1).await.expect("read"), "y");
    objects.delete(NAME).await.expect("deleted");
    assert!(!objects.is_away());
}

#[tokio::test]
async fn two_prefixes_are_two_buckets() {
    let one = bucket("mail/eu");
    let other = Bucket { prefix: Path::from("mail/us"), ..one.clone() };
    let (one_objects, other_objects) = (objects(&one, ONE), objects(&other, OTHER));
    one_objects.put(NAME, "eu".into()).await.expect("written");
    other_objects.put(NAME, "us".into()).await.expect("written");
    assert_eq!(one_objects.get(NAME, 0..2).await.expect("read"), "eu");
    let listed: Vec<_> = one_objects.list("bodies").try_collect().await.expect("lists");
    assert_eq!(listed, [(NAME.path(), 2)]);
    other_objects.delete(NAME).await.expect("deleted");
    assert_eq!(one_objects.size(NAME).await.expect("asked"), Some(2));
    assert_eq!(other_objects.size(NAME).await.expect("asked"), None);
}

/// A request costs more than a few octets, and many octets cost more than a request.
#[tokio::test]
async fn of_ranges_that_lie_apart_little_is_read_in_vain() {
    let switch = Arc::<Switch>::default();
    let inner = Arc::new(InMemory::new());
    let bucket = Bucket { store: Arc::new(Faulty { inner, switch: switch.clone() }), ..bucket("") };
    let objects = objects(&bucket, ONE);
    let octets: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    objects.put(NAME, octets.clone().into()).await.expect("written");
    switch.ranges.lock().clear();
    let wanted = [0..4_000, 20_000..24_000, 24_000 + REMOTE_GAP_OCTETS + 1..100_000, 900_000..1_000_000];
    let read = objects.get_ranges(NAME, &wanted).await.expect("read");
    for (range, read) in wanted.iter().zip(&read) {
        assert!(*read == octets[range.start as usize..range.end as usize], "{range:?}");
    }
    let mut asked = switch.ranges.lock().clone();
    asked.sort_by_key(|range| range.start);
    assert_eq!(asked, [0..24_000, wanted[2].clone(), wanted[3].clone()]);
}

#[tokio::test]
async fn parts_become_an_object_or_nothing() {
    let bucket = bucket("p");
    let objects = objects(&bucket, ONE);
    let mut parts = objects.begin_parts(NAME).await.expect("begun");
    for part in ["ab", "cd", "e"] {
        let sent = parts.send(part.into()).await.expect("sent");
        parts.sent(sent);
    }
    assert_eq!(objects.size(NAME).await.expect("asked"), None);
    parts.complete().await.expect("completed");
    assert_eq!(objects.get(NAME, 1..5).await.expect("read"), "bcde");
    parts.complete().await.expect("the answer to the first try was lost");
    let given_up = objects.begin_parts(NAME).await.expect("begun");
    let id = given_up.id().expect("a service's").to_owned();
    drop(given_up);
    objects.abort_parts(NAME, &id).await.expect("aborted");
}

fn config(kind: BucketKind) -> BucketConfig {
    BucketConfig {
        kind,
        bucket: "mail".into(),
        prefix: String::new(),
        region: None,
        endpoint: None,
        path_style: true,
        plain_http: false,
        account: None,
        credentials: Credentials::Instance,
        authority: None,
        proxy: None,
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        requests: 8,
    }
}

#[test]
fn what_is_wrong_is_named_by_its_setting() {
    let s3 = || BucketConfig { region: Some("r".into()), ..config(BucketKind::S3) };
    let file = || Credentials::File("/nowhere/keys".into());
    let wrong = [
        (BucketConfig { region: None, ..s3() }, "bodies.region: is needed"),
        (BucketConfig { bucket: String::new(), ..s3() }, "bodies.bucket: is needed"),
        (BucketConfig { prefix: "a//b".into(), ..s3() }, "bodies.prefix"),
        (BucketConfig { endpoint: Some("http://s3".into()), ..s3() }, "bodies.plain_http = true"),
        (BucketConfig { endpoint: Some("s3.example".into()), ..s3() }, "bodies.endpoint: is no URL"),
        (BucketConfig { proxy: Some("http://a:b@p".into()), ..s3() }, "bodies.proxy"),
        (BucketConfig { authority: Some("/nowhere/ca.pem".into()), ..s3() }, "bodies.authority"),
        (BucketConfig { credentials: file(), ..s3() }, "bodies.credentials_file"),
        (config(BucketKind::Azure), "bodies.account: is needed"),
        (BucketConfig { credentials: file(), ..config(BucketKind::Gcs) }, "bodies.credentials_file"),
    ];
    for (config, what) in wrong {
        let said = Bucket::connect(&config).err().expect("refused").to_string();
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(Bucket::connect(&s3()).expect("right").name(), "S3 bucket \"mail\"");
    let azure = BucketConfig { account: Some("a".into()), ..config(BucketKind::Azure) };
    assert_eq!(Bucket::connect(&azure).expect("right").name(), "Azure bucket \"mail\"");
    assert_eq!(
        Bucket::connect(&config(BucketKind::Gcs)).expect("right").name(),
        "Google Cloud Storage bucket \"mail\""
    );
}
