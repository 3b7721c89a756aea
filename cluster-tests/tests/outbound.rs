//! Mail to other servers: by MX preference, with a real name server on loopback and Postfix's smtp-sink as the others.

use sterna_cluster_tests::dns::NameServer;
use sterna_cluster_tests::host::{free_port, loopback_address, wait_for};
use sterna_cluster_tests::sink::Sink;
use sterna_cluster_tests::sterna::{Options, Service, Sterna, address};
use sterna_cluster_tests::wire::Wire;

use crate::mail;

/// A server that resolves by `names` and delivers to `port`.
pub(crate) fn server(names: &NameServer, port: u16) -> Sterna {
    let options =
        Options { name_server: Some(names.address()), outbound_port: Some(port), ..Options::default() };
    Sterna::start_with(&["ann", "bob"], &options)
}

#[test]
fn mx_10_refuses_and_mx_20_accepts() {
    let names = NameServer::start();
    let port = free_port();
    for (domain, is_busy) in [("closed.test", false), ("busy.test", true)] {
        let (first, second) = (loopback_address(), loopback_address());
        names.add_mx(domain, 20, &format!("mx20.{domain}"));
        names.add_mx(domain, 10, &format!("mx10.{domain}"));
        names.add_address(&format!("mx10.{domain}"), first);
        names.add_address(&format!("mx20.{domain}"), second);
        // Nobody listens at the first, or it takes no connection just now.
        let _busy = is_busy.then(|| Sink::busy(first, port));
        let sink = Sink::taking(second, port);
        let server = server(&names, port);
        mail::submit(
            &server,
            "ann",
            &[&format!("friend@{domain}")],
            "Subject: by preference\r\n\r\nHello.\r\n",
        );
        let taken = sink.wait_for(1);
        assert!(taken[0].contains("X-Mail-Args: <ann@example.test>"), "{}", taken[0]);
        assert!(taken[0].contains(&format!("X-Rcpt-Args: <friend@{domain}>")), "{}", taken[0]);
        assert!(taken[0].contains("Subject: by preference"), "{}", taken[0]);
        wait_for("an empty queue", || mail::queue(&server).is_empty().then_some(()));
    }
}

#[test]
fn a_domain_that_takes_no_mail_is_told_at_once() {
    let names = NameServer::start();
    names.add_mx("null.test", 0, ".");
    let server = server(&names, free_port());
    mail::submit(&server, "ann", &["friend@null.test"], "Subject: to nobody\r\n\r\nHello.\r\n");
    let report = mail::wait_for_messages(&server, "ann", 1);
    assert!(report[0].contains("friend@null.test") && report[0].contains("5.1.10"), "{}", report[0]);
}

#[test]
fn the_queue_is_listed_while_the_remote_is_down_and_delivered_when_it_is_back() {
    let names = NameServer::start();
    let (remote, port) = (loopback_address(), free_port());
    names.add_mx("later.test", 10, "mx.later.test");
    names.add_address("mx.later.test", remote);
    let mut server = server(&names, port);
    mail::submit(&server, "ann", &["friend@later.test"], "Subject: later\r\n\r\nHello.\r\n");
    let shown = wait_for("a first attempt", || {
        let listed = server.cli(&["queue", "list"]).stdout;
        listed.contains("friend@later.test").then_some(listed)
    });
    assert!(shown.contains(&address("ann")), "{shown}");
    server.kill();
    server.run();
    assert_eq!(mail::queue(&server).len(), 1, "the entry outlives the process");
    let sink = Sink::taking(remote, port);
    server.cli(&["queue", "retry", &mail::queue(&server)[0]]);
    assert!(sink.wait_for(1)[0].contains("Subject: later"));
    wait_for("an empty queue", || mail::queue(&server).is_empty().then_some(()));
}

#[test]
fn a_refused_recipient_comes_back_as_a_readable_bounce() {
    let names = NameServer::start();
    let (remote, port) = (loopback_address(), free_port());
    names.add_mx("strict.test", 10, "mx.strict.test");
    names.add_address("mx.strict.test", remote);
    let _sink = Sink::refusing(remote, port, "RCPT");
    let server = server(&names, port);
    mail::submit(&server, "ann", &["friend@strict.test"], "Subject: unwanted\r\n\r\nHello.\r\n");
    let report = &mail::wait_for_messages(&server, "ann", 1)[0];
    for part in [
        "multipart/report",
        "report-type=delivery-status",
        "Auto-Submitted: auto-replied",
        "Final-Recipient: rfc822; friend@strict.test",
        "Action: failed",
        "Diagnostic-Code: smtp; 5",
        "Subject: unwanted",
    ] {
        let part = part.to_lowercase();
        assert!(report.to_lowercase().contains(&part), "{part:?} is not in the bounce:\n{report}");
    }
    // Its envelope sender is empty: a bounce of a bounce is nobody's.
    assert!(report.contains("Return-Path: <>"), "{report}");
    wait_for("an empty queue", || mail::queue(&server).is_empty().then_some(()));
}

#[test]
fn local_and_remote_recipients_of_one_message() {
    let names = NameServer::start();
    let (remote, port) = (loopback_address(), free_port());
    // No MX record: the domain's own address is tried (RFC 5321 §5.1).
    names.add_address("bare.test", remote);
    let sink = Sink::taking(remote, port);
    let server = server(&names, port);
    let recipients = ["friend@bare.test", "bob@example.test"];
    mail::submit(&server, "ann", &recipients, "Subject: to both\r\nBcc: secret@bare.test\r\n\r\nHello.\r\n");
    let far = &sink.wait_for(1)[0];
    let near = &mail::wait_for_messages(&server, "bob", 1)[0];
    for copy in [far, near] {
        assert!(copy.contains("Subject: to both") && !copy.contains("secret@bare.test"), "{copy}");
        assert!(copy.contains("Message-ID:") && copy.contains("Date:"), "{copy}");
    }
    let mut wire = Wire::connect(server.port(Service::Mx));
    wire.expect_reply("220 ");
    wire.ask("QUIT", "221");
}
