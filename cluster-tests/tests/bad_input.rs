//! What no decent client sends. Each case ends in the protocol's own error or a closed connection, within bounds,
//! while somebody else is served and nothing is half-stored.

use std::time::{Duration, Instant};

use sterna_cluster_tests::sterna::{Options, PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::wire::Wire;

use crate::mail;

/// Longest that anybody else may wait for being served meanwhile, on a slow machine.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// Somebody else delivers, and reads by IMAP.
fn others_are_served(server: &Sterna) {
    let begin = Instant::now();
    let before = mail::count(server, "bob");
    mail::deliver(server, "bob", "meanwhile");
    assert_eq!(mail::count(server, "bob"), before + 1);
    assert!(begin.elapsed() < SERVED_WITHIN, "others waited for {:?}", begin.elapsed());
}

fn server() -> Sterna {
    Sterna::start(&["ann", "bob"])
}

fn all_plain() -> [Service; 5] {
    [Service::Mx, Service::Submission, Service::Lmtp, Service::Imap, Service::Pop3]
}

#[test]
fn lines_without_end() {
    let server = server();
    for service in all_plain() {
        let mut wire = Wire::connect(server.port(service));
        wire.line();
        let chunk = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < 8 << 20 && wire.try_send(&chunk).is_ok() {
            sent += chunk.len();
        }
        others_are_served(&server);
        wire.finish_sending();
        let said = wire.until_closed();
        let is_error = ["500", "5", "* BAD", "* BYE", "-ERR"].iter().any(|error| said.starts_with(error));
        assert!(said.is_empty() || is_error, "{service:?}: {said}");
    }
}

#[test]
fn a_long_line_is_refused_and_the_session_goes_on() {
    let server = server();
    let long = "x".repeat(20_000);
    let mut smtp = mail::greet(&server);
    smtp.ask(&format!("MAIL FROM:<{long}@elsewhere.test>"), "5");
    smtp.ask("NOOP", "250");
    let mut pop3 = Wire::connect(server.port(Service::Pop3));
    pop3.expect("+OK");
    pop3.send_line(&format!("USER {long}"));
    pop3.expect("-ERR");
    pop3.send_line("CAPA");
    pop3.expect("+OK");
}

#[test]
fn endless_headers() {
    let smtp = "message_octets = 1048576\n".to_owned();
    let server = Sterna::start_with(&["ann", "bob"], &Options { smtp, ..Options::default() });
    let mut wire = mail::greet(&server);
    wire.ask("MAIL FROM:<a@elsewhere.test> SIZE=2000000", "552");
    wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
    wire.ask("RCPT TO:<ann@example.test>", "250");
    wire.ask("DATA", "354");
    let lines = "X-Header: and so on, and so on, and so on\r\n".repeat(1000);
    let mut sent = 0;
    while sent < 3 << 20 && wire.try_send(lines.as_bytes()).is_ok() {
        sent += lines.len();
    }
    others_are_served(&server);
    if wire.try_send(b"\r\n.\r\n").is_ok() {
        wire.expect_reply("552");
    }
    assert_eq!(mail::count(&server, "ann"), 0);
}

#[test]
fn many_headers_within_the_size_are_mail() {
    let server = server();
    let header = "X-Header: and so on\r\n".repeat(30_000);
    mail::submit(&server, "ann", &["bob@example.test"], &format!("Subject: many\r\n{header}\r\nHello.\r\n"));
    let mut wire = mail::log_in(&server, "bob");
    mail::command(&mut wire, "SELECT INBOX");
    let envelope = mail::command(&mut wire, "FETCH 1 (ENVELOPE BODYSTRUCTURE)");
    assert!(envelope[0].contains("\"many\""), "{}", envelope[0]);
}

#[test]
fn deep_mime() {
    let server = server();
    let mut body = String::from("Subject: deep\r\nMIME-Version: 1.0\r\n");
    for depth in 0..2_000 {
        body += &format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n");
    }
    body += "Content-Type: text/plain\r\n\r\nat the bottom\r\n";
    mail::submit(&server, "ann", &["bob@example.test"], &body);
    let mut attached = String::from("Subject: attached\r\nMIME-Version: 1.0\r\n");
    attached += &"Content-Type: message/rfc822\r\n\r\n".repeat(2_000);
    mail::submit(&server, "ann", &["bob@example.test"], &attached);
    let mut wire = mail::log_in(&server, "bob");
    mail::command(&mut wire, "SELECT INBOX");
    let structures = mail::command(&mut wire, "FETCH 1:2 (ENVELOPE BODYSTRUCTURE)");
    assert!(structures.iter().filter(|line| line.contains("BODYSTRUCTURE")).count() == 2, "{structures:?}");
    let found = mail::command(&mut wire, "SEARCH TEXT bottom");
    assert!(found[0].contains("SEARCH"), "{found:?}");
    others_are_served(&server);
}

#[test]
fn huge_literals() {
    let server = server();
    for command in ["a LOGIN {4294967295}", "a LOGIN {99999999999999999999}", "a LOGIN {2000000000+}"] {
        let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
        wire.expect("* OK");
        wire.send_line(command);
        let answer = wire.line().unwrap_or_default();
        assert!(!answer.starts_with('+'), "{command}: {answer}");
    }
    let mut wire = mail::log_in(&server, "ann");
    wire.send_line("a APPEND INBOX {4000000000}");
    let answer = wire.line().expect("an answer");
    assert!(answer.starts_with("a NO [TOOBIG]") || answer.starts_with("a BAD"), "{answer}");
    mail::command(&mut wire, "NOOP");
    others_are_served(&server);
    assert_eq!(mail::count(&server, "ann"), 0);
}

#[test]
fn one_byte_at_a_time_for_ever() {
    let settings = "[limits]\ncommand_timeout_seconds = 5\nlogin_timeout_seconds = 5\n".to_owned();
    let server = Sterna::start_with(&["ann", "bob"], &Options { settings, ..Options::default() });
    let mut slow: Vec<Wire> =
        all_plain().into_iter().map(|service| Wire::connect(server.port(service))).collect();
    let begin = Instant::now();
    // Each octet comes long before any time without input would be over.
    while begin.elapsed() < Duration::from_secs(11) {
        for wire in &mut slow {
            // The server may have closed already, as it should.
            let _ = wire.try_send(b"N");
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    others_are_served(&server);
    for (wire, service) in slow.iter_mut().zip(all_plain()) {
        wire.await_now(format!("on {service:?}"));
        wire.until_closed();
    }
}

#[test]
fn bare_line_ends_smuggle_nothing() {
    let server = server();
    for (smuggled, place) in [
        (&b"Subject: a\r\n\r\nHello\n.\nMAIL FROM:<x@elsewhere.test>\r\n.\r\n"[..], "LF . LF"),
        (b"Subject: a\r\n\r\nHello\n.\r\nMAIL FROM:<x@elsewhere.test>\r\n.\r\n", "LF . CRLF"),
        (b"Subject: a\r\n\r\nHello\r\n.\nMAIL FROM:<x@elsewhere.test>\r\n.\r\n", "CRLF . LF"),
        (b"Subject: a\r\n\r\nHello\r.\rMAIL FROM:<x@elsewhere.test>\r\n.\r\n", "CR . CR"),
        (b"Subject: a\r\n\r\nHello\r\r\n.\r\n", "CR CRLF"),
        (b"Subject: a\n\nHello\r\n.\r\n", "LF in the header"),
    ] {
        let mut wire = mail::greet(&server);
        wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
        wire.ask("RCPT TO:<ann@example.test>", "250");
        wire.ask("DATA", "354");
        wire.send(smuggled);
        let reply = wire.line().expect("a reply");
        assert!(reply.starts_with('5'), "{place}: {reply}");
        // One reply only: nothing in the text was taken for a command.
        if wire.try_send(b"QUIT\r\n").is_ok() {
            let rest = wire.until_closed();
            assert!(
                rest.is_empty() || rest.starts_with("221") && rest.lines().count() == 1,
                "{place}: {rest}"
            );
        }
    }
    assert_eq!(mail::count(&server, "ann"), 0);
}

#[test]
fn unknown_commands_by_the_thousand() {
    let server = server();
    for (service, error) in
        [(Service::Mx, "5"), (Service::Lmtp, "5"), (Service::Imap, "x"), (Service::Pop3, "-ERR")]
    {
        let mut wire = Wire::connect(server.port(service));
        wire.line();
        let mut sent = 0;
        while sent < 20_000 && wire.try_send(&b"x XYZZY\r\n".repeat(100)).is_ok() {
            sent += 100;
        }
        wire.finish_sending();
        let said = wire.until_closed();
        let errors = said.lines().filter(|line| line.starts_with(error)).count();
        assert!(errors < 2_000, "{service:?} answered {errors} times");
    }
    others_are_served(&server);
}

#[test]
fn nul_and_eight_bit_where_forbidden() {
    let server = server();
    for line in [
        &b"MAIL FROM:<a\0b@elsewhere.test>"[..],
        b"MAIL FROM:<gr\xc3\xbcn@elsewhere.test>",
        b"MAIL FROM:<gr\xfcn@elsewhere.test> SMTPUTF8",
        b"MAIL FROM:<a@elsewhere.test> BODY=9BIT",
        b"\xff\xfe\xfd",
    ] {
        let mut wire = mail::greet(&server);
        wire.send(&[line, b"\r\n"].concat());
        wire.expect("5");
    }
    let mut wire = mail::log_in(&server, "ann");
    for line in [
        &b"a SELECT \"IN\0BOX\""[..],
        b"a CREATE \"\xff\xfe\"",
        b"a CREATE \"\xed\xa0\x80\"",
        b"a SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xc3\x28",
        b"a APPEND INBOX {12+}\r\nSubject: \0a\r\n",
    ] {
        wire.send(&[line, b"\r\n"].concat());
        let answer = wire.expect_after("a ").pop().expect("a tagged line");
        assert!(!answer.starts_with("a OK"), "{}: {answer}", line.escape_ascii());
    }
    others_are_served(&server);
    assert_eq!(mail::count(&server, "ann"), 0);
}

#[test]
fn half_a_handshake() {
    let server = server();
    // The head of a record that says it is a ClientHello of 512 octets, and a few of them.
    let half = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let held: Vec<Wire> = [Service::Submissions, Service::Imaps, Service::Pop3s]
        .into_iter()
        .flat_map(|service| std::iter::repeat_n(service, 20))
        .map(|service| {
            let mut wire = Wire::connect(server.port(service));
            wire.send(&half);
            wire
        })
        .collect();
    for (service, command, reply) in [
        (Service::Submission, "STARTTLS", "220"),
        (Service::Imap, "a STARTTLS", "a OK"),
        (Service::Pop3, "STLS", "+OK"),
    ] {
        let mut wire = Wire::connect(server.port(service));
        wire.line();
        wire.send_line(command);
        wire.expect_after(reply);
        wire.send(&half);
        drop(wire);
        // Not TLS at all.
        let mut wire = Wire::connect(server.port(service));
        wire.line();
        wire.send_line(command);
        wire.expect_after(reply);
        wire.send(b"GET / HTTP/1.1\r\n\r\n");
        wire.until_closed();
    }
    others_are_served(&server);
    drop(held);
}

#[test]
fn plaintext_before_the_handshake_is_dropped() {
    let server = server();
    let cases = [
        (Service::Submission, "STARTTLS", "220", "MAIL FROM:<a@b>\r\n", "NOOP", "250"),
        (Service::Imap, "a STARTTLS", "a OK", "b LOGOUT\r\n", "c NOOP", "c OK"),
        (Service::Pop3, "STLS", "+OK", "QUIT\r\n", "CAPA", "+OK"),
    ];
    for (service, command, reply, injected, next, answer) in cases {
        let mut wire = Wire::connect(server.port(service));
        wire.line();
        if service == Service::Submission {
            wire.ask("EHLO client.example", "250");
        }
        wire.send(format!("{command}\r\n{injected}").as_bytes());
        wire.expect_after(reply);
        let mut wire = wire.start_tls(server.authority());
        wire.send_line(next);
        wire.expect(answer);
    }
}

#[test]
fn a_disconnect_at_every_point_stores_all_or_nothing() {
    let server = server();
    let transaction = "EHLO client.example\r\nMAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<ann@example.test>\r\nDATA\r\n\
                       Subject: cut\r\n\r\nHello.\r\n.\r\n";
    // Every point around the end, and every seventh before.
    let cuts = (0..transaction.len()).filter(|cut| cut % 7 == 0 || transaction.len() - cut < 12);
    for cut in cuts {
        let mut wire = Wire::connect(server.port(Service::Mx));
        wire.expect_reply("220");
        wire.send(&transaction.as_bytes()[..cut]);
        drop(wire);
    }
    let append = format!(
        "a LOGIN {} \"{PASSWORD}\"\r\nb APPEND INBOX {{18+}}\r\nSubject: cut\r\n\r\nHi\r\n",
        address("ann")
    );
    for cut in (append.len() - 24)..append.len() - 1 {
        let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
        wire.expect("* OK");
        wire.send(&append.as_bytes()[..cut]);
        drop(wire);
    }
    others_are_served(&server);
    assert_eq!(mail::count(&server, "ann"), 0);
    let mut whole = Wire::connect(server.port(Service::Mx));
    whole.expect_reply("220");
    whole.send(transaction.as_bytes());
    for code in ["250", "250", "250", "354", "250"] {
        whole.expect_reply(code);
    }
    assert_eq!(mail::count(&server, "ann"), 1);
}
