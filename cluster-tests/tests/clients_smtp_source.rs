//! Postfix's smtp-source: many messages over parallel sessions, none lost, none twice.

use std::process::Command;

use sterna_cluster_tests::sterna::{Service, Sterna};
use sterna_cluster_tests::tools::run;

use crate::mail;

const MESSAGES: usize = 500;

#[test]
fn parallel_sessions_lose_nothing() {
    let server = Sterna::start(&["ann"]);
    let mut command = Command::new("smtp-source");
    command.args(["-s", "10", "-m", &MESSAGES.to_string(), "-l", "4096", "-d"]);
    command.args(["-f", "source@elsewhere.test", "-t", "ann@example.test"]);
    run(command.arg(format!("inet:127.0.0.1:{}", server.port(Service::Mx)))).succeeded();
    assert_eq!(mail::count(&server, "ann"), MESSAGES);
}
