//! Clients that send without end: messages, literals, recipients.

use std::io;

use sterna_cluster_tests::crowd::{Crowd, source};
use sterna_cluster_tests::sterna::{Options, Service};
use sterna_cluster_tests::wire::Wire;

use super::scene::{IN_THE_CLEAR, Scene};
use crate::mail;

/// Sends chunk after chunk; how many octets the server took before it closed.
fn pour(wire: &mut Wire, chunk: &[u8], most: usize) -> usize {
    let mut sent = 0;
    let mut pour = || -> io::Result<()> {
        while sent < most {
            wire.try_send(chunk)?;
            sent += chunk.len();
        }
        Ok(())
    };
    // Closing is the server's right; the caller looks at what it said.
    let _ = pour();
    sent
}

#[test]
fn a_message_without_end() {
    let smtp = "message_octets = 1048576\n".to_owned();
    let scene = Scene::with("endless DATA", &Options { smtp, ..Options::default() });
    let chunk = "and so on, and so on, and so on, and so on\r\n".repeat(1_000);
    for service in [Service::Mx, Service::Lmtp] {
        let mut wire = Wire::connect(scene.server.port(service));
        wire.expect("220");
        wire.ask(if service == Service::Lmtp { "LHLO a" } else { "EHLO a" }, "250");
        wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
        wire.ask("RCPT TO:<ann@example.test>", "250");
        wire.ask("DATA", "354");
        let sent = pour(&mut wire, chunk.as_bytes(), 64 << 20);
        // Four times the largest message is read, and what the sockets hold.
        assert!(sent < 32 << 20, "{sent} octets were taken");
        let said = wire.until_closed();
        assert!(said.is_empty() || said == "552 5.3.4 Message too large\r\n", "{said}");
    }
    assert_eq!(mail::count(&scene.server, "ann"), 0);
    scene.end();
}

#[test]
fn messages_an_octet_at_a_time() {
    let scene = Scene::begin("slow DATA", IN_THE_CLEAR);
    let mut crowd = Crowd::default();
    let words: &[&[u8]] = &[
        b"EHLO client.example\r\n",
        b"MAIL FROM:<a@elsewhere.test> SIZE=50000000\r\n",
        b"RCPT TO:<ann@example.test>\r\n",
        b"DATA\r\n",
    ];
    // What SIZE announces is set aside for each, so that some of them find no memory; the neighbour, whose message is
    // small, must.
    crowd.join(scene.server.port(Service::Mx), (400, 0..40), true, words);
    let login: &[u8] = b"a LOGIN ann@example.test \"correct horse battery\"\r\n";
    let literals: &[&[u8]] = &[login, b"b APPEND INBOX {50000000+}\r\n"];
    crowd.join(scene.server.port(Service::Imap), (400, 0..40), true, literals);
    for _ in 0..20 {
        crowd.say(b"x");
        std::thread::park_timeout(std::time::Duration::from_millis(250));
    }
    scene.tell(&format!("resident with all of them: {} MiB", scene.process.resident_octets() >> 20));
    scene.end();
    drop(crowd);
}

#[test]
fn literals_without_end() {
    let scene = Scene::begin("endless literals", IN_THE_CLEAR);
    let before = scene.process.resident_octets();
    let chunk = vec![b'x'; 64 * 1024];
    // Too large for APPEND, and announced as none that waits: it is read and dropped. Larger still: the end.
    for (command, closes) in [("a APPEND INBOX {100000000+}", false), ("a APPEND INBOX {4000000000+}", true)]
    {
        let mut wire = mail::log_in(&scene.server, "ann");
        wire.send_line(command);
        if closes {
            assert!(pour(&mut wire, &chunk, 100_000_000) < 100_000_000);
            let said = wire.until_closed();
            assert!(said.is_empty() || said.starts_with("* BYE"), "{said}");
        } else {
            pour(&mut wire, &chunk, 100_000_000 / chunk.len() * chunk.len());
            wire.send(&chunk[..100_000_000 % chunk.len()]);
            wire.send(b"\r\n");
            wire.expect("a NO [TOOBIG]");
            mail::command(&mut wire, "NOOP");
        }
    }
    // Nobody who is not logged in may make the server read that much.
    for command in ["a LOGIN {100000000+}", "a XYZZY {100000000+}", "a APPEND INBOX {100000000+}"] {
        let mut wire = Wire::connect_from(source(1), scene.server.port(Service::Imap));
        wire.expect("* OK");
        wire.send_line(command);
        assert!(pour(&mut wire, &chunk, 100_000_000) < 100_000_000, "{command}");
        let said = wire.until_closed();
        assert!(
            said.is_empty() || said.starts_with("* BYE") || said.starts_with("a BAD"),
            "{command}: {said}"
        );
    }
    let grown = scene.process.resident_octets().saturating_sub(before);
    assert!(grown < 128 << 20, "grew by {grown} octets");
    scene.end();
}

#[test]
fn ten_thousand_recipients() {
    let scene = Scene::begin("recipients", "");
    let mut wire = mail::greet(&scene.server);
    wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
    for _ in 0..100 {
        wire.send("RCPT TO:<ann@example.test>\r\n".repeat(100).as_bytes());
    }
    let replies: Vec<String> = (0..10_000).map(|_| wire.expect_reply("").remove(0)).collect();
    let taken = replies.iter().filter(|reply| reply.starts_with("250 2.1.5")).count();
    let surplus = replies.iter().filter(|reply| reply.starts_with("452 4.5.3")).count();
    assert_eq!((taken, surplus), (1_000, 9_000));
    wire.ask("DATA", "354");
    wire.ask("Subject: to one\r\n\r\nHello.\r\n.", "250");
    mail::wait_for_messages(&scene.server, "ann", 1);
    // Unknown ones: the guessing ends soon.
    wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
    for number in 0..1_000 {
        // The server may have closed.
        let _ = wire.try_send(format!("RCPT TO:<guess{number}@example.test>\r\n").as_bytes());
    }
    let said = wire.until_closed();
    let refused = said.lines().filter(|line| line.starts_with("550 5.1.1")).count();
    assert!(refused <= 100, "{refused} guesses were answered");
    assert_eq!(mail::count(&scene.server, "ann"), 1);
    scene.end();
}
