//! How a folder becomes a node's: by founding a cluster, or by asking a node of one.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use sterna_storage::cluster::{Cluster, ClusterId, Fingerprint, Founding, Node, NodeAddress, Roster, Token};
use sterna_storage::raft::NodeId;
use sterna_storage::types::{Secret, Timestamp};
use zeroize::Zeroizing;

use super::certificate::{Authority, Facts, Request, public_key_fingerprint};
use super::credentials::Credentials;
use super::dial::{ask, connect, whole};
use super::folder::ClusterFolder;
use super::hello::{self, Hello};
use super::identity::{Identity, Incarnation};
use super::membership::GROUPS;
use super::peers::Members;
use super::registrar::{Asking, Granted};
use super::tls;
use crate::{limits, secret_file};

/// The first node of every cluster.
const FIRST: NodeId = NodeId(1);

/// Makes a new cluster of which this folder is the first node, called at that address.
pub fn init(data: &Path, address: &NodeAddress, now: Timestamp) -> anyhow::Result<Credentials> {
    made(unused(data)?, data, address, now)
}

/// The same beside the mail of a server of its own, which moves into the cluster.
pub fn init_beside_mail(data: &Path, address: &NodeAddress, now: Timestamp) -> anyhow::Result<Credentials> {
    made(of_no_node(data)?, data, address, now)
}

fn made(
    folder: ClusterFolder,
    data: &Path,
    address: &NodeAddress,
    now: Timestamp,
) -> anyhow::Result<Credentials> {
    let cluster = ClusterId::random();
    let authority = Authority::new(cluster, now)?;
    let key = rcgen::KeyPair::generate()?;
    let request = Request::read(&Request::make(&key)?)?;
    let certificate = authority.issue(FIRST, &request, now)?;
    let credentials = Credentials::of_key(certificate, &key, authority.certificate().clone())?;
    secret_file::cluster_key(&data.join("cluster.key")).context("making the cluster key")?;
    folder.keep_authority_key(&authority.key())?;
    folder.keep_members(&Members { addresses: [(FIRST, address.clone())].into(), ..Members::default() })?;
    // The last file: with it the folder is a node's.
    folder.keep(&credentials)?;
    Ok(credentials)
}

/// The authority's key and what the founder shows, where this node is the founder and has not founded its cluster yet.
/// Fails for the key of another authority, or on another node: an `init` that was cut short left it.
pub(super) fn founding(folder: &ClusterFolder) -> anyhow::Result<Option<(Secret<Vec<u8>>, Credentials)>> {
    let Some(authority_key) = folder.authority_key_of_founder()? else { return Ok(None) };
    let credentials = folder.credentials()?.context("the folder belongs to no cluster")?;
    let Identity { cluster, node } = credentials.facts.identity;
    let authority = Authority::from_parts(cluster, credentials.authority.clone(), authority_key.expose());
    if node != FIRST || authority.is_err() {
        bail!(
            "authority.key in the folder `cluster` is not that of node {node}'s cluster: it is a rest of `sterna cluster init`; remove it"
        );
    }
    Ok(Some((authority_key, credentials)))
}

/// The founding node hands what it made to the roster, and from then on has no key of the authority of its own.
pub async fn found(roster: &Roster, folder: &ClusterFolder, address: &NodeAddress) -> anyhow::Result<()> {
    let Some((authority_key, credentials)) = founding(folder)? else { return Ok(()) };
    let Facts { identity, from, until, key } = credentials.facts;
    let founded = from.plus(limits::CERTIFICATE_SKEW);
    let authority = credentials.authority.to_vec();
    let cluster = Cluster { id: identity.cluster, authority, authority_key, founded };
    let (address, joined) = (address.clone(), founded);
    let node = Node { id: identity.node, address, key, certified_until: until, joined, removed: None };
    roster.found(&Founding { cluster, node }).await.context("founding the cluster")?;
    folder.forget_authority_key()?;
    tracing::info!(cluster = %identity.cluster, "the cluster is founded");
    Ok(())
}

/// What `sterna cluster join` is given.
#[derive(Debug)]
pub struct Joining<'a> {
    /// Any node of the cluster.
    pub at: &'a NodeAddress,
    /// Lets in.
    pub token: &'a Token,
    /// Of the cluster's authority.
    pub authority: Fingerprint,
    /// Where this node is going to be called.
    pub address: &'a NodeAddress,
}

