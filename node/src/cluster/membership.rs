//! This process as a node of a cluster: its groups, its port, and what keeps both current; begun before the stores and
//! ended after them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use sterna_gateway::net::{Drain, Listener, Mode, Permits};
use sterna_storage::cluster::{NodeAddress, Roster};
use sterna_storage::kv::Database;
use sterna_storage::raft::{Group, GroupConfig, Groups, NodeId, recovery};
use sterna_storage::types::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caller::Caller;
use super::credentials::LiveCredentials;
use super::exchange::{Exchange, ExchangeParts};
use super::folder::ClusterFolder;
use super::follow::Follower;
use super::identity::{Identity, Incarnation};
use super::in_force::{Answering, Progress, Standing};
use super::join;
use super::peers::{Members, Peers};
use super::registrar::Registrar;
use super::renewal::Renewal;
use crate::config::Config;
use crate::health::Health;
use crate::{limits, secret_file};

/// Domains, accounts, and the cluster's own roster.
pub const CONFIG_GROUP: &str = "config";
/// Mailboxes, bodies' records, the queue.
pub const MAIL_GROUP: &str = "mail";

/// The folder of the groups, below the data folder.
pub(super) const GROUPS: &str = "groups";

/// This process as a node.
pub struct Membership {
    identity: Identity,
    address: NodeAddress,
    live: LiveCredentials,
    peers: Peers,
    folder: ClusterFolder,
    caller: Arc<Caller>,
    registrar: Registrar,
    answers: Arc<Groups>,
    /// How far this node has taken in the directory.
    progress: Progress,
    config: Arc<Group>,
    mail: Arc<Group>,
    drain: Drain,
}

impl Membership {
    /// Opens the groups' folders and the cluster port. Fails where the machine is no node of a cluster yet.
    pub async fn start(config: &Config) -> anyhow::Result<Arc<Self>> {
        let data = &config.server.data;
        let folder = ClusterFolder::below(data);
        let Some(credentials) = folder.credentials_at(Timestamp::now())? else {
            bail!(
                "this machine is no node of a cluster yet: see `sterna cluster init` and `sterna cluster join`"
            );
        };
        let key =
            secret_file::known_cluster_key(&data.join("cluster.key")).context("reading the cluster key")?;
        let identity = credentials.facts.identity;
        let (live, peers) = (LiveCredentials::new(credentials), Peers::new(folder.members()?));
        let incarnation = Incarnation::random();
        let address = config.cluster.address.clone().context("cluster.address is not set")?;
        let caller = Caller::new(live.clone(), peers.clone(), incarnation).called_at(address.clone());
        let caller = Arc::new(caller);
        let answers = Arc::new(Groups::default());
        let mail = open(config, MAIL_GROUP, identity.node, &caller, &answers).await?;
        let config_group = open(config, CONFIG_GROUP, identity.node, &caller, &answers).await?;
        let roster = Roster::new(Database::new(config_group.clone()), key.clone());
        let membership = Self {
            identity,
            address,
            live,
            peers,
            folder,
            caller,
            registrar: Registrar::new(roster, key),
            answers,
            progress: Progress::default(),
            config: config_group,
            mail,
            drain: Drain::new(),
        };
        listen(config, membership.exchange(incarnation)?, &membership.drain)?;
        tracing::info!(cluster = %identity.cluster, node = %identity.node, "a node of a cluster");
        Ok(Arc::new(membership))
    }

    /// What the port does.
    fn exchange(&self, incarnation: Incarnation) -> anyhow::Result<Arc<Exchange>> {
        let parts = ExchangeParts {
            live: self.live.clone(),
            peers: self.peers.clone(),
            incarnation,
            answers: Arc::new(Answering::new(self.answers.clone(), self.progress.clone())),
            registrar: self.registrar.clone(),
        };
        Ok(Exchange::new(parts, self.drain.clone())?)
    }

    /// Waits until the groups answer; the founder makes them first. Without a majority of the voters this does not end.
    pub async fn join_in(self: &Arc<Self>) -> anyhow::Result<()> {
        if join::founding(&self.folder)?.is_some() {
            for group in self.groups() {
                found(&group, self.identity.node).await?;
            }
        }
        self.point_groups_at_peers();
        await_answer(&self.config).await;
        join::found(self.registrar.roster(), &self.folder, &self.address).await?;
        // Who was removed while this node was off is not let in any longer.
        while let Err(error) = self.follower().look().await {
            tracing::warn!(%error, "the cluster's nodes cannot be looked up yet");
            tokio::time::sleep(limits::ROSTER_RETRIED).await;
        }
        self.point_groups_at_peers();
        await_answer(&self.mail).await;
        Ok(())
    }

    fn follower(&self) -> Follower {
        Follower {
            roster: self.registrar.roster().clone(),
            peers: self.peers.clone(),
            folder: self.folder.clone(),
            node: self.identity.node,
            address: self.address.clone(),
        }
    }

    /// Keeps the node current until `stop`.
    pub fn spawn_workers(self: &Arc<Self>, health: Health, tasks: &TaskTracker, stop: &CancellationToken) {
        let (roster, folder) = (self.registrar.roster().clone(), self.folder.clone());
        let renewal = Renewal { roster, live: self.live.clone(), folder };
        tasks.spawn(renewal.run(stop.clone()));
        // Listening begins before what is listened to.
        let (membership, token, changes) = (self.clone(), stop.clone(), self.peers.subscribe());
        tasks.spawn(async move { token.run_until_cancelled(membership.watch_peers(changes)).await });
        tasks.spawn(self.follower().run(stop.clone()));
        let (membership, token) = (self.clone(), stop.clone());
        tasks.spawn(async move { token.run_until_cancelled(membership.watch_groups(health)).await });
    }

