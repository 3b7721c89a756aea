//! Clients that ask for much and take nothing of it.

use std::time::Instant;

use sterna_cluster_tests::crowd::Crowd;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{Service, address};

use super::scene::{IN_THE_CLEAR, Scene};
use crate::mail;

const LINE: &str = "a line of forty octets, so many of them\r\n";

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
