//! The real binary on FoundationDB, its client library being the double: mail comes in and is read, with faults and
//! while the cluster is away; and what an operator is told where there is no client library.

use std::path::{Path, PathBuf};

use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{Options, Sterna, address};
use sterna_cluster_tests::tools;

use crate::mail;

/// The double's library, which was built beside this program.
fn library() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its path");
    program.with_file_name(format!(
        "{}sterna_fdb_double{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ))
}

/// Writes the cluster file, by which the double is told what goes wrong.
fn say(folder: &Path, faults: &str) {
    let (new, file) = (folder.join("new"), folder.join("fdb.cluster"));
    let text = format!("# double: {faults}\nmail:test@127.0.0.1:4500\n");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(new, file)).expect("written");
}

fn start(folder: &Path, accounts: &[&str]) -> Sterna {
    let (library, file) = (library(), folder.join("fdb.cluster"));
    let metadata =
        format!("engine = \"foundationdb\"\ncluster_file = {file:?}\nclient_library = {library:?}\n");
    let settings = format!("[metadata]\n{metadata}[bodies]\nfolder = {:?}\n", folder.join("bodies"));
    Sterna::start_with(accounts, &Options { settings, ..Options::default() })
}

#[test]
fn mail_comes_in_and_is_read_on_foundationdb() {
    let folder = tempfile::tempdir().expect("a folder");
    say(folder.path(), "");
    let mut server = start(folder.path(), &["ann", "bob"]);
    let mut idle = mail::log_in(&server, "ann");
    mail::command(&mut idle, "SELECT INBOX");
    idle.send_line("i IDLE");
    idle.expect("+ ");
    mail::deliver(&server, "ann", "direct");
    idle.expect_after("* 1 EXISTS");
    // Two recipients go through the queue.
    mail::submit(&server, "ann", &[&address("ann"), &address("bob")], "Subject: queued\r\n\r\nHello.\r\n");
    idle.expect_after("* 2 EXISTS");
    wait_for("the second copy", || (mail::count(&server, "bob") == 1).then_some(()));
    let messages = mail::messages(&server, "ann");
    assert!(
        messages[0].contains("Subject: direct") && messages[1].contains("Subject: queued"),
        "{messages:?}"
    );
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn no_message_is_lost_or_doubled_by_commits_of_unknown_result() {
    let folder = tempfile::tempdir().expect("a folder");
    say(folder.path(), "");
    let server = start(folder.path(), &["ann"]);
    say(folder.path(), "seed=11 unknown-applied=15 unknown-lost=15 conflict=10");
    for number in 0..20 {
        mail::deliver(&server, "ann", &format!("number {number}"));
    }
    say(folder.path(), "");
    assert_eq!(mail::count(&server, "ann"), 20);
}

#[test]
fn a_cluster_that_is_away_is_temporary_trouble() {
    let folder = tempfile::tempdir().expect("a folder");
    say(folder.path(), "");
    let server = start(folder.path(), &["ann"]);
    mail::deliver(&server, "ann", "before");
    say(folder.path(), "away");
    let mut wire = mail::greet(&server);
    wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
    wire.ask("RCPT TO:<nobody-knows@example.test>", "451");
    say(folder.path(), "");
    mail::deliver(&server, "ann", "after");
    assert_eq!(mail::count(&server, "ann"), 2);
}

#[test]
fn without_the_client_library_the_operator_is_told_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = folder.path().join("sterna.toml");
    let metadata = "engine = \"foundationdb\"\nclient_library = \"libfdb_c.so\"\n";
    let text = format!("[server]\ndata = \"data\"\n[metadata]\n{metadata}[bodies]\nfolder = \"bodies\"\n");
    std::fs::write(&configuration, text).expect("written");
    let mut command = std::process::Command::new(sterna_cluster_tests::binary::sterna());
    let run = tools::run(command.arg("serve").arg("--config").arg(&configuration)).failed();
    for word in ["foundationdb-clients", "7.3", "libfdb_c.so"] {
        assert!(run.stderr.contains(word), "{word} is not in: {}", run.stderr);
    }
}
