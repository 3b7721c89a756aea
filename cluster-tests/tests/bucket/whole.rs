//! Whole servers whose bodies lie in a bucket.

use std::fs;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use sterna_cluster_tests::console::tell;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::s3::{ACCESS_KEY, Fault, S3Server, SECRET_KEY};
use sterna_cluster_tests::sterna::{Options, Sterna, address};
use sterna_cluster_tests::wire::Wire;
use sterna_storage::bodies::RequestKind;

use super::scene::{BUCKET, noise};
use crate::mail;

/// A server over the bucket; `more` are further lines of its section `[bodies]`.
pub(crate) fn options(s3: &S3Server, more: &str) -> Options {
    let bodies = format!(
        "[bodies]\nstore = \"s3\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\nplain_http = true\n\
         segment_age_seconds = 1\n{more}",
        s3.endpoint()
    );
    let environment = vec![("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    Options { settings: bodies, environment, ..Options::default() }
}

/// A message that no compression makes much shorter, of about so many octets.
pub(super) fn message(number: usize, octets: usize) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(noise(number as u64, octets * 3 / 4));
    let lines: Vec<&str> =
        text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("Subject: number {number}\r\n\r\n{}\r\n", lines.join("\r\n"))
}

/// Delivers one message on an open connection; the reply to its end.
fn hand_in(wire: &mut Wire, text: &str) -> String {
    wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
    wire.ask(&format!("RCPT TO:<{}>", address("ann")), "250");
    wire.ask("DATA", "354");
    wire.send(text.as_bytes());
    wire.send_line(".");
    wire.line().expect("a reply")
}

fn deliver(server: &Sterna, numbers: std::ops::Range<usize>, octets: usize) {
    let mut wire = mail::greet(server);
    for number in numbers {
        let reply = hand_in(&mut wire, &message(number, octets));
        assert!(reply.starts_with("250"), "{reply}");
    }
}

fn status(server: &Sterna) -> serde_json::Value {
    serde_json::from_str(&server.cli(&["bodies", "status", "--json"]).stdout).expect("JSON")
}

/// How many bodies wait for the bucket.
pub(super) fn staged(server: &Sterna) -> u64 {
    status(server)["staged"].as_u64().expect("a number")
}

fn wait_until_packed(server: &Sterna) {
    wait_for("packing", || (staged(server) == 0).then_some(()));
}

fn verify(server: &Sterna) {
    server.cli(&["bodies", "verify", "--read"]);
}

/// That INBOX holds just these messages, whole.
fn assert_messages(server: &Sterna, expected: impl Iterator<Item = (usize, usize)>) {
    let mut found = mail::messages(server, "ann");
    for (number, octets) in expected {
        let text = message(number, octets);
        let at = found.iter().position(|message| message.ends_with(&text));
        found.swap_remove(at.unwrap_or_else(|| panic!("message {number} is missing")));
    }
    assert_eq!(found.len(), 0, "messages came twice");
}

#[test]
fn mail_comes_and_goes_in_a_storm() {
    let seed = 7;
    tell(&format!("seed {seed}"));
    let s3 = S3Server::start(&[BUCKET]);
    let server = Sterna::start_with(&["ann"], &options(&s3, ""));
    let faults = Fault::storm(Duration::from_millis(50));
    s3.plan().chance(seed, 0.2, &faults);
    deliver(&server, 0..100, 20_000);
    deliver(&server, 100..104, 1_000_000);
    deliver(&server, 104..105, 9_000_000);
    wait_until_packed(&server);
    let expected = || (0..100).map(|number| (number, 20_000)).chain((100..104).map(|n| (n, 1_000_000)));
    let expected = || expected().chain([(104, 9_000_000)]);
    assert_messages(&server, expected());
    assert!(s3.plan().failed() > 3, "{} requests failed", s3.plan().failed());
    s3.plan().calm();
    verify(&server);
}

#[test]
fn while_the_bucket_is_away_mail_comes_in_and_readers_are_told() {
    let s3 = S3Server::start(&[BUCKET]);
    let server = Sterna::start_with(&["ann"], &options(&s3, "away_octets = 2500000\n"));
    deliver(&server, 0..20, 20_000);
    wait_until_packed(&server);
    s3.plan().set_away(true);
    let start = Instant::now();
    deliver(&server, 20..320, 20_000);
    tell(&format!("300 messages of 20 kB while the bucket is away: {:?}", start.elapsed()));
    deliver(&server, 320..321, 1_500_000);
    let mut wire = mail::greet(&server);
    let refused = hand_in(&mut wire, &message(321, 2_500_000));
    assert!(refused.starts_with("452 4.3.1"), "{refused}");

    let mut reader = mail::log_in(&server, "ann");
    mail::command(&mut reader, "EXAMINE INBOX");
    assert_eq!(fetch(&mut reader, "1 BODY[]"), "t NO [UNAVAILABLE]");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(fetch(&mut reader, "2 BODY[]"), "t NO [UNAVAILABLE]");
    }
    tell(&format!("20 reads of packed bodies while the bucket is away: {:?}", start.elapsed()));
    assert_eq!(fetch(&mut reader, "100 BODY[]"), "t OK", "it is staged");
    assert_eq!(fetch(&mut reader, "1 (FLAGS ENVELOPE)"), "t OK", "it needs no body");
    assert_eq!(status(&server)["away"], true);

    let before = s3.plan().asked(RequestKind::Put);
    s3.plan().set_away(false);
    wait_until_packed(&server);
    let puts = s3.plan().asked(RequestKind::Put) - before;
    assert!(puts <= 6, "{puts} PUTs for what came in meanwhile");
    assert_messages(&server, (0..320).map(|number| (number, 20_000)).chain([(320, 1_500_000)]));
    verify(&server);
}