    /// A node that keeps nothing of a group asks any other.
    async fn watch_peers(&self, mut changes: watch::Receiver<Arc<Members>>) {
        loop {
            self.point_groups_at_peers();
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn point_groups_at_peers(&self) {
        let members = self.peers.current();
        let others = members.addresses.keys().copied().filter(|node| *node != self.identity.node);
        let others: Vec<NodeId> = others.collect();
        self.groups().iter().for_each(|group| group.seek_among(others.clone()));
    }

    /// The node is ready while its groups answer and it belongs to the cluster.
    async fn watch_groups(&self, health: Health) {
        loop {
            let mut all = !self.peers.is_removed(self.identity.node);
            for group in self.groups() {
                all &= answers(&group).await;
            }
            health.stores_answer(all);
            tokio::time::sleep(limits::GROUPS_ASKED).await;
        }
    }

    /// Hands the lead over, closes the groups, then the port.
    pub async fn end(&self) {
        for group in [&self.mail, &self.config] {
            group.close().await;
            self.answers.remove(group.name());
        }
        if !self.drain.run(limits::LAST_CALLS_WAIT).await {
            tracing::debug!("calls of other nodes were dropped");
        }
    }

    /// Both groups.
    pub fn groups(&self) -> [Arc<Group>; 2] {
        [self.config.clone(), self.mail.clone()]
    }

    /// The directory's.
    pub fn config_group(&self) -> &Group {
        &self.config
    }

    /// What the directory stands on.
    pub fn config_database(&self) -> Database {
        Database::new(self.config.clone())
    }

    /// What the other stores stand on.
    pub fn mail_database(&self) -> Database {
        Database::new(self.mail.clone())
    }

    /// Which node of which cluster.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where other nodes find it.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// What it shows.
    pub fn credentials(&self) -> &LiveCredentials {
        &self.live
    }

    /// The nodes that it knows.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Who lets new nodes in.
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// From now on other nodes are told how far this one has taken in the directory's changes: the versions that come
    /// here. Said once.
    pub fn tell_progress(&self, versions: watch::Receiver<u64>) {
        self.progress.set(versions);
    }

    /// Waits until the directory's change of that version is in force on all nodes, so long at most, and tells of which
    /// it is not known.
    pub async fn in_force(&self, version: u64, patience: Duration) -> Standing {
        let members = self.peers.current();
        Standing::asked(
            self.caller.as_ref(),
            &members,
            (self.identity.node, &self.progress),
            version,
            patience,
        )
        .await
    }

    /// What needs a person.
    pub fn warning(&self) -> Option<String> {
        self.caller.rival()
    }
}

/// How a group is kept here.
pub(super) fn group_config(config: &Config, name: &str, node: NodeId) -> GroupConfig {
    GroupConfig::new(name, config.server.data.join(GROUPS).join(name), node)
}

/// Opens a group, which from then on answers other nodes.
async fn open(
    config: &Config,
    name: &str,
    node: NodeId,
    caller: &Arc<Caller>,
    answers: &Groups,
) -> anyhow::Result<Arc<Group>> {
    let group = Group::open(group_config(config, name, node), caller.clone()).await;
    let group = group.with_context(|| format!("opening the group {name}"))?;
    answers.add(group.clone());
    Ok(group)
}

/// Makes the group, of the founder alone; one that is made stays as it is.
pub(super) async fn found(group: &Group, founder: NodeId) -> anyhow::Result<()> {
    match group.bootstrap(&[founder]).await {
        Ok(()) | Err(sterna_storage::Error::Exists(_)) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("making the group {}", group.name())),
    }
}

/// Waits until the group can be read, and says so now and then.
async fn await_answer(group: &Arc<Group>) {
    let mut told = tokio::time::Instant::now();
    while !answers(group).await {
        if told.elapsed() >= limits::WAITING_TOLD {
            told = tokio::time::Instant::now();
            tracing::warn!(group = group.name(), "waiting for a majority of its voters");
        }
        tokio::time::sleep(limits::GROUP_ASKED_AGAIN).await;
    }
}

/// Whether the group can be read.
pub(super) async fn answers(group: &Arc<Group>) -> bool {
    let mut transaction = Database::new(group.clone()).begin();
    let asked = tokio::time::timeout(limits::GROUP_ANSWER_WAIT, transaction.read_version()).await;
    matches!(asked, Ok(Ok(_)))
}

fn listen(config: &Config, exchange: Arc<Exchange>, drain: &Drain) -> anyhow::Result<()> {
    let permits = Permits::new(limits::CLUSTER_CONNECTIONS, limits::CLUSTER_CONNECTIONS_PER_SOURCE);
    for address in &config.cluster.listen {
        let listener = Listener::bind(*address, Mode::Plain, permits.clone(), b"");
        let listener = listener.with_context(|| format!("listening at {address} for the cluster"))?;
        tracing::info!(role = "cluster", address = %listener.local_address()?, "listening");
        let exchange = exchange.clone();
        let serving = listener.serve(drain.clone(), move |connection| exchange.clone().serve(connection));
        drain.spawn(serving);
    }
    Ok(())
}

/// What a voter has after the others are lost, by group.
pub async fn remains(config: &Config) -> anyhow::Result<Vec<(GroupConfig, recovery::Remains)>> {
    let credentials = ClusterFolder::below(&config.server.data).credentials()?;
    let node = credentials.context("this machine is no node of a cluster")?.facts.identity.node;
    let mut found = Vec::new();
    for name in [CONFIG_GROUP, MAIL_GROUP] {
        let group = group_config(config, name, node);
        let remains = recovery::look(&group).await.with_context(|| format!("looking at the group {name}"))?;
        found.push((group, remains));
    }
    Ok(found)
}
