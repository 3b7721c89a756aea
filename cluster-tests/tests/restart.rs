//! The server ends well when asked to, and comes back when killed.

use sterna_cluster_tests::sterna::{Sterna, address};

use crate::mail;

#[test]
fn sigterm_ends_with_status_zero_and_kill_loses_nothing() {
    let mut server = Sterna::start(&["ann"]);
    for number in 0..20 {
        mail::deliver(&server, "ann", &format!("number {number}"));
        server.kill();
        server.run();
        assert_eq!(mail::count(&server, "ann"), number + 1);
    }
    let accounts = server.cli(&["account", "list", "--json"]);
    assert!(accounts.stdout.contains("ann@example.test"), "{}", accounts.stdout);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    server.run();
    let messages = mail::messages(&server, "ann");
    assert_eq!(messages.len(), 20);
    let octets: usize = messages.iter().map(String::len).sum();
    let shown = server.cli(&["account", "show", &address("ann"), "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!((&shown["messages"], &shown["used_octets"]), (&20.into(), &octets.into()));
}

#[test]
fn a_restart_in_the_middle_of_idle() {
    let mut server = Sterna::start(&["ann"]);
    let mut idle = mail::log_in(&server, "ann");
    mail::command(&mut idle, "SELECT INBOX");
    idle.send_line("i IDLE");
    idle.expect("+ ");
    mail::deliver(&server, "ann", "while idle");
    idle.expect_after("* 1 EXISTS");
    server.terminate();
    idle.expect_after("* BYE");
    assert_eq!(server.wait().code(), Some(0));
    server.run();
    let mut idle = mail::log_in(&server, "ann");
    let selected = mail::command(&mut idle, "SELECT INBOX");
    assert!(selected.contains(&"* 1 EXISTS".to_owned()), "{selected:?}");
    idle.send_line("i IDLE");
    idle.expect("+ ");
    mail::deliver(&server, "ann", "after the restart");
    idle.expect_after("* 2 EXISTS");
    idle.send_line("DONE");
    idle.expect_after("i OK");
}
