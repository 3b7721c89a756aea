//! Commits of which nobody knows whether they took place.

use super::cluster::Cluster;
use crate::Error;
use crate::kv::{Database, Transaction};
use crate::types::OperationId;

async fn count(database: &Database) -> u64 {
    let value = database.begin().get(b"count").await.expect("reads");
    value.map_or(0, |value| u64::from_le_bytes(value.as_ref().try_into().expect("eight octets")))
}

async fn add_one(tx: &mut Transaction) -> crate::Result<()> {
    tx.add("count", 1);
    Ok(())
}

#[tokio::test]
async fn an_operation_takes_effect_once_whatever_is_told_of_its_commits() {
    for commits in
        ["unknown-applied", "unknown-lost", "unknown-lost,conflict,unknown-lost,old,unknown-applied"]
    {
        let Some(cluster) = Cluster::double(&format!("commits={commits}")) else { return };
        let database = cluster.database().await;
        let operation = OperationId::derived(&[b"once"]);
        let once = async || database.run_once(operation, async |tx| add_one(tx).await).await;
        once().await.expect("commits");
        assert_eq!(count(&database).await, 1, "{commits}");
        once().await.expect("was committed");
        assert_eq!(count(&database).await, 1, "{commits}");
    }
}

#[tokio::test]
async fn who_has_no_operation_id_is_told_that_nobody_knows() {
    let Some(cluster) = Cluster::double("commits=unknown-applied,unknown-lost,ok") else { return };
    let database = cluster.database().await;
    for applied in [1, 1] {
        let outcome = database.run(async |tx| add_one(tx).await).await;
        assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
        assert_eq!(count(&database).await, applied);
    }
    database.run(async |tx| add_one(tx).await).await.expect("commits");
    assert_eq!(count(&database).await, 2);
}

#[tokio::test]
async fn an_operation_in_doubt_is_never_told_to_have_changed_nothing() {
    let Some(cluster) = Cluster::double("") else { return };
    let database = cluster.database().await;
    let in_doubt = async |tx: &mut Transaction| {
        tx.add("count", 1);
        // Its commit is applied, but neither is that told, nor can anything be read afterwards.
        cluster.say("commits=unknown-applied behind=100");
        Ok(())
    };
    let outcome = database.run_once(OperationId::derived(&[b"once"]), in_doubt).await;
    assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
    cluster.say("");
    assert_eq!(count(&database).await, 1);
}
