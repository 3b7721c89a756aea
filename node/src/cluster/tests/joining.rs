//! How a cluster is founded and new nodes come, and how they stay.

use std::path::Path;

use sterna_storage::cluster::Token;

use super::*;
use crate::cluster::follow::Follower;
use crate::cluster::join::{self, Joining};
use crate::cluster::renewal::Renewal;
use crate::{limits, secret_file};

fn address(text: &str) -> NodeAddress {
    text.parse().expect("an address")
}

fn until() -> Timestamp {
    Timestamp::now().plus(PATIENCE)
}

/// Asks that node, with a token of the realm.
async fn ask(
    realm: &Realm,
    at: SocketAddr,
    data: &Path,
    token: Option<&Token>,
) -> anyhow::Result<Credentials> {
    let invitation = realm.registrar().invite(1, until()).await.expect("made");
    let (at, own) = (address(&at.to_string()), address("new.example:8426"));
    let token = token.unwrap_or(&invitation.token);
    join::join(data, &Joining { at: &at, token, authority: invitation.authority, address: &own }).await
}

#[tokio::test]
async fn a_token_makes_a_folder_a_nodes() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let data = tempfile::tempdir().expect("a folder");
    let joined = ask(&realm, node.address, data.path(), None).await.expect("let in");
    assert_eq!(joined.facts.identity, Identity { cluster: realm.cluster, node: NodeId(2) });
    let key = secret_file::cluster_key(&data.path().join("cluster.key")).expect("there");
    assert_eq!(key.expose(), realm.cluster_key.expose());
    let folder = ClusterFolder::below(data.path());
    let members = folder.members().expect("there");
    assert_eq!(members.addresses[&NodeId(1)].as_str(), "localhost:1");
    assert_eq!(members.addresses[&NodeId(2)].as_str(), "new.example:8426");
    let kept = folder.credentials().expect("readable").expect("there");
    assert_eq!(kept.facts, joined.facts);
    let caller = caller(LiveCredentials::new(kept), &node);
    assert_eq!(call(&caller, "hello").await.expect("an answer"), "2 Log hello");

    let again = ask(&realm, node.address, data.path(), None).await.expect_err("a node already");
    assert!(again.to_string().contains("belongs to node 2"), "{again:#}");
}

#[tokio::test]
async fn what_an_init_that_was_cut_short_left_founds_nothing() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let data = tempfile::tempdir().expect("a folder");
    join::init(data.path(), &address("one.example:8426"), Timestamp::now()).expect("made");
    std::fs::remove_file(data.path().join("cluster/node.pem")).expect("there");
    let token = realm.registrar().invite(1, until()).await.expect("made").token;
    let refused = ask(&realm, node.address, data.path(), Some(&token)).await.expect_err("another key");
    assert!(format!("{refused:#}").contains("cluster.key is not this cluster's"), "{refused:#}");
    std::fs::remove_file(data.path().join("cluster.key")).expect("there");
    let folder = ClusterFolder::below(data.path());
    let rest = folder.authority_key_of_founder().expect("readable").expect("there");
    ask(&realm, node.address, data.path(), Some(&token)).await.expect("the token was not spent");
    assert!(folder.authority_key_of_founder().expect("readable").is_none());
    // Where it lies there all the same, the node does not start.
    folder.keep_authority_key(&rest).expect("written");
    let refused =
        join::found(&realm.roster, &folder, &address("two.example:8426")).await.expect_err("a rest");
    assert!(refused.to_string().contains("is a rest of"), "{refused:#}");
}

#[tokio::test]
async fn secrets_of_a_node_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().expect("a folder");
    join::init(data.path(), &address("one.example:8426"), Timestamp::now()).expect("made");
    for name in ["cluster.key", "cluster/node.pem", "cluster/authority.key"] {
        let mode = std::fs::metadata(data.path().join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn who_has_no_good_token_or_the_wrong_hash_stays_outside() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let data = tempfile::tempdir().expect("a folder");
    let refused = ask(&realm, node.address, data.path(), Some(&Token::random())).await.expect_err("refused");
    assert!(refused.to_string().contains("unknown, used up or expired"), "{refused:#}");
    let other = Realm::new().await;
    let refused = ask(&other, node.address, data.path(), None).await.expect_err("another authority");
    assert!(format!("{refused:#}").contains("UnknownIssuer"), "{refused:#}");
    assert!(ClusterFolder::below(data.path()).credentials().expect("readable").is_none());
    // And in the end it succeeds, with the key of its first try.
    let joined = ask(&realm, node.address, data.path(), None).await.expect("let in");
    assert_eq!(joined.facts.identity.node, NodeId(2));
}

#[tokio::test]
async fn a_folder_with_mail_of_its_own_is_left_alone() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let data = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(data.path().join("metadata")).expect("made");
    let refused = ask(&realm, node.address, data.path(), None).await.expect_err("refused");
    assert!(refused.to_string().contains("mail of a server of its own"), "{refused:#}");
    assert!(join::init(data.path(), &address("a:1"), Timestamp::now()).is_err());
}

