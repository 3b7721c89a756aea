//! The demo's folder: certificates, passwords, ports, and the configuration that names them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::Rng as _;

use super::certificates;

/// The domain of the demo. `.test` belongs to nobody (RFC 6761 §6.2).
pub(super) const DOMAIN: &str = "demo.test";

/// One of the two people of the story.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) address: String,
    pub(super) password: String,
}

/// The ports on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) mx: u16,
    pub(super) submission: u16,
    pub(super) submissions: u16,
    pub(super) imap: u16,
    pub(super) imaps: u16,
    pub(super) pop3: u16,
    pub(super) pop3s: u16,
    pub(super) http: u16,
}

/// All that the story needs before its server starts.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) ports: Ports,
    pub(super) ann: Person,
    pub(super) bob: Person,
    // The folder was made for this run and goes with it.
    is_temporary: bool,
}

impl Stage {
    /// Fills `folder`, or one of its own under the system's temporary folder.
    pub(super) fn set(folder: Option<&Path>) -> anyhow::Result<Self> {
        let is_temporary = folder.is_none();
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => std::env::temp_dir().join(format!("sterna-demo-{}", std::process::id())),
        };
        if is_temporary {
            // It must be new: the temporary folder is everybody's.
            fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        } else {
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let folder = folder.canonicalize()?;
        let stage = Self {
            folder,
            ports: Ports::free()?,
            ann: Person::new("Ann"),
            bob: Person::new("Bob"),
            is_temporary,
        };
        stage.write()?;
        Ok(stage)
    }

    /// The certificate that clients are to trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Where the server keeps everything.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server is started with.
    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.join("sterna.toml")
    }

    /// Where the server's log goes.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("sterna.log")
    }

    /// Whether the folder goes when the demo ends.
    pub(super) fn is_temporary(&self) -> bool {
        self.is_temporary
    }

    fn settings(&self) -> String {
        let ports = self.ports;
        let listen = |key, port| format!("{key} = [\"127.0.0.1:{port}\"]\n");
        [
            "# Written by sterna demo; sterna.example.toml explains every setting.\n".to_owned(),
            format!("[server]\nhost_name = \"localhost\"\ndata = {:?}\n", self.data()),
            "[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n[smtp]\n".to_owned(),
            listen("mx", ports.mx),
            listen("submission", ports.submission),
            listen("submissions", ports.submissions),
            "[imap]\n".to_owned() + &listen("imap", ports.imap) + &listen("imaps", ports.imaps),
            "[pop3]\n".to_owned() + &listen("pop3", ports.pop3) + &listen("pop3s", ports.pop3s),
            "[http]\n".to_owned() + &listen("listen", ports.http),
        ]
        .concat()
    }

    fn write(&self) -> anyhow::Result<()> {
        let certificates = certificates::generate(&["localhost", "127.0.0.1", "::1"])?;
        fs::write(self.authority(), certificates.authority)?;
        fs::write(self.folder.join("certificate.pem"), certificates.certificate)?;
        write_secret(&self.folder.join("key.pem"), &certificates.key)?;
        write_secret(&self.configuration(), &self.settings())?;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nothing of it is needed any more, and the system clears its temporary folder anyway.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Person {
    fn new(name: &'static str) -> Self {
        let address = format!("{}@{DOMAIN}", name.to_lowercase());
        let letters = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut random = rand::rng();
        let password = (0..16).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect();
        Self { name, address, password }
    }
}

impl Ports {
    /// Ports that nobody listens on. All are held until all are found, so that no two are the same.
    fn free() -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let mut free = || -> anyhow::Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self {
            mx: free()?,
            submission: free()?,
            submissions: free()?,
            imap: free()?,
            imaps: free()?,
            pop3: free()?,
            pop3s: free()?,
            http: free()?,
        })
    }
}

/// Writes what only this user may read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
