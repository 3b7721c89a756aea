//! The server ends well when asked to, and comes back when killed.

use sterna_cluster_tests::sterna::Sterna;

#[test]
fn sigterm_ends_with_status_zero_and_kill_loses_no_account() {
    let mut server = Sterna::start(&["ann"]);
    server.kill();
    server.run();
    let accounts = server.cli(&["account", "list", "--json"]);
    assert!(accounts.stdout.contains("ann@example.test"), "{}", accounts.stdout);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}
