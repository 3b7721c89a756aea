//! A move to FoundationDB and away from it again, with commits of unknown result.

use super::cluster::Cluster;
use crate::kv::{Database, KeyRange, Memory, RangeOptions};
use crate::migrate::{Beginning, Home, Mover, Standing, standing};

fn home(database: Database) -> Home {
    Home { mail: database.clone(), config: database }
}

async fn moved(source: &Home, target: &Home) {
    let (mut mover, beginning) =
        Mover::begin(Some(source.clone()), target.clone()).await.expect("it is empty");
    assert_eq!(beginning, Beginning::New);
    let pass = mover.equalise(&|_| {}).await.expect("ends");
    assert_eq!((pass.stand.set, pass.source.sums()), (0, pass.target.sums()));
    mover.leave("elsewhere", &mover.heartbeats().await.expect("reads")).await.expect("commits");
    mover.finish(false).await.expect("commits");
    assert_eq!(standing(&source.mail).await.expect("reads"), Standing::Left("elsewhere".into()));
    assert_eq!(standing(&target.mail).await.expect("reads"), Standing::Home);
}

async fn mail(home: &Home) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let range = KeyRange::new("A", "X");
    home.mail
        .run(async |tx| tx.range(range.clone(), RangeOptions::default()).collect().await)
        .await
        .expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_moves_to_foundationdb_and_away_again() {
    let cluster = Cluster::any();
    let (source, between, last) = (
        home(Database::new(Memory::new())),
        home(cluster.database().await),
        home(Database::new(Memory::new())),
    );
    for number in 0..120usize {
        let write = source.mail.run(async |tx| {
            tx.set("bi", vec![7; 16]);
            tx.set(format!("M{number}"), vec![number as u8; (number % 7) * 12_000]);
            tx.set_versionstamped_key("X0123456789", 1, "outbox");
            Ok(())
        });
        write.await.expect("commits");
    }
    if Cluster::double("").is_some() {
        cluster.say("seed=3 unknown-applied=10 unknown-lost=10 conflict=5");
    }
    moved(&source, &between).await;
    cluster.say("");
    assert_eq!(mail(&source).await, mail(&between).await);
    moved(&between, &last).await;
    assert_eq!(mail(&source).await, mail(&last).await);
    let all = KeyRange::new(&[0][..], &[0xff][..]);
    between.mail.clear_in_steps(all).await.expect("clears");
}
