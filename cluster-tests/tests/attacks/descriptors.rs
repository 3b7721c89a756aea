//! More connections than the system gives descriptors for.

use sterna_cluster_tests::crowd::Crowd;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::process::Process;
use sterna_cluster_tests::sterna::{Options, Service, Sterna};

use crate::mail;

#[test]
fn connections_leave_the_stores_their_descriptors() {
    let options = Options { open_files: Some((200, 600)), ..Options::default() };
    let server = Sterna::start_with(&["ann"], &options);
    let process = Process(server.pid());
    assert!(server.log().contains("the limit of open files allows fewer connections"), "the log warns");
    // Half of the 600 is left for connections; some are there before the flood.
    let mut early = mail::greet(&server);
    let mut reader = mail::log_in(&server, "ann");
    let mut crowd = Crowd::default();
    crowd.join(server.port(Service::Imap), (500, 0..10), true, &[]);
    crowd.join(server.port(Service::Mx), (500, 0..10), true, &[]);
    let served = crowd.greeted_with("* OK") + crowd.greeted_with("220");
    let refused = crowd.greeted_with("* BYE [UNAVAILABLE]") + crowd.greeted_with("421 4.3.2");
    assert_eq!((served, refused), (298, 702));
    assert!(process.descriptors() < 600);
    // The soft limit of 200 is behind, and mail is still taken and read.
    for number in 0..20 {
        early.ask("MAIL FROM:<a@elsewhere.test>", "250");
        early.ask("RCPT TO:<ann@example.test>", "250");
        early.ask("DATA", "354");
        early.ask(&format!("Subject: {number}\r\n\r\nHello.\r\n."), "250");
    }
    let status = mail::command(&mut reader, "STATUS INBOX (MESSAGES)");
    assert!(status[0].ends_with("(MESSAGES 20)"), "{status:?}");
    assert!(server.is_ready(), "the health check has connections of its own");
    drop(crowd);
    wait_for("room again", || {
        let mut wire = sterna_cluster_tests::wire::Wire::connect(server.port(Service::Mx));
        wire.line().is_some_and(|greeting| greeting.starts_with("220")).then_some(())
    });
    assert_eq!(mail::count(&server, "ann"), 20);
}
