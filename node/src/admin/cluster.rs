//! The nodes that are one server together.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use sterna_storage::cluster::Node;
use sterna_storage::raft::{Group, NodeId};
use sterna_storage::types::Timestamp;

use super::reply::{At, Failure, Given, Reply};
use super::server::{Admin, done};
use super::view::{ClusterView, GroupView, NewTokenView, NodeView, TokenView};
use crate::cluster::Membership;
use crate::cluster::certificate::public_key_fingerprint;
use crate::limits;

type Context = State<Arc<Admin>>;

fn membership(admin: &Admin) -> Reply<&Arc<Membership>> {
    admin.cluster.as_ref().ok_or_else(|| Failure::invalid("this server is no node of a cluster"))
}

pub(super) async fn invite(admin: Context, given: Given<NewTokenView>) -> Reply<Json<TokenView>> {
    let membership = membership(&admin)?;
    let NewTokenView { uses, lifetime_seconds } = given.0;
    let (most, longest) = (limits::TOKEN_USES, limits::TOKEN_LIFE.as_secs());
    if !(1..=most).contains(&uses) || !(1..=longest).contains(&lifetime_seconds) {
        let text = format!("a token lets in 1 to {most} nodes and is good for 1 to {longest} seconds");
        return Err(Failure::invalid(text));
    }
    let expires = Timestamp::now().plus(std::time::Duration::from_secs(lifetime_seconds));
    let invitation = membership.registrar().invite(uses, expires).await?;
    tracing::info!(uses, lifetime_seconds, "a token for new nodes was made");
    Ok(Json(TokenView {
        token: invitation.token.expose().to_string(),
        authority: invitation.authority.to_string(),
        address: membership.address().to_string(),
        expires,
    }))
}

pub(super) async fn status(admin: Context) -> Reply<Json<ClusterView>> {
    let membership = membership(&admin)?;
    let identity = membership.identity();
    let authority = &membership.credentials().current().authority;
    let authority = public_key_fingerprint(authority).map_err(Failure::internal)?;
    // It is asked for above all when the roster does not answer.
    let roster =
        tokio::time::timeout(limits::GROUP_ANSWER_WAIT, membership.registrar().roster().nodes()).await;
    let (nodes, silence) = match roster {
        Ok(Ok(nodes)) => (nodes.iter().map(node).collect(), None),
        _ => (
            known(membership),
            Some("the group config does not answer: this is what the node knew last".into()),
        ),
    };
    Ok(Json(ClusterView {
        id: identity.cluster.to_string(),
        node: identity.node.0,
        authority: authority.to_string(),
        warning: membership.warning().or(silence),
        nodes,
        groups: membership.groups().iter().map(group).collect(),
    }))
}

fn node(node: &Node) -> NodeView {
    NodeView {
        id: node.id.0,
        address: node.address.to_string(),
        state: if node.removed.is_some() { "removed" } else { "member" }.to_owned(),
        certified_until: Some(node.certified_until),
        joined: Some(node.joined),
    }
}

fn known(membership: &Membership) -> Vec<NodeView> {
    let members = membership.peers().current();
    let view = |(id, address): (&NodeId, &_)| NodeView {
        id: id.0,
        address: ToString::to_string(address),
        state: "member".to_owned(),
        certified_until: None,
        joined: None,
    };
    members.addresses.iter().map(view).collect()
}

fn group(group: &Arc<Group>) -> GroupView {
    let status = group.status();
    let those = |is_voter: bool| {
        let members = status.members.iter().filter(move |member| member.is_voter == is_voter);
        members.map(|member| member.node.0).collect()
    };
    GroupView {
        name: status.group.clone(),
        role: format!("{:?}", status.role).to_lowercase(),
        leader: status.leader.map(|leader| leader.0),
        term: status.term,
        voters: those(true),
        learners: those(false),
        applied_entries: status.applied_entries,
        trouble: status.trouble.clone(),
    }
}

/// Gives the node a copy of both groups, and a vote in them. `503` while it is still copying: to be asked again.
pub(super) async fn add(admin: Context, id: At<u64>) -> Reply<Json<Value>> {
    let (membership, node) = (membership(&admin)?, NodeId(id.0));
    member(membership, node).await?;
    let groups = membership.groups();
    // It goes on though the caller goes.
    let adding = tokio::spawn(async move {
        let added = futures::future::join_all(groups.iter().map(|group| group.add_voter(node))).await;
        added.into_iter().collect::<Result<(), _>>()?;
        tracing::info!(%node, "a node keeps the metadata too");
        Ok(done())
    });
    adding.await.map_err(Failure::internal)?
}

/// Gives the node a copy of the directory, which it keeps current, without a vote. What keeps it already stays as it is.
pub(super) async fn copy(admin: Context, id: At<u64>) -> Reply<Json<Value>> {
    let (membership, node) = (membership(&admin)?, NodeId(id.0));
    member(membership, node).await?;
    membership.config_group().add_learner(node).await?;
    tracing::info!(%node, "a node keeps a copy of the directory");
    Ok(done())
}

/// Takes the node out of both groups, then out of the cluster.
pub(super) async fn remove(admin: Context, id: At<u64>) -> Reply<Json<Value>> {
    let (membership, node) = (membership(&admin)?, NodeId(id.0));
    let roster = membership.registrar().roster();
    if !roster.nodes().await?.iter().any(|known| known.id == node) {
        return Err(Failure::not_found(format!("node {node}")));
    }
    for group in membership.groups() {
        let members = group.status().members;
        let voters: Vec<_> =
            members.iter().filter(|member| member.is_voter).map(|voter| voter.node).collect();
        if voters == [node] {
            return Err(Failure::invalid(format!(
                "node {node} is the last that keeps the group {}",
                group.name()
            )));
        }
        group.remove(node).await?;
    }
    roster.remove(node, Timestamp::now()).await?;
    tracing::info!(%node, "a node was removed from the cluster");
    Ok(done())
}

/// Lets the node lead both groups.
pub(super) async fn lead(admin: Context, id: At<u64>) -> Reply<Json<Value>> {
    let (membership, node) = (membership(&admin)?, NodeId(id.0));
    member(membership, node).await?;
    for group in membership.groups() {
        group.transfer(node).await?;
    }
    tracing::info!(%node, "the lead was handed over");
    Ok(done())
}

async fn member(membership: &Membership, node: NodeId) -> Reply<()> {
    let nodes = membership.registrar().roster().nodes().await?;
    match nodes.iter().find(|known| known.id == node) {
        Some(known) if known.removed.is_none() => Ok(()),
        Some(_) => Err(Failure::invalid(format!("node {node} was removed"))),
        None => Err(Failure::not_found(format!("node {node}"))),
    }
}