#[tokio::test]
async fn a_founder_hands_its_authority_to_the_roster_and_keeps_no_key() {
    let data = tempfile::tempdir().expect("a folder");
    let own = address("one.example:8426");
    let founder = join::init(data.path(), &own, Timestamp::now()).expect("made");
    let (folder, database) = (ClusterFolder::below(data.path()), Database::new(Memory::new()));
    let key = secret_file::cluster_key(&data.path().join("cluster.key")).expect("there");
    let roster = Roster::new(database, key);
    join::found(&roster, &folder, &own).await.expect("founded");
    join::found(&roster, &folder, &own).await.expect("nothing left to do");
    assert!(folder.authority_key_of_founder().expect("readable").is_none());
    let cluster = roster.cluster().await.expect("there");
    assert_eq!(cluster.id, founder.facts.identity.cluster);
    let authority = Authority::of(&cluster).expect("it fits");
    assert_eq!(authority.certificate(), &founder.authority);
    let nodes = roster.nodes().await.expect("lists");
    assert_eq!((nodes.len(), nodes[0].id, nodes[0].address.as_str()), (1, NodeId(1), "one.example:8426"));
}

#[tokio::test]
async fn a_certificate_is_renewed_when_a_third_is_left() {
    let realm = Realm::new().await;
    let data = tempfile::tempdir().expect("a folder");
    let folder = ClusterFolder::below(data.path());
    folder.make().expect("made");
    let live = realm.live(1);
    let (roster, before) = (realm.roster.clone(), live.current().facts);
    let renewal = Renewal { roster, live: live.clone(), folder: folder.clone() };
    let now = Timestamp::now();
    assert!(!renewal.renew_if_due(now).await.expect("looked at"));
    let late = now.plus(limits::CERTIFICATE_LIFE * 7 / 10);
    assert!(renewal.renew_if_due(late).await.expect("renewed"));
    let after = live.current().facts;
    assert!(after.until > before.until && after.key != before.key && after.identity == before.identity);
    assert_eq!(folder.credentials().expect("readable").expect("kept").facts, after);
    let node = &realm.roster.nodes().await.expect("lists")[0];
    assert_eq!((node.key, node.certified_until), (after.key, after.until));
    realm.roster.remove(NodeId(1), now).await.expect("removed");
    let later = late.plus(limits::CERTIFICATE_LIFE * 7 / 10);
    assert!(renewal.renew_if_due(later).await.is_err(), "a removed node gets none");
}

#[tokio::test]
async fn a_clock_that_was_ahead_costs_no_certificate() {
    let realm = Realm::new().await;
    let data = tempfile::tempdir().expect("a folder");
    let folder = ClusterFolder::below(data.path());
    folder.make().expect("made");
    let (roster, live, now) = (realm.roster.clone(), realm.live(1), Timestamp::now());
    folder.keep(&live.current()).expect("kept");
    let before = live.current().facts;
    let renewal = Renewal { roster, live: live.clone(), folder: folder.clone() };
    let ahead = now.plus(limits::CERTIFICATE_LIFE * 7 / 10);
    assert!(renewal.renew_if_due(ahead).await.expect("renewed"));
    assert!(!live.current().facts.is_valid(now));
    assert_eq!(folder.credentials_at(now).expect("readable").expect("there").facts, before, "after a start");
    assert!(!renewal.renew_if_due(now).await.expect("looked at"), "the one before it is good");
    assert_eq!(live.current().facts, before);
    let shown = folder.credentials_at(ahead).expect("readable").expect("there").facts;
    assert!(shown.is_valid(ahead) && shown != before);
    // Without the one before it, it is renewed.
    std::fs::remove_file(data.path().join("cluster/previous.pem")).expect("there");
    live.replace(folder.credentials().expect("readable").expect("there"));
    assert!(renewal.renew_if_due(now).await.expect("renewed"));
    assert!(live.current().facts.is_valid(now));
}