/// Asks to be let in, and makes the folder a node's. May be repeated if it fails.
pub async fn join(data: &Path, joining: &Joining<'_>) -> anyhow::Result<Credentials> {
    let folder = unused(data)?;
    let cluster_key_file = data.join("cluster.key");
    let known_key = match secret_file::known_cluster_key(&cluster_key_file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        known => Some(known.with_context(|| format!("reading {}", cluster_key_file.display()))?),
    };
    let key = folder.key_for_joining()?;
    let granted = asked(joining, &key, known_key.as_ref()).await?;
    let decode = |text: &str| STANDARD.decode(text).map(Zeroizing::new).context("the answer is not base64");
    let certificate = decode(&granted.certificate)?.to_vec().into();
    let authority = decode(&granted.authority)?.to_vec().into();
    if public_key_fingerprint(&authority)? != joining.authority {
        bail!("the answer names another authority");
    }
    let credentials = Credentials::of_key(certificate, &key, authority)?;
    let cluster_key: [u8; 32] = match decode(&granted.cluster_key)?.as_slice().try_into() {
        Ok(key) => key,
        Err(_) => bail!("the answer has no cluster key"),
    };
    secret_file::keep_cluster_key(&cluster_key_file, &Secret::new(cluster_key))?;
    let addresses =
        granted.addresses.iter().map(|(node, address)| (NodeId(*node), address.clone())).collect();
    let removed = granted.removed.iter().copied().map(NodeId).collect();
    folder.keep_members(&Members { addresses, removed })?;
    // An `init` that was cut short may have left it: this node founds nothing.
    folder.forget_authority_key()?;
    // With this file the folder is a node's.
    folder.keep(&credentials)?;
    folder.forget_joining_key()?;
    Ok(credentials)
}

async fn asked(
    joining: &Joining<'_>,
    key: &rcgen::KeyPair,
    known_key: Option<&Secret<[u8; 32]>>,
) -> anyhow::Result<Granted> {
    let Joining { at, token, authority, address } = joining;
    let asking = Asking {
        hello: Hello::new(Incarnation::random()),
        token: token.expose().to_string(),
        request: STANDARD.encode(Request::make(key)?),
        address: (*address).clone(),
        known_key: known_key.map(|key| Fingerprint::of(key.expose()).to_string()),
    };
    let asking = serde_json::to_vec(&asking)?;
    let answered = async {
        let mut sender =
            connect(at, tls::to_authority(*authority).map_err(|error| error.to_string())?).await?;
        whole(ask(&mut sender, hello::JOIN, asking.into()).await?, limits::JOIN_OCTETS).await
    };
    let answered = tokio::time::timeout(limits::JOIN_WAIT, answered).await;
    let answered = answered.map_err(|_| anyhow::anyhow!("{at} does not answer"))?;
    let (status, octets) = answered.map_err(anyhow::Error::msg).with_context(|| format!("asking {at}"))?;
    let octets = Zeroizing::new(octets.to_vec());
    match status {
        StatusCode::OK => serde_json::from_slice(&octets)
            .map_err(|error| anyhow::anyhow!("the answer of {at} is {}", hello::where_wrong(&error))),
        _ => bail!("{at} refuses: {}", hello::told(&octets)),
    }
}

/// The folder, if it belongs to no node and holds no mail of a server of its own.
fn unused(data: &Path) -> anyhow::Result<ClusterFolder> {
    if data.join("metadata").exists() {
        bail!("{} holds the mail of a server of its own", data.display());
    }
    of_no_node(data)
}

/// The folder, if it belongs to no node.
fn of_no_node(data: &Path) -> anyhow::Result<ClusterFolder> {
    secret_file::make_folder(data).with_context(|| format!("making the data folder {}", data.display()))?;
    let folder = ClusterFolder::below(data);
    if let Some(Identity { cluster, node }) = folder.credentials()?.map(|known| known.facts.identity) {
        bail!("{} belongs to node {node} of the cluster {cluster} already", data.display());
    }
    if data.join(GROUPS).exists() {
        let folder = data.join(GROUPS);
        bail!(
            "{} is what a node of a cluster had: move it away, if that node will never start again",
            folder.display()
        );
    }
    folder.make().with_context(|| format!("making a folder in {}", data.display()))?;
    Ok(folder)
}
