//! Lets new nodes in: checks their token, gives them their number, certifies them, and hands them what a node needs.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sterna_storage::Error;
use sterna_storage::cluster::{Admission, Fingerprint, NodeAddress, Roster, Token};
use sterna_storage::types::{Secret, Timestamp};
use zeroize::Zeroize;

use super::certificate::{Authority, CertificateError, Request, certified_until, public_key_fingerprint};
use super::hello::Hello;
use super::peers::Members;

/// What one says that wants to become a node; JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Asking {
    pub(super) hello: Hello,
    pub(super) token: String,
    /// PKCS #10, base64.
    pub(super) request: String,
    /// Where it is going to be called.
    pub(super) address: NodeAddress,
    /// The hash of the cluster key that lies in its folder already.
    #[serde(default)]
    pub(super) known_key: Option<String>,
}

/// What it is told; JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Granted {
    pub(super) node: u64,
    /// DER, base64.
    pub(super) certificate: String,
    /// DER, base64.
    pub(super) authority: String,
    /// Base64.
    pub(super) cluster_key: String,
    /// Where all nodes are called.
    pub(super) addresses: BTreeMap<u64, NodeAddress>,
    /// Those that were removed.
    pub(super) removed: BTreeSet<u64>,
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.cluster_key.zeroize();
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

/// Lets new nodes in. Any node can: what it needs is kept where all of them find it.
#[derive(Clone)]
pub struct Registrar {
    roster: Roster,
    cluster_key: Secret<[u8; 32]>,
}

/// A token, and what goes with it to the new node.
pub struct Invitation {
    /// Secret.
    pub token: Token,
    /// By which the new node knows whom it speaks with.
    pub authority: Fingerprint,
}

impl Registrar {
    /// Over the roster. `cluster_key` is handed to new nodes.
    pub fn new(roster: Roster, cluster_key: Secret<[u8; 32]>) -> Self {
        Self { roster, cluster_key }
    }

    /// The nodes.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What new nodes are handed: it opens the keys of bodies.
    pub fn cluster_key(&self) -> &Secret<[u8; 32]> {
        &self.cluster_key
    }

    /// Makes a token for `uses` new nodes, good until then.
    pub async fn invite(&self, uses: u32, expires: Timestamp) -> Result<Invitation, Error> {
        let authority = self.roster.cluster().await?.authority.into();
        let authority = public_key_fingerprint(&authority).map_err(corrupt)?;
        let token = Token::random();
        self.roster.create_token(&token, uses, expires, Timestamp::now()).await?;
        Ok(Invitation { token, authority })
    }

    /// Lets one in, or says why not: `Invalid` is its own fault.
    pub(super) async fn admit(&self, asking: &Asking, now: Timestamp) -> Result<Granted, Error> {
        let invalid = |reason: String| Error::Invalid(reason.into());
        asking.hello.agrees().map_err(invalid)?;
        // Before the token is spent.
        let own_key = Fingerprint::of(self.cluster_key.expose()).to_string();
        if asking.known_key.as_ref().is_some_and(|known| *known != own_key) {
            return Err(Error::Invalid("your cluster.key is not this cluster's: move it away".into()));
        }
        let token: Token = asking.token.parse()?;
        let request = STANDARD.decode(&asking.request).map_err(|error| invalid(error.to_string()))?;
        let unreadable = |error: CertificateError| invalid(error.to_string());
        // Signatures cost more than looking up a token.
        let claimed = Request::claimed_fingerprint(&request).map_err(unreadable)?;
        self.roster.check_token(&token, &claimed, now).await?;
        let request = Request::read(&request).map_err(unreadable)?;
        let authority = Authority::of(&self.roster.cluster().await?).map_err(corrupt)?;
        let admission = Admission {
            token,
            address: asking.address.clone(),
            key: request.fingerprint(),
            certified_until: certified_until(now),
        };
        let node = self.roster.admit(&admission, now).await?;
        let members = Members::of(&self.roster.nodes().await?);
        // It may ask again long after it was let in.
        if members.removed.contains(&node) {
            return Err(invalid(format!("node {node} was removed from the cluster")));
        }
        let certificate = authority.issue(node, &request, now).map_err(corrupt)?;
        tracing::info!(%node, address = %asking.address, "a new node was let in");
        Ok(Granted {
            node: node.0,
            certificate: STANDARD.encode(&certificate),
            authority: STANDARD.encode(authority.certificate()),
            cluster_key: STANDARD.encode(self.cluster_key.expose()),
            addresses: members.addresses.into_iter().map(|(node, address)| (node.0, address)).collect(),
            removed: members.removed.into_iter().map(|node| node.0).collect(),
        })
    }
}

/// What the cluster keeps of its authority cannot be used.
fn corrupt(error: CertificateError) -> Error {
    Error::Corrupt(format!("the cluster's authority: {error}").into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_ask_or_are_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = serde_json::from_slice::<Asking>(&octets);
            let _ = serde_json::from_slice::<Granted>(&octets);
        }

        #[test]
        fn who_asks_puts_nothing_into_the_log(release in "\\PC{0,80}|\\s{0,80}", address in "\\PC{0,40}") {
            let incarnation = vec![0; 16];
            let hello = serde_json::json!({
                "wire_lowest": 8, "wire_highest": 9, "release": release, "incarnation": incarnation,
            });
            let asking = serde_json::json!({
                "hello": hello, "token": "", "request": "", "address": address,
            });
            match serde_json::from_value::<Asking>(asking) {
                Ok(asking) => {
                    let told = asking.hello.agrees().expect_err("no common version");
                    prop_assert!(told.is_ascii() && told.len() < 250, "{}", told);
                    prop_assert_eq!(asking.address.to_string(), address);
                }
                Err(_) => prop_assert!(address.parse::<NodeAddress>().is_err()),
            }
        }
    }
}
