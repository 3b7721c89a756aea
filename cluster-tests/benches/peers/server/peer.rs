//! Postfix and Dovecot as Debian packages them, in a folder of their own; the system's own configuration of either is
//! neither read nor touched.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sterna_cluster_tests::certificates::{self, Certificates};
use sterna_cluster_tests::host::{free_port, wait_for};
use sterna_cluster_tests::sterna::HOST_NAME;

use super::target::{Ports, Server};
use super::{dovecot, postfix};
use crate::client::imap::Imap;
use crate::client::smtp::Smtp;
use crate::host::meter::pause;
use crate::host::process::{is_alive, tree};

/// How Dovecot is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// One file for each message, with its flags in the name.
    Maildir,
    /// One file for each message, flags in the index.
    Sdbox,
    /// As [`PeerKind::Sdbox`], with idle connections handed to one process.
    Hibernating,
}

/// What must be there, and the Debian package that brings it.
const NEEDED: [(&str, &str); 4] = [
    ("/usr/sbin/postfix", "postfix"),
    ("/usr/sbin/dovecot", "dovecot-core"),
    ("/usr/lib/dovecot/imap", "dovecot-imapd"),
    ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd"),
];

/// The Debian packages that are missing.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    NEEDED.into_iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| package).collect()
}

/// Both servers.
pub(crate) struct Peer {
    kind: PeerKind,
    folder: PathBuf,
    certificates: Certificates,
    ports: Ports,
    dovecot: Option<Child>,
    postfix: Option<Child>,
}

impl Peer {
    /// Writes their configuration below `folder` and starts them.
    pub(crate) fn start(folder: &Path, kind: PeerKind, users: usize) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("Postfix and Dovecot start as root only");
        }
        let folder = folder.join(name(kind));
        for part in ["dovecot/mail", "postfix/data"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let certificates = certificates::generate(&folder, &["localhost", "127.0.0.1", HOST_NAME]);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let ports = Ports { smtp: free_port(), lmtp: free_port(), imap: free_port(), imaps: free_port() };
        std::os::unix::fs::chown(folder.join("dovecot/mail"), Some(dovecot::OWNER), Some(dovecot::OWNER))?;
        dovecot::write(&folder.join("dovecot"), kind, ports, &certificates, users)?;
        postfix::write(&folder.join("postfix"), ports)?;
        let chown = Command::new("chown").arg("postfix").arg(folder.join("postfix/data")).status()?;
        if !chown.success() {
            bail!("there is no user postfix");
        }
        let mut peer = Self { kind, folder, certificates, ports, dovecot: None, postfix: None };
        peer.run()?;
        Ok(peer)
    }

    fn run(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let spawn = |program: &str, arguments: &[&str], path: &Path| -> Result<Child> {
            let mut command = Command::new(program);
            command.arg("-c").arg(path).args(arguments).stdin(Stdio::null());
            command.stdout(log.try_clone()?).stderr(log.try_clone()?);
            command.spawn().with_context(|| program.to_owned())
        };
        let configuration = self.folder.join("dovecot/dovecot.conf");
        self.dovecot = Some(spawn("/usr/sbin/dovecot", &["-F"], &configuration)?);
        self.postfix = Some(spawn("/usr/sbin/postfix", &["start-fg"], &self.folder.join("postfix/etc"))?);
        for port in [self.ports.smtp, self.ports.lmtp, self.ports.imap, self.ports.imaps] {
            wait_for("Postfix and Dovecot", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        }
        // Listening is not yet serving.
        Imap::log_in(self.ports.imap, None, 0).with_context(|| self.logs())?;
        Smtp::connect(self.ports.smtp).with_context(|| self.logs())?.quit()
    }

    fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        ["log", "dovecot/log", "postfix/log"].map(read).concat()
    }

    /// Ends both, and whatever of theirs is left.
    fn stop(&mut self) {
        let all = tree(&self.running());
        let pid_file = self.folder.join("postfix/spool/pid/master.pid");
        let postfix = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
        for pid in self.dovecot.iter().map(Child::id).chain(postfix.filter(|pid| all.contains(pid))) {
            signal(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while all.iter().any(|pid| is_alive(*pid)) && Instant::now() < deadline {
            pause(Duration::from_millis(20));
        }
        for pid in all.into_iter().filter(|pid| is_alive(*pid)) {
            signal(pid, rustix::process::Signal::KILL);
        }
        for mut child in [self.dovecot.take(), self.postfix.take()].into_iter().flatten() {
            // It has ended, or was just killed.
            let _ = child.wait();
        }
    }

    fn running(&self) -> Vec<u32> {
        [&self.dovecot, &self.postfix].into_iter().flatten().map(Child::id).collect()
    }
}

fn name(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Maildir => "maildir",
        PeerKind::Sdbox => "sdbox",
        PeerKind::Hibernating => "hibernating",
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Server for Peer {
    fn name(&self) -> &'static str {
        name(self.kind)
    }

    fn ports(&self) -> Ports {
        self.ports
    }

    fn roots(&self) -> Vec<u32> {
        self.running()
    }

    fn imap_roots(&self) -> Vec<u32> {
        self.dovecot.iter().map(Child::id).collect()
    }

    fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    fn data(&self) -> &Path {
        &self.folder
    }

    fn puts_off(&self) -> Duration {
        Duration::ZERO
    }

    fn restart(&mut self) -> Result<Duration> {
        self.stop();
        let began = Instant::now();
        self.run()?;
        Ok(began.elapsed())
    }

    fn verify(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
    }
}
