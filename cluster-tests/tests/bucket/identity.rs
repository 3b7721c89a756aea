//! Whose bucket it is, and what it can do: refused by name, at the start and later.

use std::time::Duration;

use sterna_cluster_tests::s3::{Fault, S3Server};
use sterna_storage::Error;
use sterna_storage::bodies::{BodiesConfig, BucketConfig, ConditionalPut, Credentials, RequestKind};
use sterna_storage::kv::{Database, Memory};

use super::scene::{BUCKET, DOMAIN, Scene, bucket_config, noise, open, owner, read, settings};

fn impatient() -> BodiesConfig {
    BodiesConfig { patience: Duration::from_millis(200), ..settings() }
}

/// What the check of a new cluster says to this bucket.
async fn refusal(config: &BucketConfig) -> String {
    let bodies = open(&Database::new(Memory::new()), config, impatient()).await;
    match bodies.check_bucket().await {
        Err(Error::Invalid(reason)) => reason.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_bucket_is_named() {
    let (server, folder) = (S3Server::start(&[BUCKET]), tempfile::tempdir().expect("a folder"));
    let right = bucket_config(&server, folder.path());
    let missing = refusal(&BucketConfig { bucket: "elsewhere".into(), ..right.clone() }).await;
    assert_eq!(missing, "S3 bucket \"elsewhere\" does not exist");
    let keys = folder.path().join("wrong");
    std::fs::write(&keys, "aws_access_key_id = x\naws_secret_access_key = hush-hush\n").expect("written");
    let wrong = BucketConfig { credentials: Credentials::File(keys), ..right.clone() };
    let denied = refusal(&wrong).await;
    assert!(denied.starts_with("S3 bucket \"mail\" cannot be read with these credentials"), "{denied}");
    assert!(!denied.contains("hush-hush"), "{denied}");
    let first = open(&Database::new(Memory::new()), &right, settings()).await;
    first.check_bucket().await.expect("fit");
    let foreign = refusal(&right).await;
    assert!(foreign.contains("belongs to another cluster"), "{foreign}");
    let beside = BucketConfig { prefix: "of/another".into(), ..right };
    let other = open(&Database::new(Memory::new()), &beside, settings()).await;
    other.check_bucket().await.expect("a prefix of its own");
}

#[tokio::test]
async fn conditional_writes_are_reported_and_not_needed() {
    let (server, folder) = (S3Server::start(&[BUCKET]), tempfile::tempdir().expect("a folder"));
    let config = bucket_config(&server, folder.path());
    let bodies = open(&Database::new(Memory::new()), &config, settings()).await;
    let report = async || bodies.check_bucket().await.expect("fit").expect("a bucket");
    assert_eq!(report().await.conditional_put, ConditionalPut::Honoured);
    server.plan().ignore_conditions();
    assert_eq!(report().await.conditional_put, ConditionalPut::Ignored);
    let left = std::fs::read_dir(server.folder(BUCKET).join("check"));
    let files = |folder: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_dir(folder.expect("a folder").path()).map_or(0, Iterator::count)
    };
    assert_eq!(left.map_or(0, |left| left.map(files).sum()), 0, "nothing is left of it");
}

#[tokio::test]
async fn the_check_outlives_faults_and_waits_for_a_bucket_that_is_away() {
    let (server, folder) = (S3Server::start(&[BUCKET]), tempfile::tempdir().expect("a folder"));
    let config = bucket_config(&server, folder.path());
    let patient = open(&Database::new(Memory::new()), &config, settings()).await;
    for kind in RequestKind::ALL {
        server.plan().next(kind, Fault::SlowDown);
        server.plan().next(kind, Fault::Reset);
    }
    patient.check_bucket().await.expect("fit");
    assert_eq!(server.plan().left(), 0);
    server.plan().set_away(true);
    let beside = BucketConfig { prefix: "b".into(), ..config };
    let bodies = open(&Database::new(Memory::new()), &beside, impatient()).await;
    assert!(matches!(bodies.check_bucket().await, Err(Error::Unavailable(_))));
    server.plan().calm();
    bodies.check_bucket().await.expect("fit");
}

#[tokio::test]
async fn a_bucket_that_became_anothers_is_not_written_to() {
    let scene = Scene::new(impatient()).await;
    let id = scene.put(&noise(1, 1000), owner(1)).await;
    std::fs::write(scene.server.folder(BUCKET).join("cluster"), "sterna cluster 00\n").expect("written");
    let reopened = scene.reopened(impatient()).await;
    assert!(matches!(reopened.pack_once().await, Err(Error::Unavailable(_))));
    assert_eq!(read(&reopened, id).await.expect("it is staged").len(), 1000);
    let long = reopened.write(DOMAIN, &noise(2, 1_000_000)).await.expect("kept in pieces");
    assert_eq!((long.size, scene.objects()), (1_000_000, 0));
}
