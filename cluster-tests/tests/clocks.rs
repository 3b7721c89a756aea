//! Wall clocks that leap while servers run: what waits is neither given up nor late, and what was accepted stays.

use sterna_cluster_tests::dns::NameServer;
use sterna_cluster_tests::host::{free_port, loopback_address, wait_for};
use sterna_cluster_tests::sink::Sink;
use sterna_cluster_tests::sterna::{Options, Sterna};
use sterna_cluster_tests::trio::Trio;
use sterna_cluster_tests::wall_clock::WallClock;

use crate::mail;

const DAY: i64 = 24 * 60 * 60;
/// Longer than mail is tried for.
const LEAP: i64 = 6 * DAY;

/// How often the one message on its way was tried.
fn attempts(server: &Sterna) -> u64 {
    let listed = server.cli(&["queue", "list", "--json"]).stdout;
    let entries: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let entries = entries.as_array().or_else(|| entries["entries"].as_array()).expect("a list").clone();
    assert_eq!(entries.len(), 1, "the message is gone: {listed}");
    entries[0]["recipients"][0]["attempts"].as_u64().expect("a number")
}

/// The message is tried again: it neither waits for another time nor was it given up.
#[track_caller]
fn is_tried_on(server: &Sterna, when: &str) {
    // One attempt may have begun before; the one after it has not.
    let before = attempts(server);
    wait_for(&format!("attempts {when}"), || (attempts(server) >= before + 2).then_some(()));
}

/// Options for who sends to `later.test`, where nobody listens yet.
fn options(names: &NameServer, port: u16, clock: &WallClock, settings: &str) -> Options {
    Options {
        name_server: Some(names.address()),
        outbound_port: Some(port),
        settings: format!("[queue]\nfirst_retry_seconds = 1\nlongest_retry_seconds = 1\n{settings}"),
        environment: clock.environment(),
        ..Options::default()
    }
}

#[test]
fn queued_mail_outlives_a_wall_clock_that_leaps() {
    let (names, remote, port) = (NameServer::start(), loopback_address(), free_port());
    names.add_mx("later.test", 10, "mx.later.test");
    names.add_address("mx.later.test", remote);
    let clock = WallClock::default();
    let mut server = Sterna::start_with(&["ann", "bob"], &options(&names, port, &clock, ""));
    mail::submit(&server, "ann", &["friend@later.test"], "Subject: later\r\n\r\nHello.\r\n");
    is_tried_on(&server, "with a right clock");
    for (leap, when) in [(LEAP, "six days ahead"), (0, "right again"), (-LEAP, "six days back"), (0, "right")]
    {
        clock.set(leap);
        is_tried_on(&server, when);
        mail::deliver(&server, "bob", when);
    }
    clock.set(LEAP);
    server.kill();
    server.run();
    is_tried_on(&server, "begun anew six days ahead");
    clock.set(0);
    is_tried_on(&server, "and right at last");
    let sink = Sink::taking(remote, port);
    assert!(sink.wait_for(1)[0].contains("Subject: later"));
    wait_for("an empty queue", || mail::queue(&server).is_empty().then_some(()));
    assert_eq!(mail::count(&server, "ann"), 0, "nothing was reported to the sender");
    assert_eq!(mail::count(&server, "bob"), 4, "what was accepted is there");
}

#[test]
fn queued_mail_outlives_leaps_of_one_node_of_three() {
    let (names, remote, port) = (NameServer::start(), loopback_address(), free_port());
    names.add_mx("later.test", 10, "mx.later.test");
    names.add_address("mx.later.test", remote);
    let bodies = tempfile::tempdir().expect("a temporary folder");
    let settings = format!("[bodies]\nfolder = {:?}\n", bodies.path());
    let clocks: [WallClock; 3] = Default::default();
    let trio = Trio::start_each(&["ann"], |place| options(&names, port, &clocks[place], &settings));
    mail::submit(&trio.nodes[0], "ann", &["friend@later.test"], "Subject: later\r\n\r\nHello.\r\n");
    is_tried_on(&trio.nodes[0], "with right clocks");
    for clock in &clocks {
        clock.set(LEAP);
        is_tried_on(&trio.nodes[0], "while one is ahead");
        clock.set(0);
        is_tried_on(&trio.nodes[0], "while all are right again");
    }
    let sink = Sink::taking(remote, port);
    assert!(sink.wait_for(1)[0].contains("Subject: later"));
    wait_for("an empty queue", || mail::queue(&trio.nodes[1]).is_empty().then_some(()));
    assert_eq!(mail::count(&trio.nodes[2], "ann"), 0, "nothing was reported to the sender");
}
