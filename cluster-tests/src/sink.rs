//! A foreign mail server: Postfix's `smtp-sink`, which keeps what it takes.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::host::wait_for;

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct Sink {
    address: Ipv4Addr,
    port: u16,
    folder: TempDir,
    child: Child,
}

impl Sink {
    /// Takes everything.
    pub fn taking(address: Ipv4Addr, port: u16) -> Self {
        Self::start(address, port, &[])
    }

    /// Answers this command (RCPT, DATA, `.`, …) with `450` for ever.
    pub fn deferring(address: Ipv4Addr, port: u16, command: &str) -> Self {
        Self::start(address, port, &["-r", command])
    }

    /// Answers this command with `500` for ever.
    pub fn refusing(address: Ipv4Addr, port: u16, command: &str) -> Self {
        Self::start(address, port, &["-f", command])
    }

    /// Takes nobody: it answers a connection with `421` and closes it.
    pub fn busy(address: Ipv4Addr, port: u16) -> Self {
        Self::start(address, port, &["-Q", "CONNECT"])
    }

    fn start(address: Ipv4Addr, port: u16, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("smtp-sink");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]); // it insists on being told
        }
        command.args(options).arg("-d").arg(folder.path().join("mail."));
        command.arg(format!("{address}:{port}")).arg("100");
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("smtp-sink runs");
        let sink = Self { address, port, folder, child };
        wait_for("smtp-sink", || std::net::TcpStream::connect((sink.address, sink.port)).ok());
        sink
    }

    /// What it has taken so far, complete messages only.
    pub fn messages(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).expect("the folder");
        let mut messages: Vec<String> = files
            .filter_map(|file| fs::read(file.ok()?.path()).ok())
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .filter(|message| message.contains("\nSubject:"))
            .collect();
        messages.sort();
        messages
    }

    /// Waits for so many.
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        wait_for("messages at smtp-sink", || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
