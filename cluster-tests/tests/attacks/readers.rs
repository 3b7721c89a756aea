//! Clients that ask for much and take nothing of it.

use std::time::Instant;

use sterna_cluster_tests::crowd::{Crowd, source};
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{PASSWORD, Service, address};
use sterna_cluster_tests::wire::Wire;

use super::scene::{IN_THE_CLEAR, Scene};
use crate::mail;

const LINE: &str = "a line of forty octets, so many of them\r\n";

/// Of 50,000,000 octets and a header.
fn large_message() -> String {
    format!("Subject: large\r\n\r\n{}", LINE.repeat(50_000_000 / LINE.len()))
}

#[test]
fn a_fifty_megabyte_fetch_that_is_never_read() {
    let settings =
        format!("{IN_THE_CLEAR}[limits]\nwrite_timeout_seconds = 10\n[bodies]\ncache_octets = 1048576\n");
    let scene = Scene::begin("unread fetch", &settings);
    let message = large_message();
    mail::submit(&scene.server, "bob", &[&address("ann")], &message);
    let (before, descriptors) = (scene.process.resident_octets(), scene.process.descriptors());
    let login: &[u8] = b"a LOGIN ann@example.test \"correct horse battery\"\r\n";
    let words: &[&[u8]] = &[login, b"b SELECT INBOX\r\n", b"c FETCH 1 BODY.PEEK[]\r\n"];
    let mut crowd = Crowd::default();
    crowd.join(scene.server.port(Service::Imap), (40, 0..40), true, words);
    let mut pop3 = Wire::connect_from(source(0), scene.server.port(Service::Pop3));
    pop3.expect("+OK");
    for command in [&format!("USER {}", address("ann")), &format!("PASS {PASSWORD}")] {
        pop3.send_line(command);
        pop3.expect("+OK");
    }
    pop3.send_line("RETR 1");
    let with = scene.process.resident_octets();
    // None of them reads on; the server ends them after the time that is set.
    wait_for("the end of those that do not read", || {
        (scene.process.descriptors() <= descriptors + 16).then_some(())
    });
    let after = scene.process.resident_octets();
    scene.tell(&format!("resident: {} MiB before, {} with, {} after", before >> 20, with >> 20, after >> 20));
    assert!(with.max(after) < before + (128 << 20), "41 times 50 MB are not held");
    drop((crowd, pop3));
    let whole = mail::messages(&scene.server, "ann");
    assert!(whole[0].ends_with(&message[message.len() - 1_000_000..]), "who reads gets all of it");
    scene.end();
}

#[test]
fn pipelined_commands_whose_replies_are_never_read() {
    let settings = format!("{IN_THE_CLEAR}[limits]\nwrite_timeout_seconds = 5\nlogin_timeout_seconds = 10\n");
    let scene = Scene::begin("unread replies", &settings);
    mail::submit(
        &scene.server,
        "ann",
        &[&address("ann")],
        &format!("Subject: x\r\n\r\n{}", LINE.repeat(2_000)),
    );
    mail::wait_for_messages(&scene.server, "ann", 1);
    let descriptors = scene.process.descriptors();
    let port = |service| scene.server.port(service);
    let login: &[u8] = b"a LOGIN ann@example.test \"correct horse battery\"\r\n";
    let mut crowds = [Crowd::default(), Crowd::default(), Crowd::default()];
    crowds[0].join(port(Service::Imap), (50, 0..50), true, &[login, b"b SELECT INBOX\r\n"]);
    crowds[1].join(port(Service::Mx), (50, 0..50), true, &[b"EHLO client.example\r\n"]);
    crowds[2].join(port(Service::Pop3), (20, 0..20), true, &[b"CAPA\r\n"]);
    let commands = ["c FETCH 1 BODY.PEEK[]\r\n", "EHLO client.example\r\n", "CAPA\r\n"];
    // As much as they can send, for as long as the server takes it; that is not long.
    wait_for("the end of those that do not read", || {
        for (crowd, command) in crowds.iter().zip(commands) {
            crowd.say(command.repeat(100).as_bytes());
        }
        (scene.process.descriptors() <= descriptors + 16).then_some(())
    });
    scene.end();
}

#[test]
fn a_hundred_thousand_noops_at_once() {
    let scene = Scene::begin("NOOPs", IN_THE_CLEAR);
    let mut wire = mail::log_in(&scene.server, "ann");
    mail::command(&mut wire, "SELECT INBOX");
    let begin = Instant::now();
    // In parts, so that neither side waits for the other for ever.
    for part in 0..100 {
        wire.send("n NOOP\r\n".repeat(1_000).as_bytes());
        for _ in 0..1_000 {
            wire.expect("n OK");
        }
        if part == 50 {
            mail::deliver(&scene.server, "ann", "in between");
            wire.send_line("s NOOP");
            let told = wire.expect_after("s OK");
            assert!(told.contains(&"* 1 EXISTS".to_owned()), "{told:?}");
        }
    }
    scene.tell(&format!("100,000 in {:?}", begin.elapsed()));
    scene.end();
}
