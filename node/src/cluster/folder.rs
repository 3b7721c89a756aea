//! The folder `cluster` below the data folder: the node's certificate and key, the authority's certificate, and the nodes
//! that were known last, so that a start finds them. Every file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use sterna_storage::cluster::NodeAddress;
use sterna_storage::folder;
use sterna_storage::raft::NodeId;
use sterna_storage::types::{Secret, Timestamp};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::peers::Members;
use crate::{limits, secret_file};

/// The folder. Nothing of it is in memory.
#[derive(Debug, Clone)]
pub struct ClusterFolder(PathBuf);

/// The nodes as they are written down.
#[derive(Serialize, Deserialize)]
struct Written {
    addresses: BTreeMap<u64, NodeAddress>,
    removed: Vec<u64>,
}

impl ClusterFolder {
    /// Below that data folder.
    pub fn below(data: &Path) -> Self {
        Self(data.join("cluster"))
    }

    /// Makes the folder.
    pub fn make(&self) -> io::Result<()> {
        folder::make(&self.0)
    }

    /// Certificate and key of the node. Both in one file, so that they cannot come apart.
    fn node(&self) -> PathBuf {
        self.0.join("node.pem")
    }

    fn authority(&self) -> PathBuf {
        self.0.join("authority.pem")
    }

    /// There from the founding of a cluster until its first node has stored it where all nodes find it.
    fn authority_key(&self) -> PathBuf {
        self.0.join("authority.key")
    }

    /// The key of a node that is asking to be let in.
    fn joining_key(&self) -> PathBuf {
        self.0.join("joining.key")
    }

    /// What the node showed before its certificate was renewed.
    fn previous(&self) -> PathBuf {
        self.0.join("previous.pem")
    }

    fn peers(&self) -> PathBuf {
        self.0.join("peers.json")
    }

    /// What the node shows; `None` where it belongs to no cluster yet.
    pub fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        self.shown(&self.node())
    }

    /// The same; where they are not valid yet, those before them that are: a clock that was ahead for a while had them
    /// renewed for later.
    pub fn credentials_at(&self, now: Timestamp) -> anyhow::Result<Option<Credentials>> {
        let credentials = self.credentials()?;
        if credentials.as_ref().is_none_or(|credentials| credentials.facts.from <= now) {
            return Ok(credentials);
        }
        let previous = self.shown(&self.previous())?.filter(|previous| previous.facts.is_valid(now));
        Ok(previous.or(credentials))
    }

    fn shown(&self, path: &Path) -> anyhow::Result<Option<Credentials>> {
        let Some(node) = read(path)? else { return Ok(None) };
        let within = || format!("reading {}", path.display());
        let certificate =
            CertificateDer::from_pem_slice(&node).context("no certificate").with_context(within)?;
        let key = PrivateKeyDer::from_pem_slice(&node).context("no private key").with_context(within)?;
        let key = Secret::new(key.secret_der().to_vec());
        let authority = read(&self.authority())?;
        let authority = authority.with_context(|| format!("{} is missing", self.authority().display()))?;
        let authority = CertificateDer::from_pem_slice(&authority)
            .with_context(|| format!("reading {}", self.authority().display()))?;
        Ok(Some(Credentials::new(certificate, key, authority).with_context(within)?))
    }

    /// Keeps the node's credentials in place of those there are.
    pub fn keep(&self, credentials: &Credentials) -> io::Result<()> {
        secret_file::create(&self.authority(), pem("CERTIFICATE", &credentials.authority).as_bytes())?;
        secret_file::create(&self.node(), both(credentials).as_bytes())
    }

    /// Keeps those that are about to be replaced.
    pub fn keep_previous(&self, credentials: &Credentials) -> io::Result<()> {
        secret_file::create(&self.previous(), both(credentials).as_bytes())
    }

    /// Keeps the authority's key until [`ClusterFolder::forget_authority_key`].
    pub fn keep_authority_key(&self, key: &Secret<Vec<u8>>) -> io::Result<()> {
        secret_file::create(&self.authority_key(), pem("PRIVATE KEY", key.expose()).as_bytes())
    }

    /// The authority's key where the cluster has only just been founded; PKCS #8.
    pub fn authority_key_of_founder(&self) -> anyhow::Result<Option<Secret<Vec<u8>>>> {
        let Some(text) = read(&self.authority_key())? else { return Ok(None) };
        let key = PrivateKeyDer::from_pem_slice(&text);
        let key = key.with_context(|| format!("reading {}", self.authority_key().display()))?;
        Ok(Some(Secret::new(key.secret_der().to_vec())))
    }

    /// Removes the authority's key.
    pub fn forget_authority_key(&self) -> io::Result<()> {
        self.forget(&self.authority_key())
    }

    /// The key with which this node asks to be let in: the same one, however often it asks.
    pub fn key_for_joining(&self) -> anyhow::Result<KeyPair> {
        let path = self.joining_key();
        if let Some(text) = read(&path)? {
            let text = std::str::from_utf8(&text).context("not PEM");
            let key = text.and_then(|text| Ok(KeyPair::from_pem(text)?));
            return key.with_context(|| format!("reading {}", path.display()));
        }
        let key = KeyPair::generate()?;
        secret_file::create(&path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        Ok(key)
    }

    /// Removes that key.
    pub fn forget_joining_key(&self) -> io::Result<()> {
        self.forget(&self.joining_key())
    }

    fn forget(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => folder::sync(&self.0),
        }
    }

    /// Writes down the nodes for the next start.
    pub fn keep_members(&self, members: &Members) -> io::Result<()> {
        let addresses = members.addresses.iter().map(|(node, address)| (node.0, address.clone())).collect();
        let removed = members.removed.iter().map(|node| node.0).collect();
        let text = serde_json::to_vec_pretty(&Written { addresses, removed })?;
        secret_file::create(&self.peers(), &text)
    }

    /// The nodes that were written down last.
    pub fn members(&self) -> anyhow::Result<Members> {
        let Some(text) = read(&self.peers())? else { return Ok(Members::default()) };
        let written: Written =
            serde_json::from_slice(&text).with_context(|| format!("reading {}", self.peers().display()))?;
        let addresses =
            written.addresses.into_iter().map(|(node, address)| (NodeId(node), address)).collect();
        Ok(Members { addresses, removed: written.removed.into_iter().map(NodeId).collect() })
    }
}

/// The file's content, if it is there and no longer than any of ours.
fn read(path: &Path) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    let within = || format!("reading {}", path.display());
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(within)?,
    };
    let mut octets = Zeroizing::new(Vec::new());
    file.take(limits::CLUSTER_FILE_OCTETS as u64 + 1).read_to_end(&mut octets).with_context(within)?;
    if octets.len() > limits::CLUSTER_FILE_OCTETS {
        bail!("{} is longer than any file of a cluster", path.display());
    }
    Ok(Some(octets))
}

/// A certificate and its key, as they lie in one file.
fn both(credentials: &Credentials) -> Zeroizing<String> {
    let key = Zeroizing::new(pem("PRIVATE KEY", credentials.key.expose()));
    Zeroizing::new(pem("CERTIFICATE", &credentials.certificate) + &key)
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let body: String = lines.flat_map(|line| [line, "\n".into()]).collect();
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}
