//! The roster: founding the cluster, letting nodes in, renewing, moving and removing them.

use super::seal;
use super::stored::{self, ClusterRecord, NodeRecord, TokenRecord};
use super::words::{Cluster, Fingerprint, Node, NodeAddress, Token};
use crate::kv::record::Record;
use crate::kv::{Database, RangeOptions, Transaction, Watch, operation};
use crate::raft::NodeId;
use crate::types::{OperationId, Secret, Timestamp};
use crate::{Error, Result, limits};

/// A handle on the roster; cheap to clone.
#[derive(Clone)]
pub struct Roster {
    database: Database,
    cluster_key: Secret<[u8; 32]>,
}

/// What a cluster begins with.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The cluster.
    pub cluster: Cluster,
    /// Its first node.
    pub node: Node,
}

/// Who asks to be let in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// What was typed there.
    pub token: Token,
    /// Where it is going to be called.
    pub address: NodeAddress,
    /// Its public key.
    pub key: Fingerprint,
    /// Until when it is going to be certified.
    pub certified_until: Timestamp,
}

impl Roster {
    /// Over the database that all nodes share. `cluster_key` seals the authority's key.
    pub fn new(database: Database, cluster_key: Secret<[u8; 32]>) -> Self {
        Self { database, cluster_key }
    }

    /// Founds the cluster, or finds that it is founded already; `Exists` if another one is.
    pub async fn found(&self, founding: &Founding) -> Result<()> {
        let Cluster { id, authority, authority_key, founded } = &founding.cluster;
        let sealed_key = seal::seal(&self.cluster_key, *id, authority_key);
        let record =
            ClusterRecord { id: *id, authority: authority.clone(), sealed_key, founded: *founded }.encode();
        let found = async |tx: &mut Transaction| {
            if let Some(value) = tx.get(&stored::cluster_key()).await? {
                let is_same = ClusterRecord::decode(&value)?.id == *id;
                return if is_same { Ok(()) } else { Err(Error::Exists("another cluster".into())) };
            }
            tx.set(stored::cluster_key(), record.clone());
            tx.set(stored::last_node_key(), founding.node.id.0.to_be_bytes().to_vec());
            put(tx, &founding.node);
            Ok(())
        };
        self.database.run_once(OperationId::random(), found).await
    }

    /// The cluster, with its authority's key; `NotFound` before it is founded.
    pub async fn cluster(&self) -> Result<Cluster> {
        let value = self.database.run(async |tx| tx.get(&stored::cluster_key()).await).await?;
        let value = value.ok_or_else(|| Error::NotFound("cluster".into()))?;
        let ClusterRecord { id, authority, sealed_key, founded } = ClusterRecord::decode(&value)?;
        let authority_key = seal::open(&self.cluster_key, id, &sealed_key)?;
        Ok(Cluster { id, authority, authority_key, founded })
    }

