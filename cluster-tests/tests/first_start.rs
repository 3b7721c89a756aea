//! The first start of a server is cut off at any point, and the next one succeeds: folders, keys, the self-signed
//! certificate and the stores are made whole or not at all.
//!
//! `STERNA_START_CUTS` says at how many points, spread over all that the first start asks of its disk (a large number: at
//! each), `STERNA_START_CUT_AT` names a single one.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sterna_cluster_tests::binary;
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::faulty_disk::{Disk, Plan};
use sterna_cluster_tests::host::{free_port, wait_for};

use crate::disks::{disks, spread};

/// Points at which CI cuts.
const CUTS: u64 = 12;

/// A server without users: it listens for its administrator alone, and makes its certificate itself.
struct Server<'a> {
    disk: &'a Disk,
    folder: tempfile::TempDir,
    port: u16,
}

impl<'a> Server<'a> {
    fn new(disk: &'a Disk) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        let nowhere =
            |keys: &[&str]| keys.iter().map(|key| format!("{key} = []\n")).collect::<Vec<_>>().concat();
        let text = [
            format!("[server]\nhost_name = \"mx.example.test\"\ndata = {:?}\n", disk.path().join("data")),
            format!("[smtp]\n{}", nowhere(&["mx", "submission", "submissions"])),
            format!("[imap]\n{}[pop3]\n{}", nowhere(&["imap", "imaps"]), nowhere(&["pop3", "pop3s"])),
            format!("[http]\nlisten = [\"127.0.0.1:{port}\"]\n"),
        ];
        fs::write(folder.path().join("sterna.toml"), text.concat()).expect("a writable folder");
        Self { disk, folder, port }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs until it serves, and ends it; or until it ends by itself.
    fn run(&self, plan: Plan) -> ExitStatus {
        let log = fs::File::create(self.file("log")).expect("a log");
        let start = |_: &Path| {
            let mut command = Command::new(binary::sterna());
            command.args(["serve", "--config"]).arg(self.file("sterna.toml"));
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
        };
        let mut child = self.disk.start(plan, start).expect("the binary runs");
        let mut is_told = false;
        wait_for("the server's end", || {
            if !is_told && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                kill_process(Pid::from_child(&child), Signal::TERM).expect("a child");
                is_told = true;
            }
            child.try_wait().expect("a child")
        })
    }

    /// A first start that is cut at this point, and one that is not; false if it serves before.
    fn start_twice(&self, at: u64) -> bool {
        self.disk.format();
        self.run(Plan { cut_at: Some(at), seed: at, ..Plan::default() });
        let is_cut = self.disk.is_cut();
        if at.is_multiple_of(3) {
            self.disk.keep_power()
        } else {
            self.disk.lose_power()
        }
        let status = self.run(Plan::default());
        let log = fs::read_to_string(self.file("log")).unwrap_or_default();
        assert!(status.success(), "STERNA_START_CUT_AT={at}: {status}\n{log}");
        self.disk.keep_power();
        is_cut
    }
}

#[test]
fn a_first_start_that_is_cut_off_is_made_again() {
    let disks = disks();
    let Some(disk) = disks.first() else { return };
    let server = Server::new(disk);
    let status = server.run(Plan::default());
    assert!(status.success(), "{status}: {:?}", fs::read_to_string(server.file("log")));
    let actions = disk.actions();
    disk.keep_power();
    let points =
        spread(setting("STERNA_START_CUTS").unwrap_or(CUTS), actions, setting("STERNA_START_CUT_AT"));
    let (count, cut) = (points.len(), points.into_iter().filter(|at| server.start_twice(*at)).count());
    tell(&format!("{count} of {actions} actions, {cut} cut"));
    assert!(cut > 0, "nothing was cut");
}
