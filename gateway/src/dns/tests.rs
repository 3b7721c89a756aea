//! The plan by itself, and routes from a real name server.

use std::net::SocketAddr;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sterna_storage::types::DomainName;
use tokio::net::UdpSocket;

use super::test_zone::TestZone;
use super::*;
use crate::limits::MX_HOSTS;

fn planned(exchanges: &[(u16, &str)], own: &str, seed: u64) -> Result<Vec<String>, RouteError> {
    let exchanges =
        exchanges.iter().map(|(preference, host)| Exchange { preference: *preference, host: (*host).into() });
    plan("x.test", exchanges.collect(), |host| host == own, &mut StdRng::seed_from_u64(seed))
        .map(|plan| plan.hosts)
}

fn status(error: RouteError) -> &'static str {
    match error {
        RouteError::Permanent { status, .. } | RouteError::Temporary { status, .. } => status,
    }
}

#[test]
fn hosts_are_ordered_and_null_mx_refused() {
    assert_eq!(planned(&[(20, "b"), (10, "a"), (30, "a")], "", 1).expect("a plan"), ["a", "b"]);
    assert_eq!(planned(&[], "", 1).expect("a plan"), ["x.test"]);
    assert_eq!(planned(&[(0, "")], "", 1).map_err(status), Err("5.1.10"));
    assert_eq!(planned(&[(0, ""), (5, "a")], "", 1).expect("a plan"), ["a"]);
}

#[test]
fn hosts_past_the_bound_are_not_tried() {
    let names: Vec<String> = (0..MX_HOSTS + 5).map(|number| format!("h{number:02}")).collect();
    let exchanges: Vec<(u16, &str)> = (0..).zip(names.iter().map(String::as_str)).collect();
    assert_eq!(planned(&exchanges, "", 1).expect("a plan"), names[..MX_HOSTS]);
}

#[test]
fn a_backup_relays_only_to_lower_preferences() {
    let exchanges = [(10, "home"), (20, "own"), (20, "peer"), (30, "last")];
    assert_eq!(planned(&exchanges, "own", 1).expect("a plan"), ["home"]);
    assert_eq!(planned(&[(10, "own"), (20, "peer")], "own", 1).map_err(status), Err("5.4.6"));
}

proptest! {
    #[test]
    fn preferences_ascend_and_equal_ones_are_shuffled(preferences in proptest::collection::vec(0u16..4, 1..12), seed: u64) {
        let names: Vec<String> = (0..preferences.len()).map(|n| format!("h{n}")).collect();
        let exchanges: Vec<_> = preferences.iter().copied().zip(names.iter().map(String::as_str)).collect();
        let hosts = planned(&exchanges, "", seed).expect("a plan");
        prop_assert_eq!(hosts.len(), preferences.len());
        let found: Vec<u16> = hosts.iter().map(|host| preferences[host[1..].parse::<usize>().expect("a number")]).collect();
        prop_assert!(found.is_sorted());
    }
}

#[test]
fn equal_preferences_come_in_every_order() {
    let first: std::collections::HashSet<_> =
        (0..50).map(|seed| planned(&[(1, "a"), (1, "b")], "", seed).expect("a plan").remove(0)).collect();
    assert_eq!(first.len(), 2);
}

fn resolver(server: SocketAddr, timeout_ms: u64) -> Resolver {
    let config =
        DnsConfig { servers: vec![server], timeout_ms, retries: 0, loopback: true, ..DnsConfig::default() };
    Resolver::new(&config).expect("a resolver")
}

fn domain(name: &str) -> DomainName {
    name.parse().expect("a domain")
}

#[tokio::test]
async fn routes_follow_the_records() {
    let zone = TestZone::start(&[
        "two MX 20 second",
        "two MX 10 first",
        "first A 127.0.0.2",
        "first A 127.0.0.3",
        "first AAAA ::1",
        "second CNAME elsewhere",
        "elsewhere A 127.0.0.4",
        "null MX 0 .",
        "plain A 127.0.0.5",
        "hollow MX 10 nowhere",
        "partly MX 5 nowhere",
        "partly MX 10 second",
        "alias CNAME two",
        "textless AAAA ::",
    ])
    .await;
    let resolver = resolver(zone.address, 30_000);
    let route = async |name: &str| resolver.route(&domain(name), |_| false).await;
    let shown = |targets: Vec<Target>| -> Vec<String> {
        targets.iter().map(|target| format!("{} {:?}", target.host, target.addresses)).collect()
    };
    let two = route("two.test").await.expect("a route");
    assert_eq!(two.iter().map(|target| &target.host[..]).collect::<Vec<_>>(), ["first.test", "second.test"]);
    assert_eq!(two[0].addresses.len(), 3);
    assert!(two[0].addresses[0].is_ipv6() && two[0].addresses[1].is_ipv4());
    assert_eq!(two[1].addresses, ["127.0.0.4".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!(shown(route("plain.test").await.expect("a route")), ["plain.test [127.0.0.5]"]);
    assert_eq!(shown(route("partly.test").await.expect("a route")), ["second.test [127.0.0.4]"]);
    assert_eq!(route("alias.test").await.expect("a route").len(), 2);
    assert_eq!(route("null.test").await.map_err(status), Err("5.1.10"));
    assert_eq!(route("hollow.test").await.map_err(status), Err("5.4.4"));
    assert_eq!(route("absent.test").await.map_err(status), Err("5.1.2"));
    assert_eq!(route("textless.test").await.map_err(status), Err("5.1.2"));
}

#[tokio::test]
async fn silence_is_temporary() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let resolver = resolver(silent.local_addr().expect("bound"), 300);
    assert_eq!(resolver.route(&domain("x.test"), |_| false).await.map_err(status), Err("4.4.3"));
}

#[tokio::test]
async fn loopback_is_left_out_unless_allowed() {
    let zone = TestZone::start(&["plain A 127.0.0.5"]).await;
    let config = DnsConfig { servers: vec![zone.address], ..DnsConfig::default() };
    let resolver = Resolver::new(&config).expect("a resolver");
    assert_eq!(resolver.route(&domain("plain.test"), |_| false).await.map_err(status), Err("5.1.2"));
}
