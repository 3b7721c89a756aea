//! The demo's folder, its people, and what each server of it is started with: certificates, ports, a configuration.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::Rng as _;

use super::certificates::Certificates;

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
    /// For the other nodes of a cluster.
    pub(super) cluster: u16,
}

/// Where everything is; one that was made for this run goes with it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_temporary: bool,
}

/// The two people of the story.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) ann: Person,
    pub(super) bob: Person,
}

/// All that a server needs before it starts, and what its clients must know.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) ports: Ports,
    pub(super) people: People,
    /// Variables of the server's environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Folder {
    /// This one, or a new one under the system's temporary folder.
    pub(super) fn make(folder: Option<&Path>) -> anyhow::Result<Self> {
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
        Ok(Self { path: folder.canonicalize()?, is_temporary })
    }

    /// What becomes of it when the demo ends.
    pub(super) fn fate(&self) -> &'static str {
        if self.is_temporary { "removed" } else { "kept" }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nothing of it is needed any more, and the system clears its temporary folder anyway.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Stage {
    /// Writes all of it into `folder`; `more` are further sections of the configuration.
    pub(super) fn set(
        folder: &Path,
        ports: Ports,
        people: People,
        certificates: &Certificates,
        more: &str,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let stage = Self { folder: folder.to_owned(), ports, people, environment: Vec::new() };
        fs::write(stage.authority(), &certificates.authority)?;
        fs::write(stage.folder.join("certificate.pem"), &certificates.certificate)?;
        write_secret(&stage.folder.join("key.pem"), &certificates.key)?;
        write_secret(&stage.configuration(), &(stage.settings() + more))?;
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
}

impl People {
    pub(super) fn new() -> Self {
        Self { ann: Person::new("Ann"), bob: Person::new("Bob") }
    }

    pub(super) fn both(&self) -> [&Person; 2] {
        [&self.ann, &self.bob]
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
    /// Ports that nobody listens on, held so that no two are the same: nobody can listen before `held` goes.
    pub(super) fn free(held: &mut Vec<TcpListener>) -> anyhow::Result<Self> {
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
            cluster: free()?,
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
