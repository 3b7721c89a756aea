//! What an administrator tries in the first ten minutes.

use sterna_cluster_tests::sterna::{HOST_NAME, PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::{python, run};
use sterna_cluster_tests::wire::Wire;

use crate::mail;

#[test]
fn it_is_no_open_relay() {
    let server = Sterna::start(&["ann"]);
    let senders = ["someone@elsewhere.test", "ann@example.test", "", "postmaster@mx.example.test"];
    let recipients = [
        "victim@elsewhere.test",
        "victim%elsewhere.test@example.test",
        "victim%elsewhere.test@mx.example.test",
        "elsewhere.test!victim@example.test",
        "\"victim@elsewhere.test\"@example.test",
        "\"victim%elsewhere.test\"@example.test",
        "@example.test:victim@elsewhere.test",
        "@mx.example.test,@example.test:victim@elsewhere.test",
        "victim@elsewhere.test@example.test",
        "victim@[127.0.0.1]",
        "victim@localhost",
        "victim",
    ];
    for sender in senders {
        for recipient in recipients {
            let mut wire = mail::greet(&server);
            wire.ask(&format!("MAIL FROM:<{sender}>"), "250");
            wire.ask(&format!("RCPT TO:<{recipient}>"), "5");
            // No recipient: there is nothing to send.
            wire.ask("DATA", "5");
            wire.ask("QUIT", "221");
        }
    }
    // The same on submission, before the login.
    let mut wire = Wire::connect_tls(server.port(Service::Submissions), server.authority());
    wire.expect_reply("220");
    wire.ask("EHLO client.example", "250");
    wire.ask("MAIL FROM:<ann@example.test>", "530");
    assert!(mail::queue(&server).is_empty());
}

#[test]
fn the_banner_has_the_hosts_name_and_no_version() {
    let server = Sterna::start(&[]);
    let mut wire = Wire::connect(server.port(Service::Mx));
    let banner = wire.expect(&format!("220 {HOST_NAME} ESMTP"));
    assert!(!banner.contains(env!("CARGO_PKG_VERSION")), "{banner}");
    let extensions = wire.ask("EHLO client.example", "250");
    assert!(extensions[0].contains(HOST_NAME), "{extensions:?}");
    for extension in
        ["PIPELINING", "SIZE", "8BITMIME", "STARTTLS", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"]
    {
        assert!(
            extensions.iter().any(|line| line[4..].starts_with(extension)),
            "{extension}: {extensions:?}"
        );
    }
    assert!(!extensions.iter().any(|line| line.contains("AUTH")), "{extensions:?}");
    // HELO works too, without extensions.
    assert_eq!(wire.ask("HELO client.example", "250").len(), 1);
}

#[test]
fn recipients_are_taken_or_refused_one_by_one() {
    let server = Sterna::start(&["ann", "postmaster"]);
    let mut wire = mail::greet(&server);
    // Bare <postmaster> in any case (RFC 5321 §4.5.1), and the null sender.
    wire.ask("MAIL FROM:<>", "250");
    wire.ask("RCPT TO:<PostMaster>", "250");
    wire.ask("RCPT TO:<postmaster@example.test>", "250");
    wire.ask("RCPT TO:<abuse@example.test>", "250");
    let unknown = wire.ask("RCPT TO:<nobody@example.test>", "550");
    assert!(unknown[0].contains("5.1.1"), "{unknown:?}");
    wire.ask("RCPT TO:<Ann@Example.TEST>", "250");
    wire.ask("DATA", "354");
    let accepted = wire.ask("Subject: to one of two\r\n\r\nHello.\r\n.", "250");
    assert!(
        accepted[0].split(' ').any(|word| word.trim_matches('.').len() == 16),
        "no queue id: {accepted:?}"
    );
    let taken = &mail::wait_for_messages(&server, "ann", 1)[0];
    assert!(taken.starts_with("Return-Path: <>\r\n"), "{taken}");
    assert!(taken.contains("Received: from client.example"), "{taken}");
    assert!(!mail::wait_for_messages(&server, "postmaster", 1).is_empty());
    assert!(mail::queue(&server).is_empty(), "nothing is left of it");
}

#[test]
fn twenty_five_megabytes_there_and_back() {
    let server = Sterna::start(&["ann", "bob"]);
    let mut script = python("big_attachment.py");
    let port = |service| server.port(service).to_string();
    script
        .args([port(Service::Submissions), port(Service::Imaps), port(Service::Pop3s)])
        .arg(server.authority());
    run(script.args([&address("ann"), &address("bob"), PASSWORD])).succeeded();
}