/// How a FETCH ends: its tag, status and code.
fn fetch(wire: &mut Wire, what: &str) -> String {
    wire.send_line(&format!("t FETCH {what}"));
    loop {
        let line = wire.line().expect("the connection stays");
        if let Some((_, octets)) = line.rsplit_once('{') {
            wire.octets(octets.trim_end_matches('}').parse().expect("a literal's length"));
        } else if line.starts_with("t ") {
            let end = line.find("] ").map_or(4, |at| at + 1);
            return line[..end].to_owned();
        }
    }
}

#[test]
fn a_server_starts_without_its_bucket() {
    let s3 = S3Server::start(&[BUCKET]);
    s3.plan().set_away(true);
    let server = Sterna::start_with(&["ann"], &options(&s3, "timeout_seconds = 1\n"));
    deliver(&server, 0..30, 20_000);
    assert_messages(&server, (0..30).map(|number| (number, 20_000)));
    s3.plan().set_away(false);
    wait_until_packed(&server);
    assert!(fs::read_to_string(s3.folder(BUCKET).join("cluster")).is_ok(), "it bears the mark");
    verify(&server);
}

#[test]
fn a_wrong_bucket_ends_the_start() {
    let s3 = S3Server::start(&[BUCKET, "empty", "anothers"]);
    let mut first = Sterna::start_with(&["ann"], &options(&s3, ""));
    deliver(&first, 0..1, 1000);
    let other = "sterna cluster 00000000000000000000000000000000\n";
    fs::write(s3.folder("anothers").join("cluster"), other).expect("written");
    for (from, to, said) in [
        ("bucket = \"mail\"", "bucket = \"absent\"", "S3 bucket \"absent\" does not exist"),
        ("bucket = \"mail\"", "bucket = \"anothers\"", "belongs to another cluster"),
        ("bucket = \"mail\"", "bucket = \"empty\"", "is not where this cluster keeps bodies"),
        (
            "store = \"s3\"",
            "store = \"s3\"\ncredentials = \"file\"\ncredentials_file = \"keys\"",
            "with these credentials",
        ),
    ] {
        first.kill();
        let path = first.configuration();
        let right = fs::read_to_string(&path).expect("a configuration");
        let keys = path.with_file_name("keys");
        fs::write(keys, "aws_access_key_id = nobody\naws_secret_access_key = hush-hush\n").expect("written");
        fs::write(&path, right.replace(from, to)).expect("written");
        first.launch();
        let status: ExitStatus = first.wait();
        assert!(!status.success(), "{to}: {status}");
        assert!(first.log().contains(said), "{to}: {}", first.log());
        assert!(!first.log().contains("hush-hush"), "a secret is in the log");
        fs::write(&path, right).expect("written");
        first.run();
    }
    assert_eq!(mail::count(&first, "ann"), 1);
}

#[test]
fn a_server_killed_while_it_packs_loses_and_doubles_nothing() {
    let s3 = S3Server::start(&[BUCKET]);
    let mut server = Sterna::start_with(&["ann"], &options(&s3, "segment_octets = 1048576\n"));
    for round in 0..4 {
        let slow = [Fault::Slow(Duration::from_millis(300)), Fault::LostAnswer, Fault::Torn];
        s3.plan().chance(round, 0.7, &slow);
        let before = s3.plan().asked(RequestKind::Put);
        let first = round as usize * 60;
        deliver(&server, first..first + 60, 50_000);
        wait_for("a segment on its way", || (s3.plan().asked(RequestKind::Put) > before).then_some(()));
        server.kill();
        s3.plan().calm();
        server.run();
    }
    wait_until_packed(&server);
    assert_messages(&server, (0..240).map(|number| (number, 50_000)));
    verify(&server);
}

#[test]
fn a_thousand_messages_cost_few_writes() {
    let s3 = S3Server::start(&[BUCKET]);
    // The age of the default: only what is full is written, and the rest once.
    let mut options = options(&s3, "");
    options.settings = options.settings.replace("segment_age_seconds = 1", "segment_age_seconds = 20");
    let server = Sterna::start_with(&["ann"], &options);
    let writes = || {
        let kinds = [RequestKind::Put, RequestKind::Part, RequestKind::Multipart];
        kinds.into_iter().map(|kind| s3.plan().asked(kind)).sum::<u64>()
    };
    let before = writes();
    deliver(&server, 0..1000, 20_000);
    wait_until_packed(&server);
    let puts = writes() - before;
    tell(&format!("1,000 messages of 20 kB: {puts} PUTs; {}", status(&server)));
    assert!(puts <= 20, "{puts} PUTs");
}
