//! Postfix's smtp-source: many messages over parallel sessions, none lost, none twice.

use std::process::Command;

use sterna_cluster_tests::sterna::{Service, Sterna};
use sterna_cluster_tests::tools::run;
use sterna_cluster_tests::wire::Wire;

const MESSAGES: u32 = 500;

#[test]
fn parallel_sessions_lose_nothing() {
    let server = Sterna::start(&["ann"]);
    let mut command = Command::new("smtp-source");
    command.args(["-s", "10", "-m", &MESSAGES.to_string(), "-l", "4096", "-d", "-N", "-c"]);
    command.args(["-f", "source@elsewhere.test", "-t", "ann@example.test"]);
    run(command.arg(format!("inet:127.0.0.1:{}", server.port(Service::Mx)))).succeeded();
    let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
    wire.expect("* OK");
    wire.send_line("a LOGIN ann@example.test \"correct horse battery\"");
    wire.expect_after("a OK");
    wire.send_line("b STATUS INBOX (MESSAGES)");
    wire.expect(&format!("* STATUS INBOX (MESSAGES {MESSAGES})"));
}