    /// All nodes that there ever were, by id.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        self.database.run(async |tx| all(tx).await).await
    }

    /// All nodes, and a hint that ends once they may have changed.
    pub async fn watched_nodes(&self) -> Result<(Vec<Node>, Watch)> {
        self.database
            .run(async |tx| {
                let nodes = all(tx).await?;
                Ok((nodes, tx.watch(&stored::changed_key()).await?))
            })
            .await
    }

    /// Makes a token that lets `uses` nodes in until it `expires`, and forgets those that have expired.
    pub async fn create_token(
        &self,
        token: &Token,
        uses: u32,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let key = stored::token_key(&token.hash());
        let create = async |tx: &mut Transaction| {
            let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
            let known = tx.range(stored::tokens(), options).collect().await?;
            let mut kept = 0;
            for (key, value) in known {
                match TokenRecord::decode(&value)?.expires < now {
                    true => tx.clear(key),
                    false => kept += 1,
                }
            }
            if kept >= limits::CLUSTER_TOKENS {
                return Err(Error::TooLarge(
                    format!("{kept} tokens wait for their nodes, at most that many").into(),
                ));
            }
            tx.set(key.clone(), TokenRecord { uses, expires }.encode());
            Ok(())
        };
        self.database.run_once(OperationId::random(), create).await
    }

    /// Whether [`Roster::admit`] would let that key in; `Invalid` if not. Changes nothing.
    pub async fn check_token(&self, token: &Token, key: &Fingerprint, now: Timestamp) -> Result<()> {
        let (hash, operation) = (token.hash(), admission_operation(token, key));
        let check = async |tx: &mut Transaction| match operation::result::<u64>(tx, operation).await? {
            Some(_) => Ok(()),
            None => good_token(tx, &stored::token_key(&hash), now).await.map(drop),
        };
        self.database.run(check).await
    }

    /// Lets a node in, and gives it its id. The same key with the same token gets the same id again, so that an answer
    /// that was lost can be asked for once more. `Invalid` if the token is unknown, used up or expired.
    pub async fn admit(&self, admission: &Admission, now: Timestamp) -> Result<NodeId> {
        let hash = admission.token.hash();
        let operation = admission_operation(&admission.token, &admission.key);
        let admit = async |tx: &mut Transaction| {
            spend(tx, &hash, now).await?;
            let last = tx.get(&stored::last_node_key()).await?;
            let last = last.ok_or_else(|| Error::NotFound("cluster".into()))?;
            let id = NodeId(stored::node_id(&last)?.0 + 1);
            tx.set(stored::last_node_key(), id.0.to_be_bytes().to_vec());
            let Admission { token: _, address, key, certified_until } = admission.clone();
            put(tx, &Node { id, address, key, certified_until, joined: now, removed: None });
            Ok(id.0)
        };
        self.database.run_once(operation, admit).await.map(NodeId)
    }

    /// Notes where a node is called from now on.
    pub async fn moved(&self, id: NodeId, address: &NodeAddress) -> Result<()> {
        self.change(id, |node| node.address = address.clone()).await
    }

    /// Notes a node's new certificate.
    pub async fn certified(&self, id: NodeId, key: Fingerprint, until: Timestamp) -> Result<()> {
        self.change(id, |node| (node.key, node.certified_until) = (key, until)).await
    }

    /// Removes a node: nobody speaks with it any more, and its id is not given again.
    pub async fn remove(&self, id: NodeId, now: Timestamp) -> Result<()> {
        let remove = async |tx: &mut Transaction| {
            let mut node = existing(tx, id).await?;
            node.removed.get_or_insert(now);
            put(tx, &node);
            Ok(())
        };
        self.database.run_once(OperationId::random(), remove).await
    }

    /// Changes a node that has not been removed; writes only what differs.
    async fn change(&self, id: NodeId, change: impl Fn(&mut Node) + Send + Sync) -> Result<()> {
        let write = async |tx: &mut Transaction| {
            let before = existing(tx, id).await?;
            if before.removed.is_some() {
                return Err(Error::Invalid(format!("node {id} was removed from the cluster").into()));
            }
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                put(tx, &after);
            }
            Ok(())
        };
        self.database.run_once(OperationId::random(), write).await
    }
}

fn put(tx: &mut Transaction, node: &Node) {
    tx.set(stored::node_key(node.id), NodeRecord::from(node).encode());
    tx.add(stored::changed_key(), 1);
}

async fn existing(tx: &mut Transaction, id: NodeId) -> Result<Node> {
    let value = tx.get(&stored::node_key(id)).await?;
    let value = value.ok_or_else(|| Error::NotFound(format!("node {id}").into()))?;
    Ok(NodeRecord::decode(&value)?.into_node(id))
}

async fn all(tx: &mut Transaction) -> Result<Vec<Node>> {
    let pairs = tx.range(stored::nodes(), RangeOptions::default()).collect().await?;
    pairs.iter().map(|(key, value)| stored::node(key, value)).collect()
}

fn admission_operation(token: &Token, key: &Fingerprint) -> OperationId {
    OperationId::derived(&[b"admission", &token.hash(), &key.0])
}

async fn good_token(tx: &mut Transaction, key: &[u8], now: Timestamp) -> Result<TokenRecord> {
    let refused = || Error::Invalid("the token is unknown, used up or expired".into());
    let token = TokenRecord::decode(&tx.get(key).await?.ok_or_else(refused)?)?;
    if token.expires < now || token.uses == 0 { Err(refused()) } else { Ok(token) }
}

async fn spend(tx: &mut Transaction, hash: &[u8; 32], now: Timestamp) -> Result<()> {
    let key = stored::token_key(hash);
    let mut token = good_token(tx, &key, now).await?;
    match token.uses {
        1 => tx.clear(key),
        _ => {
            token.uses -= 1;
            tx.set(key, token.encode());
        }
    }
    Ok(())
}
