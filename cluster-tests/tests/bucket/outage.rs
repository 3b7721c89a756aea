//! A cluster of three takes in mail at full rate while its bucket is away; its leader dies and comes back meanwhile; in the end
//! all of it is packed, and each message is there once.

use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;

use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::s3::S3Server;
use sterna_cluster_tests::sterna::{Sterna, address};
use sterna_cluster_tests::tools;
use sterna_cluster_tests::trio::Trio;

use super::scene::BUCKET;
use super::whole::{message, options, staged};
use crate::mail;

/// How many messages come meanwhile, unless `STERNA_OUTAGE_MESSAGES` says otherwise.
const MESSAGES: usize = 600;
/// Of each message, before its encoding.
const OCTETS: usize = 4_000;
const ACCOUNTS: [&str; 8] = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];
/// Connections that deliver at once, on all nodes together.
const SENDERS: usize = 24;

#[test]
fn all_that_came_while_the_bucket_was_away_is_packed_in_the_end() {
    let messages = setting("STERNA_OUTAGE_MESSAGES").map_or(MESSAGES, |messages| messages as usize);
    let s3 = S3Server::start(&[BUCKET]);
    let mut trio = Trio::start_with(&ACCOUNTS, &options(&s3, ""));
    let early = messages / 10;
    deliver(&trio, 0..early);
    await_packed(&trio.nodes[0]);

    s3.plan().set_away(true);
    let begun = Instant::now();
    deliver(&trio, early..messages);
    let rate = (messages - early) as f64 / begun.elapsed().as_secs_f64();
    let leader = trio.leader("mail", 0);
    trio.nodes[leader].kill();
    trio.nodes[leader].run();
    let waiting = staged(&trio.nodes[leader]);
    assert!(waiting as usize >= messages - early, "{waiting} wait for the bucket");
    s3.plan().set_away(false);
    let begun = Instant::now();
    await_packed(&trio.nodes[leader]);
    tell(&format!(
        "outage: {} messages at {rate:.0} a second, {waiting} bodies packed in {:?}",
        messages - early,
        begun.elapsed()
    ));
    for (at, account) in ACCOUNTS.iter().enumerate() {
        assert_holds(&trio.nodes[at % 3], account, (at..messages).step_by(ACCOUNTS.len()));
    }
    tools::run(&mut trio.nodes[0].command(&["bodies", "verify"])).succeeded();
}

/// Each sender delivers every so-many-th message, which goes to the account whose turn its number is.
fn deliver(trio: &Trio, numbers: std::ops::Range<usize>) {
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (node, mine) = (&trio.nodes[sender % 3], numbers.clone().skip(sender).step_by(SENDERS));
            scope.spawn(move || {
                let mut wire = mail::greet(node);
                for number in mine {
                    let account = ACCOUNTS[number % ACCOUNTS.len()];
                    wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
                    wire.ask(&format!("RCPT TO:<{}>", address(account)), "250");
                    wire.ask("DATA", "354");
                    wire.send(message(number, OCTETS).as_bytes());
                    wire.ask(".", "250");
                }
            });
        }
    });
}

/// Waits until nothing waits for the bucket; there must be less and less of it.
fn await_packed(node: &Sterna) {
    let mut left = u64::MAX;
    while left > 0 {
        left = wait_for("packing to go on", || Some(staged(node)).filter(|now| *now < left));
    }
}

/// That INBOX holds just these messages, each whole and once.
fn assert_holds(node: &Sterna, account: &str, expected: impl Iterator<Item = usize>) {
    let mut expected: BTreeSet<usize> = expected.collect();
    for found in mail::messages(node, account) {
        let (_, rest) = found.split_once("Subject: number ").expect("one of ours");
        let number = rest.lines().next().and_then(|line| line.parse().ok()).expect("a number");
        assert!(expected.remove(&number), "{account}: message {number} came twice, or to the wrong place");
        assert!(found.ends_with(&message(number, OCTETS)), "{account}: message {number} is not whole");
    }
    assert_eq!(expected, BTreeSet::new(), "{account} lacks messages");
}
