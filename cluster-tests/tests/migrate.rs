//! An installation moves: from one machine to a cluster of three and a bucket, from a bucket back to a folder; every number
//! that clients know stays. And what an operator is told who does it wrong, or whom something befalls.

use std::fs;
use std::process::Command;
use std::time::Duration;

use sterna_cluster_tests::console::tell;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::s3::{ACCESS_KEY, Fault, S3Server, SECRET_KEY};
use sterna_cluster_tests::sterna::{Options, Sterna, address};
use sterna_cluster_tests::tools::{self, Run};
use sterna_cluster_tests::trio;

use crate::bucket::scene::{BUCKET, noise};
use crate::bucket::whole;
use crate::disk_full::Mount;
use crate::mail;

/// `sterna migrate` from one to another, not yet run.
fn migration(old: &Sterna, new: &Sterna, more: &[&str]) -> Command {
    let mut command = old.command(&["migrate"]);
    command.arg("--to").arg(new.configuration()).args(more);
    command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
    command
}

#[track_caller]
fn migrate(old: &Sterna, new: &Sterna, more: &[&str]) -> Run {
    tools::run(&mut migration(old, new, more)).succeeded()
}

/// What a run says that must fail.
#[track_caller]
fn refused(old: &Sterna, new: &Sterna, words: &str) {
    let said = tools::run(&mut migration(old, new, &[])).failed().all();
    assert!(said.contains(words), "{words} is not in: {said}");
}

/// A server that packs soon and sends nothing anywhere.
fn on_one_machine() -> Options {
    Options { settings: "[bodies]\nsegment_age_seconds = 1\n".into(), ..Options::default() }
}

