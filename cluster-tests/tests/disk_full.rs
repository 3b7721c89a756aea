//! A full disk: temporary errors, nothing lost, nothing corrupt, and recovery without a restart.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sterna_cluster_tests::console::tell;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{Options, PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::wire::Wire;

use crate::mail;

/// A file system of its own; it is unmounted when dropped.
pub(crate) struct Mount {
    pub(crate) folder: tempfile::TempDir,
}

impl Mount {
    /// `None` where mounting is not allowed.
    pub(crate) fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "sterna-test"]).arg(folder.path());
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self { folder })
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        let block = vec![0; 64 * 1024];
        while ballast.write_all(&block).is_ok() {}
        while ballast.write_all(&[0]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the server may be in it still.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// Delivers until the server says no; how many it took.
fn deliver_until_refused(server: &Sterna, most: usize) -> usize {
    let body = incompressible(20_000);
    let mut wire = mail::greet(server);
    for taken in 0..most {
        for (line, code) in [("MAIL FROM:<a@elsewhere.test>", "250"), ("RCPT TO:<ann@example.test>", "250")] {
            wire.send_line(line);
            let reply = wire.line().expect("a reply");
            if reply.starts_with('4') {
                return taken;
            }
            assert!(reply.starts_with(code), "{reply}");
        }
        wire.ask("DATA", "354");
        wire.send_line(&format!("Subject: {taken}\r\n\r\n{body}\r\n."));
        let reply = wire.line().expect("a reply");
        if !reply.starts_with("250") {
            assert!(reply.starts_with("45"), "a temporary error is due: {reply}");
            return taken;
        }
    }
    panic!("{most} messages of 20 kB were taken by a full disk");
}

/// Text that no compression makes much shorter, in lines.
fn incompressible(octets: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::with_capacity(octets + octets / 70 * 2);
    while text.len() < octets {
        for _ in 0..70 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push(char::from(b'0' + (state % 64) as u8 % 75));
        }
        text.push_str("\r\n");
    }
    text
}

#[test]
fn a_full_disk_is_a_temporary_error_and_passes() {
    let Some(mount) = Mount::new(256) else {
        tell("skipped: mounting a tmpfs is not allowed here");
        return;
    };
    let data = mount.folder.path().join("data");
    let options = Options { data: Some(data.clone()), ..Options::default() };
    let mut server = Sterna::start_with(&["ann"], &options);
    mail::deliver(&server, "ann", "before");
    mount.fill();
    let taken = deliver_until_refused(&server, 5_000);
    append_is_refused(&server);
    // What was promised is readable while nothing can be written.
    assert_eq!(mail::count(&server, "ann"), taken + 1);
    mount.empty();
    wait_for("room again", || accepts(&server).then_some(()));
    let count = mail::count(&server, "ann");
    assert_eq!(count, taken + 2);
    server.kill();
    server.run();
    assert_eq!(mail::messages(&server, "ann").len(), count);
    assert!(Path::new(&data).exists());
}

fn append_is_refused(server: &Sterna) {
    let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
    wire.expect("* OK");
    mail::command(&mut wire, &format!("LOGIN {} \"{PASSWORD}\"", address("ann")));
    let message = format!("Subject: a\r\n\r\n{}", incompressible(60_000));
    wire.send(format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
    let answer = wire.expect_after("a ").pop().expect("a tagged line");
    let is_temporary = answer.starts_with("a NO [UNAVAILABLE]") || answer.starts_with("a NO [OVERQUOTA]");
    assert!(is_temporary, "{answer}");
}

/// Whether one more message is taken.
fn accepts(server: &Sterna) -> bool {
    let mut wire = mail::greet(server);
    wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
    wire.send_line("RCPT TO:<ann@example.test>");
    if !wire.line().is_some_and(|reply| reply.starts_with("250")) {
        return false;
    }
    wire.ask("DATA", "354");
    wire.send_line("Subject: after\r\n\r\nHello.\r\n.");
    wire.line().is_some_and(|reply| reply.starts_with("250"))
}
