//! The roster on the naive engine; texts that come from outside.

use proptest::prelude::*;

use super::*;
use crate::kv::{Database, Memory};
use crate::raft::NodeId;
use crate::types::{Secret, Timestamp};
use crate::{Error, limits};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn address(text: &str) -> NodeAddress {
    text.parse().expect("HOST:PORT")
}

fn founding() -> Founding {
    let cluster = Cluster {
        id: ClusterId([7; 16]),
        authority: b"certificate".to_vec(),
        authority_key: Secret::new(b"private key".to_vec()),
        founded: NOW,
    };
    let node = Node {
        id: NodeId(1),
        address: address("one.example:8426"),
        key: Fingerprint::of(b"one"),
        certified_until: NOW,
        joined: NOW,
        removed: None,
    };
    Founding { cluster, node }
}

async fn roster() -> Roster {
    let roster = Roster::new(Database::new(Memory::new()), Secret::new([1; 32]));
    roster.found(&founding()).await.expect("founded");
    roster
}

fn admission(token: &Token, key: &[u8]) -> Admission {
    let key = Fingerprint::of(key);
    Admission { token: token.clone(), address: address("two.example:8426"), key, certified_until: NOW }
}

async fn token(roster: &Roster, uses: u32, expires: Timestamp, now: Timestamp) -> Token {
    let token = Token::random();
    roster.create_token(&token, uses, expires, now).await.expect("made");
    token
}

#[tokio::test]
async fn a_cluster_is_founded_once_and_its_authority_opens_only_under_its_key() {
    let database = Database::new(Memory::new());
    let roster = Roster::new(database.clone(), Secret::new([1; 32]));
    assert!(matches!(roster.cluster().await, Err(Error::NotFound(_))));
    roster.found(&founding()).await.expect("founded");
    roster.found(&founding()).await.expect("the same again");
    let mut other = founding();
    other.cluster.id = ClusterId([8; 16]);
    assert!(matches!(roster.found(&other).await, Err(Error::Exists(_))));

    let cluster = roster.cluster().await.expect("there");
    assert_eq!(
        (cluster.id, cluster.authority_key.expose().as_slice()),
        (ClusterId([7; 16]), &b"private key"[..])
    );
    let stranger = Roster::new(database, Secret::new([2; 32]));
    assert!(matches!(stranger.cluster().await, Err(Error::Corrupt(_))));
    assert_eq!(stranger.nodes().await.expect("no secret in them"), [founding().node]);
}

#[tokio::test]
async fn a_token_lets_in_as_many_as_it_says_and_an_id_is_never_given_twice() {
    let roster = roster().await;
    let token = token(&roster, 2, NOW, NOW).await;
    assert_eq!(roster.admit(&admission(&token, b"two"), NOW).await.expect("let in"), NodeId(2));
    assert_eq!(roster.admit(&admission(&token, b"two"), NOW).await.expect("asked again"), NodeId(2));
    let check = async |token: &Token, key: &[u8]| {
        roster.check_token(token, &admission(token, key).key, NOW).await.is_ok()
    };
    assert!(check(&token, b"three").await && !check(&Token::random(), b"three").await);
    roster.remove(NodeId(2), NOW).await.expect("removed");
    assert_eq!(roster.admit(&admission(&token, b"three"), NOW).await.expect("let in"), NodeId(3));
    assert!(check(&token, b"two").await && !check(&token, b"four").await, "who was let in may ask again");
    for refused in [admission(&token, b"four"), admission(&Token::random(), b"four")] {
        let error = roster.admit(&refused, NOW).await.expect_err("used up, unknown");
        assert!(error.to_string().contains("unknown, used up or expired"), "{error}");
    }
    let removed: Vec<_> =
        roster.nodes().await.expect("lists").iter().map(|node| node.removed.is_some()).collect();
    assert_eq!(removed, [false, true, false]);
}

#[tokio::test]
async fn tokens_expire_and_their_number_is_bounded() {
    let roster = roster().await;
    let old = token(&roster, 1, NOW, NOW).await;
    let late = NOW.plus(std::time::Duration::from_millis(1));
    assert!(roster.admit(&admission(&old, b"two"), late).await.is_err());
    for _ in 0..limits::CLUSTER_TOKENS {
        token(&roster, 1, late, late).await;
    }
    let one_more = roster.create_token(&Token::random(), 1, late, late).await;
    assert!(matches!(one_more, Err(Error::TooLarge(_))));
}

#[tokio::test]
async fn changes_of_nodes_are_told_and_removed_ones_do_not_change() {
    let roster = roster().await;
    let (_, changed) = roster.watched_nodes().await.expect("lists");
    roster.moved(NodeId(1), &address("10.0.0.1:8426")).await.expect("moved");
    changed.await.expect("told");
    let (_, mut changed) = roster.watched_nodes().await.expect("lists");
    roster.moved(NodeId(1), &address("10.0.0.1:8426")).await.expect("nothing to do");
    assert!(futures::poll!(&mut changed).is_pending(), "nothing was written");
    roster.certified(NodeId(1), Fingerprint::of(b"new"), NOW).await.expect("noted");
    let node = &roster.nodes().await.expect("lists")[0];
    assert_eq!((node.address.as_str(), node.key), ("10.0.0.1:8426", Fingerprint::of(b"new")));
    roster.remove(NodeId(1), NOW).await.expect("removed");
    assert!(roster.moved(NodeId(1), &address("10.0.0.2:8426")).await.is_err());
    assert!(matches!(roster.remove(NodeId(9), NOW).await, Err(Error::NotFound(_))));
}

#[test]
fn addresses_are_told_from_other_texts() {
    for right in
        ["a:1", "mx.example.org:8426", "10.0.0.1:65535", "[2001:db8::1]:8426", "sterna-0.sterna:8426"]
    {
        assert_eq!(address(right).as_str(), right);
    }
    let long = format!("{}:1", "a".repeat(limits::NODE_ADDRESS_OCTETS));
    for wrong in [
        "",
        "a",
        ":1",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a b:1",
        "2001:db8::1:8426",
        "[x]:1",
        "a\r\n:1",
        &long,
    ] {
        assert!(wrong.parse::<NodeAddress>().is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(id: [u8; 16], hash: [u8; 32]) {
        prop_assert_eq!(ClusterId(id).to_string().parse::<ClusterId>().expect("own text"), ClusterId(id));
        prop_assert_eq!(Fingerprint(hash).to_string().parse::<Fingerprint>().expect("own text"), Fingerprint(hash));
        let token = Token::random();
        prop_assert!(token.expose().bytes().all(|octet| octet.is_ascii_alphanumeric()));
        prop_assert_eq!(token.expose().parse::<Token>().expect("own text").hash(), token.hash());
    }

    #[test]
    fn any_text_is_refused_or_reads_back(text in "\\PC{0,80}") {
        if let Ok(id) = text.parse::<ClusterId>() {
            prop_assert_eq!(id.to_string(), text.clone());
        }
        if let Ok(address) = text.parse::<NodeAddress>() {
            prop_assert_eq!(address.to_string(), text.clone());
        }
        if let Ok(token) = text.parse::<Token>() {
            let written = token.expose().to_string();
            prop_assert_eq!(written, text);
        }
    }
}