fn stop(server: &mut Sterna) {
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

/// What it says that does not start.
fn refuses_to_start(server: &mut Sterna) -> String {
    server.launch();
    assert_eq!(server.wait().code(), Some(1));
    server.log()
}

/// Mail of every kind: short and long, read and unread, copied and expunged, staged and packed, and on its way.
fn fill(server: &Sterna) {
    for number in 0..25 {
        mail::deliver(server, "ann", &format!("number {number}"));
    }
    for octets in [700_000, 7_000_000] {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(noise(9, octets));
        let lines: Vec<_> = text.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
        let message = format!("Subject: long\r\n\r\n{}\r\n", lines.join("\r\n"));
        mail::submit(server, "bob", &[&address("ann")], &message);
    }
    mail::wait_for_messages(server, "ann", 27);
    let mut wire = mail::log_in(server, "ann");
    for command in [
        "CREATE Archive/2026",
        "SELECT INBOX",
        "STORE 3:9 +FLAGS.SILENT (\\Seen $Forwarded)",
        "STORE 5 +FLAGS.SILENT (\\Flagged \\Answered)",
        "COPY 2:6 Archive/2026",
        "STORE 10:12 +FLAGS.SILENT (\\Deleted)",
        "EXPUNGE",
    ] {
        mail::command(&mut wire, command);
    }
    wait_for("packing", || {
        let status = server.cli(&["bodies", "status", "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        (status["staged"] == 0).then_some(())
    });
    mail::deliver(server, "ann", "staged, perhaps");
    mail::submit(server, "ann", &["somebody@elsewhere.test"], "Subject: away\r\n\r\nHello.\r\n");
    wait_for("the entry", || (mail::queue(server).len() == 1).then_some(()));
}

/// All that a client can know: numbers, flags, dates, octets; and what is on its way.
fn seen(server: &Sterna) -> Vec<String> {
    let mut seen = Vec::new();
    let mut wire = mail::log_in(server, "ann");
    mail::command(&mut wire, "ENABLE CONDSTORE");
    for mailbox in ["INBOX", "Archive/2026"] {
        seen.extend(mail::command(&mut wire, &format!("EXAMINE {mailbox}")));
        let facts = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ ENVELOPE BODYSTRUCTURE)";
        seen.extend(mail::command(&mut wire, facts));
        let status = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)";
        seen.extend(mail::command(&mut wire, &format!("STATUS {mailbox} {status}")));
    }
    seen.extend(mail::messages(server, "ann"));
    seen.extend(mail::queue(server));
    // Which session was the first to see a message no process remembers for another.
    seen.retain(|line| !line.ends_with(" RECENT"));
    for line in &mut seen {
        *line = line.replace(" \\Recent", "").replace("\\Recent ", "").replace("\\Recent", "");
    }
    assert!(seen.iter().any(|line| line.contains("$Forwarded")), "keywords are told");
    assert!(seen.len() > 60, "thirty messages, and their octets: {}", seen.len());
    seen
}

#[test]
fn one_machine_becomes_a_cluster_of_three_with_a_bucket() {
    let s3 = S3Server::start(&[BUCKET]);
    let mut old = Sterna::start_with(&["ann", "bob"], &on_one_machine());
    fill(&old);
    let options = whole::options(&s3, "");
    let mut new = trio::node(&options);
    refused(&old, &new, "a server runs on it");
    let said = migrate(&old, &new, &["--ahead"]).all();
    assert!(said.contains("Copied ahead"), "{said}");
    mail::deliver(&old, "ann", "after the copy");
    let before = seen(&old);
    stop(&mut old);
    // Not yet whole.
    let told = refuses_to_start(&mut new);
    assert!(told.contains("is being filled by `sterna migrate`"), "{told}");

    let said = migrate(&old, &new, &[]).all();
    assert!(said.contains("Moved in") && said.contains("HASH OF BOTH"), "{said}");
    let told = refuses_to_start(&mut old);
    assert!(told.contains("has moved to raft in"), "{told}");
    assert!(migrate(&old, &new, &[]).all().contains("All was moved before"));

    new.run();
    assert_eq!(seen(&new), before);
    new.cli(&["bodies", "verify", "--read"]);
    let mut others = [trio::node(&options), trio::node(&options)];
    let join = trio::join_command(&new, 2);
    for (number, other) in (2..).zip(&mut others) {
        other.cli(&join.iter().map(String::as_str).collect::<Vec<_>>());
        other.run();
        trio::add(&new, number);
    }
    assert_eq!(seen(&others[1]), before);
    mail::deliver(&others[0], "ann", "new");
    let mut wire = mail::log_in(&others[1], "ann");
    mail::command(&mut wire, "EXAMINE INBOX");
    let last = mail::command(&mut wire, "FETCH * (UID)");
    let uid_next = before.iter().find_map(|line| line.split("[UIDNEXT ").nth(1)).expect("told");
    let uid_next: u32 = uid_next.split(']').next().and_then(|uid| uid.parse().ok()).expect("a UID");
    assert!(last[0].contains(&format!("UID {uid_next}")), "{last:?}, UIDNEXT was {uid_next}");
    stop(&mut new);
    refused(&new, &old, "other nodes keep the group");
}

#[test]
fn a_lone_voter_with_a_bucket_becomes_one_machine_with_a_folder() {
    let s3 = S3Server::start(&[BUCKET]);
    let mut old = trio::node(&whole::options(&s3, ""));
    old.cli(&["cluster", "init"]);
    old.run();
    old.cli(&["domain", "add", "example.test"]);
    ["ann", "bob"].into_iter().for_each(|account| old.add_account(account));
    fill(&old);
    let before = seen(&old);
    stop(&mut old);
    let mut new = Sterna::prepare(&on_one_machine());
    migrate(&old, &new, &[]);
    new.run();
    assert_eq!(seen(&new), before);
    new.cli(&["bodies", "verify", "--read"]);
    let told = refuses_to_start(&mut old);
    assert!(told.contains("has moved to local in"), "{told}");
}

/// The usual case: only the engine's line changes.
#[test]
fn the_data_folder_may_stay_and_the_bodies_where_they_are() {
    let mut old = Sterna::start_with(&["ann", "bob"], &on_one_machine());
    fill(&old);
    let before = seen(&old);
    stop(&mut old);
    let settings = format!("[bodies]\nfolder = {:?}\n", old.data().join("bodies"));
    let mut new = trio::node(&Options { data: Some(old.data()), settings, ..Options::default() });
    migrate(&old, &new, &[]);
    let told = refuses_to_start(&mut old);
    assert!(told.contains("metadata.engine must be"), "{told}");
    new.run();
    assert_eq!(seen(&new), before);
    new.cli(&["bodies", "verify", "--read"]);
}

#[test]
fn a_move_that_is_killed_again_and_again_ends_whole() {
    let mut old = Sterna::start_with(&["ann", "bob"], &on_one_machine());
    fill(&old);
    let before = seen(&old);
    stop(&mut old);
    let mut new = Sterna::prepare(&on_one_machine());
    // What each run lives to see: nothing, the new metadata, the mark, the first long body, the first segment.
    let holds = |folder: &str| {
        let mut files = fs::read_dir(new.data().join(folder)).into_iter().flatten();
        files.next().is_some()
    };
    for stage in [".", "metadata/log", "bodies", "bodies/bodies", "bodies/segments"] {
        let mut run = migration(&old, &new, &[]).spawn().expect("the binary runs");
        wait_for("a stage of the move", || {
            (stage == "." || holds(stage) || run.try_wait().expect("a child").is_some()).then_some(())
        });
        // It may have ended by itself.
        let _ = run.kill();
        run.wait().expect("a child");
    }
    migrate(&old, &new, &[]);
    new.run();
    assert_eq!(seen(&new), before);
    new.cli(&["bodies", "verify", "--read"]);
}

#[test]
fn who_does_it_wrong_is_told() {
    let mut old = Sterna::start_with(&["ann"], &on_one_machine());
    mail::deliver(&old, "ann", "one");
    stop(&mut old);
    let new = Sterna::prepare(&on_one_machine());
    refused(&new, &old, "are the two configurations exchanged?");
    refused(&old, &old, "both configurations name the same metadata");
    let mut other = Sterna::start_with(&["bob"], &on_one_machine());
    refused(&old, &other, "must have the old one's cluster key");
    stop(&mut other);
    fs::copy(old.data().join("cluster.key"), other.data().join("cluster.key")).expect("copied");
    refused(&old, &other, "is not empty");

    migrate(&old, &new, &[]);
    refused(&old, &other, "has moved to local in");
    refused(&new, &old, "is not empty");
    let undo = old.cli(&["migrate", "--undo"]).all();
    assert!(undo.contains("may serve again"), "{undo}");
    old.run();
    assert_eq!(mail::count(&old, "ann"), 1);
    stop(&mut old);
    refused(&old, &new, "is not empty");
    let again = tools::run(&mut old.command(&["migrate", "--undo"])).failed().all();
    assert!(again.contains("was not left by a move"), "{again}");
}

/// One that is away for longer ends the run, and the next goes on: the storage's own tests, whose patience is shorter.
#[test]
fn a_bucket_with_faults_is_asked_again() {
    let s3 = S3Server::start(&[BUCKET]);
    let mut old = Sterna::start_with(&["ann", "bob"], &on_one_machine());
    fill(&old);
    let before = seen(&old);
    stop(&mut old);
    let mut new = trio::node(&whole::options(&s3, ""));
    let seed = 5;
    tell(&format!("seed {seed}"));
    s3.plan().chance(seed, 0.3, &Fault::storm(Duration::from_millis(50)));
    migrate(&old, &new, &[]);
    assert!(s3.plan().failed() > 3, "{} requests failed", s3.plan().failed());
    s3.plan().calm();
    new.run();
    assert_eq!(seen(&new), before);
    new.cli(&["bodies", "verify", "--read"]);
}

#[test]
fn a_full_disk_ends_the_run_and_the_next_goes_on() {
    let Some(disk) = Mount::new(300) else {
        tell("skipped: mounting is not allowed");
        return;
    };
    let mut old = Sterna::start_with(&["ann", "bob"], &on_one_machine());
    fill(&old);
    let before = seen(&old);
    let data = Some(disk.folder.path().join("data"));
    let mut new = Sterna::prepare(&Options { data, ..on_one_machine() });
    migrate(&old, &new, &["--ahead"]);
    stop(&mut old);
    disk.fill();
    let said = tools::run(&mut migration(&old, &new, &[])).failed().all();
    assert!(said.contains("no room left") || said.contains("No space left"), "{said}");
    disk.empty();
    migrate(&old, &new, &[]);
    new.run();
    assert_eq!(seen(&new), before);
}
