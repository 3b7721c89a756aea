//! `sterna cluster`: founding, joining and recovery work on the folder of this machine, everything else through the admin API.

use anyhow::Context;
use hyper::Method;
use serde_json::{Value, json};
use sterna_storage::cluster::{Fingerprint, NodeAddress};
use sterna_storage::raft::recovery;
use sterna_storage::types::Timestamp;

use super::arguments::{ClusterCommand, TokenSource};
use super::output::{Column, Output, cell};
use super::password;
use super::run::Session;
use crate::admin::view::NewTokenView;
use crate::cluster::Credentials;
use crate::cluster::certificate::public_key_fingerprint;
use crate::cluster::join::{self, Joining};
use crate::cluster::membership;
use crate::config::Config;

const NODE_COLUMNS: &[Column] = &[
    ("NODE", |item| cell(item, "id")),
    ("ADDRESS", |item| cell(item, "address")),
    ("STATE", |item| cell(item, "state")),
    ("CERTIFIED UNTIL", |item| cell(item, "certified_until")),
];

const REMAINS_COLUMNS: &[Column] = &[
    ("GROUP", |item| cell(item, "name")),
    ("ENTRIES", |item| cell(item, "log_entries")),
    ("LAST TERM", |item| cell(item, "last_term")),
    ("VERSION", |item| cell(item, "version")),
    ("VOTERS", |item| cell(item, "voters")),
];

const GROUP_COLUMNS: &[Column] = &[
    ("GROUP", |item| cell(item, "name")),
    ("HERE", |item| cell(item, "role")),
    ("LEADER", |item| cell(item, "leader")),
    ("VOTERS", |item| cell(item, "voters")),
    ("LEARNERS", |item| cell(item, "learners")),
    ("TROUBLE", |item| cell(item, "trouble")),
];

/// `sterna cluster init`
pub(super) fn init(config: &Config, output: &Output) -> anyhow::Result<()> {
    let made = join::init(&config.server.data, own_address(config)?, Timestamp::now())?;
    told(
        output,
        &made,
        "The cluster is made. Start the server here, then let others join: `sterna cluster token`.",
    )
}

/// `sterna cluster join`
pub(super) async fn join(
    config: &Config,
    (at, token, authority): (&NodeAddress, &TokenSource, Fingerprint),
    output: &Output,
) -> anyhow::Result<()> {
    let token = match token {
        TokenSource::Given(token) => token.clone(),
        TokenSource::Standard => password::line("token", std::io::stdin().lock())?.expose().trim().parse()?,
    };
    let joining = Joining { at, token: &token, authority, address: own_address(config)? };
    let joined = join::join(&config.server.data, &joining).await?;
    told(output, &joined, "This machine has joined. Start the server here.")
}

/// `sterna cluster recover`
pub(super) async fn recover(config: &Config, is_accepted: bool, output: &Output) -> anyhow::Result<()> {
    let remains = membership::remains(config).await?;
    let rows = remains.iter().map(|(group, remains)| {
        json!({
            "name": group.name,
            "log_entries": remains.log_entries,
            "last_term": remains.last_term,
            "version": remains.version.0,
            "voters": remains.voters.iter().map(|voter| voter.0).collect::<Vec<_>>(),
        })
    });
    output.table(&rows.collect::<Vec<_>>(), REMAINS_COLUMNS)?;
    if !is_accepted {
        output.say(
            "What the other voters acknowledged behind these entries would be lost. If none of them comes back, run \
             this on the one that has most, with --accept-loss.",
        )?;
        return Ok(());
    }
    for (group, remains) in &remains {
        recovery::keep_alone(group, remains).await?;
    }
    output.say(
        "This machine alone keeps the metadata now. Start it, and remove the lost nodes (`sterna cluster remove`): they \
         must never start again with their folders.",
    )?;
    Ok(())
}

fn own_address(config: &Config) -> anyhow::Result<&NodeAddress> {
    config.cluster.address.as_ref().context("cluster.address is not set: where do other nodes find this one?")
}

fn told(output: &Output, credentials: &Credentials, next: &str) -> anyhow::Result<()> {
    let identity = credentials.facts.identity;
    let authority = public_key_fingerprint(&credentials.authority)?;
    let value = json!({
        "cluster": identity.cluster.to_string(),
        "node": identity.node.0,
        "authority": authority.to_string(),
    });
    output.say(format!("Cluster {}, node {}. {next}", identity.cluster, identity.node))?;
    if output.json { Ok(output.value(&value)?) } else { Ok(()) }
}

impl Session {
    pub(super) async fn cluster(&self, command: ClusterCommand) -> anyhow::Result<()> {
        match command {
            ClusterCommand::Token { uses, hours } => self.token(uses, hours).await,
            ClusterCommand::Status => self.status().await,
            ClusterCommand::Add { node, copy } => {
                let (what, told) = match copy {
                    true => ("copy", "keeps a copy of the directory."),
                    false => ("voter", "keeps the metadata too."),
                };
                let path = format!("/cluster/nodes/{node}/{what}");
                let result = self.client.call(Method::POST, &path, None::<&()>).await?;
                self.changed(&format!("Node {node} {told}"), &result)
            }
            ClusterCommand::Remove { node } => {
                let result = self.client.delete(&format!("/cluster/nodes/{node}")).await?;
                self.changed(&format!("Node {node} is removed."), &result)
            }
            ClusterCommand::Transfer { node } => {
                let path = format!("/cluster/nodes/{node}/lead");
                let result = self.client.call(Method::POST, &path, None::<&()>).await?;
                self.changed(&format!("Node {node} leads."), &result)
            }
            // Carried out without a server.
            ClusterCommand::Init | ClusterCommand::Join { .. } | ClusterCommand::Recover { .. } => Ok(()),
        }
    }

    async fn token(&self, uses: u32, hours: u32) -> anyhow::Result<()> {
        let new = NewTokenView { uses, lifetime_seconds: u64::from(hours) * 3600 };
        let made = self.client.call(Method::POST, "/cluster/tokens", Some(&new)).await?;
        if self.output.json {
            return Ok(self.output.value(&made)?);
        }
        let text = |name: &str| made[name].as_str().unwrap_or_default();
        self.output.say(format!(
            "sterna cluster join {} {} {}",
            text("address"),
            text("token"),
            text("authority")
        ))?;
        Ok(())
    }

    async fn status(&self) -> anyhow::Result<()> {
        let status = self.client.get("/cluster").await?;
        if self.output.json {
            return Ok(self.output.value(&status)?);
        }
        let items = |name: &str| status[name].as_array().cloned().unwrap_or_default();
        self.output.say(format!(
            "cluster {}, seen by node {}",
            cell(&status, "id"),
            cell(&status, "node")
        ))?;
        self.output.say("")?;
        self.output.table(&items("nodes"), NODE_COLUMNS)?;
        self.output.say("")?;
        self.output.table(&items("groups"), GROUP_COLUMNS)?;
        match &status["warning"] {
            Value::String(warning) => Ok(self.output.say(format!("\nWarning: {warning}"))?),
            _ => Ok(()),
        }
    }
}
