//! A leader that is gone is followed as soon as that is known, and only where a majority knows it.

use futures::future::join_all;

use super::*;

/// No election is due while a test runs.
const NOT_DUE: Timing = Timing {
    heartbeat: Duration::from_millis(60),
    election_min: Duration::from_secs(2 * PATIENCE.as_secs()),
    election_max: Duration::from_secs(3 * PATIENCE.as_secs()),
};

/// Three that have heard from their leader.
async fn three() -> Cluster {
    let mut cluster = Cluster::new(1, crate::limits::TRANSACTION_LIFE);
    cluster.timing = NOT_DUE;
    let cluster = cluster.with_voters(3).await;
    count_surely(&cluster.database(cluster.leader().await), 1).await;
    cluster.assert_equal().await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_gone_is_followed_before_an_election_is_due() {
    let mut cluster = three().await;
    let first = cluster.leader().await;
    cluster.kill(first);
    let left: Vec<_> = cluster.groups.values().cloned().collect();
    join_all(left.iter().map(|group| group.misses(first))).await;
    let second = cluster.leader().await;
    count_surely(&cluster.database(cluster.others(second)[0]), 2).await;
    assert_eq!(counted(&cluster.database(second)).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whom_others_hear_goes_on_leading() {
    let cluster = three().await;
    let leader = cluster.leader().await;
    let term = cluster.groups[&leader].status().term;
    let alone = cluster.groups[&cluster.follower().await].clone();
    let asks_thrice = wait_until(|| cluster.net.pre_votes() >= 3);
    tokio::select! {
        () = alone.misses(leader) => panic!("another leads"),
        () = asks_thrice => {}
    }
    count_surely(&cluster.database(leader), 2).await;
    assert_eq!((cluster.leader().await, cluster.groups[&leader].status().term), (leader, term));
}