#[tokio::test]
async fn a_node_follows_the_roster() {
    let realm = Realm::new().await;
    let data = tempfile::tempdir().expect("a folder");
    let folder = ClusterFolder::below(data.path());
    folder.make().expect("made");
    let (peers, roster) = (Peers::default(), realm.roster.clone());
    let own = address("moved.example:8426");
    let follower = Follower {
        roster,
        peers: peers.clone(),
        folder: folder.clone(),
        node: NodeId(1),
        address: own.clone(),
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    while peers.address(NodeId(1)) != Some(own.clone()) {
        tokio::task::yield_now().await;
    }
    realm.roster.remove(NodeId(1), Timestamp::now()).await.expect("removed");
    peers.removed(NodeId(1)).await;
    while !folder.members().expect("written").removed.contains(&NodeId(1)) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    following.await.expect("ends");
}

#[tokio::test]
async fn what_could_not_be_written_down_is_written_down_later() {
    let realm = Realm::new().await;
    let data = tempfile::tempdir().expect("a folder");
    let folder = ClusterFolder::below(data.path());
    // The folder is not there yet: as a disk that takes nothing.
    let (peers, roster) = (Peers::default(), realm.roster.clone());
    let own = address("one.example:8426");
    let follower =
        Follower { roster, peers: peers.clone(), folder: folder.clone(), node: NodeId(1), address: own };
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    while peers.address(NodeId(1)).is_none() {
        tokio::task::yield_now().await;
    }
    folder.make().expect("made");
    realm.roster.moved(NodeId(1), &address("two.example:8426")).await.expect("moved");
    realm.roster.moved(NodeId(1), &address("one.example:8426")).await.expect("moved back");
    while folder.members().expect("readable").addresses.is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    following.await.expect("ends");
}

#[tokio::test]
async fn strangers_may_ask_for_nothing_else_and_say_little() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let authority = certificate::public_key_fingerprint(realm.authority.certificate()).expect("readable");
    let at = address(&node.address.to_string());
    for (path, octets) in [("/log", 1), ("/join", 10), ("/join", limits::JOIN_OCTETS + 1)] {
        let config = tls::to_authority(authority).expect("a configuration");
        let mut sender = dial::connect(&at, config).await.expect("a connection");
        let answer = dial::ask(&mut sender, path, vec![b'x'; octets].into()).await.expect("an answer");
        assert_eq!(answer.status(), hyper::StatusCode::FORBIDDEN, "{path}");
    }
    // One thing a connection.
    let mut sender =
        dial::connect(&at, tls::to_authority(authority).expect("right")).await.expect("connects");
    dial::ask(&mut sender, "/join", "x".into()).await.expect("an answer");
    while let Ok(answer) = dial::ask(&mut sender, "/join", "x".into()).await {
        let (_, told) = dial::whole(answer, 1000).await.expect("short");
        assert!(told.starts_with(b"there is nothing else"), "{told:?}");
    }
    // What they say wrong is not repeated: it goes into the log.
    let mut sender =
        dial::connect(&at, tls::to_authority(authority).expect("right")).await.expect("connects");
    let answer = dial::ask(&mut sender, "/join", br#"{"hello":"hush-hush"}"#.as_slice().into()).await;
    let (_, told) = dial::whole(answer.expect("an answer"), 1000).await.expect("short");
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("not understood at line 1") && !told.contains("hush"), "{told}");
}

#[tokio::test]
async fn a_node_that_was_removed_is_not_let_in_by_the_token_it_came_by() {
    let realm = Realm::new().await;
    let node = realm.start(1, Arc::new(Echo));
    let data = tempfile::tempdir().expect("a folder");
    let token = realm.registrar().invite(1, until()).await.expect("made").token;
    let key = ClusterFolder::below(data.path());
    key.make().expect("made");
    let key = key.key_for_joining().expect("made").serialize_pem();
    ask(&realm, node.address, data.path(), Some(&token)).await.expect("let in");
    realm.roster.remove(NodeId(2), Timestamp::now()).await.expect("removed");
    // The same key asks again.
    std::fs::remove_file(data.path().join("cluster/node.pem")).expect("there");
    secret_file::create(&data.path().join("cluster/joining.key"), key.as_bytes()).expect("written");
    let refused = ask(&realm, node.address, data.path(), Some(&token)).await.expect_err("removed");
    assert!(refused.to_string().contains("node 2 was removed"), "{refused:#}");
    // A further node hears of it from the start.
    let other = tempfile::tempdir().expect("a folder");
    ask(&realm, node.address, other.path(), None).await.expect("let in");
    let members = ClusterFolder::below(other.path()).members().expect("there");
    assert!(
        members.removed.contains(&NodeId(2)) && members.addresses.contains_key(&NodeId(3)),
        "{members:?}"
    );
}
