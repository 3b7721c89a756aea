//! Sterna: the binary that `STERNA_BIN` names, or the one of this build, with default settings but for what many
//! connections from one address need.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sterna_cluster_tests::sterna::{Options, Service, Sterna};

use super::target::{Ports, Server, address};
use crate::client::crew::crew;

/// An argon2id hash of the password at the least cost, so that logins, which no row measures, cost little at both
/// sides: the peers keep theirs in the clear.
pub(crate) const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=1$U3Rlcm5hQmVuY2htYXJrcw$hcqpOuNhyLepn10OT/JLVv87tJu18iNz1Hdk44BZmdA";

/// `bodies.segment_age_seconds`: at the latest then staged bodies are packed.
pub(super) const PUTS_OFF: Duration = Duration::from_secs(62);

/// Clients that create accounts at the same time.
const CREATORS: usize = 8;

/// The server.
pub(crate) struct SternaServer {
    sterna: Sterna,
    authority: PathBuf,
    data: PathBuf,
}

impl SternaServer {
    /// Starts it with so many users, data below `folder`.
    pub(crate) fn start(folder: &Path, users: usize) -> Result<Self> {
        let data = folder.join("sterna");
        let options = Options { data: Some(data.clone()), ..default_options() };
        let sterna = Sterna::start_with(&[], &options);
        create_users(&sterna, users)?;
        let authority = sterna.authority().to_owned();
        Ok(Self { sterna, authority, data })
    }
}

/// Default settings but for what many connections from one address need.
pub(super) fn default_options() -> Options {
    let connections = "connections_per_source = 100000\n".to_owned();
    Options {
        smtp: connections.clone(),
        imap: connections,
        log_filter: Some("warn".into()),
        settings: "[login]\ntrusted_networks = [\"127.0.0.0/8\"]\n".into(),
        ..Options::default()
    }
}

/// Creates the users through the admin API.
pub(super) fn create_users(sterna: &Sterna, users: usize) -> Result<()> {
    let token = fs::read_to_string(sterna.data().join("admin.token"))?;
    let port = sterna.port(Service::Http);
    let creators = (0..CREATORS).map(|_| Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?));
    let creators: Vec<TcpStream> = creators.collect::<Result<_>>()?;
    crew(creators, |number, mut stream| {
        for user in (number..users).step_by(CREATORS) {
            let body = json!({ "address": address(user), "password_hash": PASSWORD_HASH }).to_string();
            let request = format!(
                "POST /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                token.trim(),
                body.len()
            );
            stream.write_all(request.as_bytes())?;
            read_answer(&mut stream).with_context(|| format!("creating user {user}"))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads one HTTP answer that has a length; it must be a success.
fn read_answer(stream: &mut TcpStream) -> Result<()> {
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            bail!("the admin API closed");
        }
        received.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() < length.unwrap_or(0_usize) {
            continue;
        }
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{text}");
        }
        return Ok(());
    }
}

impl Server for SternaServer {
    fn name(&self) -> &'static str {
        "sterna"
    }

    fn ports(&self) -> Ports {
        ports(&self.sterna)
    }

    fn roots(&self) -> Vec<u32> {
        vec![self.sterna.pid()]
    }

    fn imap_roots(&self) -> Vec<u32> {
        self.roots()
    }

    fn authority(&self) -> &Path {
        &self.authority
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn puts_off(&self) -> Duration {
        PUTS_OFF
    }

    fn restart(&mut self) -> Result<Duration> {
        restart(&mut self.sterna)
    }

    fn nodes(&self) -> Vec<&Sterna> {
        vec![&self.sterna]
    }

    fn verify(&self) -> Result<()> {
        verify(&self.sterna)
    }
}

/// Ends it and starts it again; tells how long the start took.
pub(super) fn restart(sterna: &mut Sterna) -> Result<Duration> {
    sterna.terminate();
    let status = sterna.wait();
    if !status.success() {
        bail!("the server ended with {status}");
    }
    let began = Instant::now();
    sterna.run();
    Ok(began.elapsed())
}

/// Where it listens.
pub(super) fn ports(sterna: &Sterna) -> Ports {
    Ports {
        smtp: sterna.port(Service::Mx),
        lmtp: sterna.port(Service::Lmtp),
        imap: sterna.port(Service::Imap),
        imaps: sterna.port(Service::Imaps),
    }
}

/// Its bodies are there, and no others.
pub(super) fn verify(sterna: &Sterna) -> Result<()> {
    let report = sterna.cli(&["bodies", "verify", "--json"]).stdout;
    let last = report.trim_end().lines().next_back().unwrap_or_default();
    let parsed: serde_json::Value = serde_json::from_str(&report).or_else(|_| serde_json::from_str(last))?;
    match parsed["problem_count"].as_u64() {
        Some(0) => Ok(()),
        _ => bail!("bodies verify: {report}"),
    }
}
