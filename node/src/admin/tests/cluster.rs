//! A cluster of one: real groups, a real port.

use sterna_storage::raft::NodeId;
use sterna_storage::types::Timestamp;

use super::*;
use crate::cluster::join;
use crate::config::Config;

/// A node that has founded a cluster and is all of it.
async fn founder(folder: &std::path::Path) -> Arc<Membership> {
    let data = folder.display();
    let text = format!(
        "[server]\ndata = \"{data}\"\n[metadata]\nengine = \"raft\"\n[cluster]\nlisten = [\"127.0.0.1:0\"]\naddress = \"one.example:8426\"\n[bodies]\nfolder = \"{data}/bodies\"\n"
    );
    let config = Config::parse(&text).expect("valid");
    let address = config.cluster.address.clone().expect("set");
    join::init(folder, &address, Timestamp::now()).expect("made");
    let membership = Membership::start(&config).await.expect("starts");
    membership.join_in().await.expect("its group answers");
    membership
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let membership = founder(folder.path()).await;
    let server = Server::start_in(Some(membership.clone())).await;
    let longest = limits::TOKEN_LIFE.as_secs();
    for (uses, lifetime) in [(0, 60), (limits::TOKEN_USES + 1, 60), (1, 0), (1, longest + 1)] {
        let wrong = json!({ "uses": uses, "lifetime_seconds": lifetime });
        server.fails(Method::POST, "/cluster/tokens", wrong, (400, "invalid")).await;
    }
    let right = json!({ "uses": limits::TOKEN_USES, "lifetime_seconds": longest });
    let made = server.ok(Method::POST, "/cluster/tokens", right).await;
    assert_eq!(
        (made["address"].as_str(), made["token"].as_str().map(str::len)),
        (Some("one.example:8426"), Some(48))
    );
    assert!(made["authority"].as_str().is_some_and(|hash| hash.starts_with("sha256:")), "{made}");
    membership.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_of_its_cluster_and_the_last_voter_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let membership = founder(folder.path()).await;
    let server = Server::start_in(Some(membership.clone())).await;
    let seen = server.ok(Method::GET, "/cluster", Value::Null).await;
    assert_eq!(membership.identity().node, NodeId(1));
    assert_eq!((&seen["node"], &seen["nodes"][0]["state"]), (&json!(1), &json!("member")));
    for (at, name) in ["config", "mail"].into_iter().enumerate() {
        let group = &seen["groups"][at];
        assert_eq!(
            (&group["name"], &group["voters"], &group["leader"]),
            (&json!(name), &json!([1]), &json!(1))
        );
    }
    server.fails(Method::DELETE, "/cluster/nodes/1", Value::Null, (400, "invalid")).await;
    server.fails(Method::DELETE, "/cluster/nodes/9", Value::Null, (404, "not_found")).await;
    server.fails(Method::POST, "/cluster/nodes/9/voter", Value::Null, (404, "not_found")).await;
    server.fails(Method::POST, "/cluster/nodes/9/copy", Value::Null, (404, "not_found")).await;
    server.ok(Method::POST, "/cluster/nodes/1/copy", Value::Null).await;
    let again = server.ok(Method::GET, "/cluster", Value::Null).await;
    assert_eq!((&again["groups"][0]["voters"], &again["groups"][0]["learners"]), (&json!([1]), &json!([])));
    server.ok(Method::POST, "/cluster/nodes/1/lead", Value::Null).await;
    membership.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_tells_where_it_is_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let membership = founder(folder.path()).await;
    let server = Server::start_in(Some(membership.clone())).await;
    let early = server.ok(Method::PATCH, "/settings", json!({ "postmaster": "a@b.example" })).await;
    assert_eq!((&early["in_force"]["on_nodes"], &early["in_force"]["of_nodes"]), (&json!(0), &json!(1)));
    assert_eq!(early["in_force"]["not_yet"], json!([{ "node": 1, "reason": "node 1 is starting" }]));
    membership.tell_progress(server.admin.directory.subscribe());
    server.ok(Method::POST, "/domains", json!({ "name": "example.org" })).await;
    let made = server.ok(Method::POST, "/accounts", json!({ "address": "ann@example.org" })).await;
    assert_eq!((&made["address"], &made["in_force"]["on_nodes"]), (&json!("ann@example.org"), &json!(1)));
    assert_eq!(made["in_force"]["not_yet"], json!([]));
    let gone = server.ok(Method::DELETE, "/accounts/ann@example.org", Value::Null).await;
    assert_eq!(gone["in_force"]["on_nodes"], 1);
    membership.end().await;
}

#[tokio::test]
async fn a_server_of_its_own_has_no_cluster() {
    let server = Server::start().await;
    server.fails(Method::GET, "/cluster", Value::Null, (400, "invalid")).await;
    let made = server.ok(Method::POST, "/domains", json!({ "name": "example.org" })).await;
    assert_eq!(made.get("in_force"), None);
}
