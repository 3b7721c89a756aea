//! fetchmail over POP3 and IMAP, handing on to a program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sterna_cluster_tests::sterna::{PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::run;
use sterna_cluster_tests::wire::Wire;

fn deliver(server: &Sterna, count: usize) {
    let mut wire = Wire::connect(server.port(Service::Mx));
    wire.expect_reply("220");
    wire.ask("EHLO client.example", "250");
    for number in 0..count {
        wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
        wire.ask("RCPT TO:<ann@example.test>", "250");
        wire.ask("DATA", "354");
        wire.ask(&format!("Subject: number {number}\r\n\r\nHello.\r\n..dots\r\n."), "250");
    }
    wire.ask("QUIT", "221");
}

#[test]
fn pop3_and_imap_empty_the_maildrop() {
    let server = Sterna::start(&["ann"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = folder.path().join("taken");
    for (protocol, service) in [("pop3", Service::Pop3s), ("imap", Service::Imaps)] {
        deliver(&server, 5);
        let settings = format!(
            "poll localhost protocol {protocol} port {} user \"{}\" password \"{PASSWORD}\" ssl sslcertck \
             sslcertfile {} mda \"cat >> {}\"\n",
            server.port(service),
            address("ann"),
            server.authority().display(),
            taken.display(),
        );
        let file = folder.path().join("fetchmailrc");
        fs::write(&file, settings).expect("a writable folder");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a file");
        let mut command = Command::new("fetchmail");
        command.env("FETCHMAILHOME", folder.path()).arg("-f").arg(&file).args([
            "--nodetach",
            "--nosyslog",
            "-v",
        ]);
        run(&mut command).succeeded();
        let text = fs::read_to_string(&taken).expect("what the program took");
        assert_eq!(text.matches("Subject: number").count(), 5, "{text}");
        assert_eq!(text.matches("\n.dots").count(), 5, "{text}");
        fs::remove_file(&taken).expect("a file");
        // 1: there was no mail.
        assert_eq!(run(&mut command).status.code(), Some(1));
    }
}
