//! On which nodes a change of the directory is in force: a node is asked to tell once it has taken the change in, or
//! after a while how far it is. What is asked and answered is versioned, short and of fixed length.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sterna_storage::raft::{Answers, Groups, Lane, NodeId, Transport};
use tokio::sync::{Semaphore, watch};

use super::peers::Members;
use crate::limits;

/// Begins each question and answer.
const FORMAT: u8 = 1;

/// Which version is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question(u64);

/// The version that the node is at; `None` while its directory is not open yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer(Option<u64>);

impl Question {
    fn write(self) -> Bytes {
        [[FORMAT].as_slice(), &self.0.to_be_bytes()].concat().into()
    }

    fn read(octets: &[u8]) -> Option<Self> {
        match octets {
            [FORMAT, version @ ..] => Some(Self(number(version)?)),
            _ => None,
        }
    }
}

impl Answer {
    fn write(self) -> Bytes {
        match self.0 {
            None => vec![FORMAT, 0].into(),
            Some(version) => [[FORMAT, 1].as_slice(), &version.to_be_bytes()].concat().into(),
        }
    }

    fn read(octets: &[u8]) -> Option<Self> {
        match octets {
            [FORMAT, 0] => Some(Self(None)),
            [FORMAT, 1, version @ ..] => Some(Self(Some(number(version)?))),
            _ => None,
        }
    }
}

fn number(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}

/// How far this node has taken in the directory's changes. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<OnceLock<watch::Receiver<u64>>>);

impl Progress {
    /// The versions are told there, from the directory's opening on. The first one to say so is believed.
    pub fn set(&self, versions: watch::Receiver<u64>) {
        let _ = self.0.set(versions);
    }

    /// Waits until it is so far, for that time at most, and tells how far it is. `None` while the directory is not open.
    async fn reaches(&self, version: u64, patience: Duration) -> Option<u64> {
        let mut versions = self.0.get()?.clone();
        // How far it is tells whether that was in time.
        let _ = tokio::time::timeout(patience, versions.wait_for(|at| *at >= version)).await;
        let at = *versions.borrow();
        Some(at)
    }
}

/// Answers other nodes: of the directory's changes by itself, all else by the groups.
pub struct Answering {
    groups: Arc<Groups>,
    progress: Progress,
    held: Semaphore,
}

impl Answering {
    /// Of this node.
    pub fn new(groups: Arc<Groups>, progress: Progress) -> Self {
        Self { groups, progress, held: Semaphore::new(limits::IN_FORCE_HELD_TOGETHER) }
    }

    async fn tell(&self, request: &[u8]) -> Bytes {
        // Who asks something else finds no version in an empty answer.
        let Some(Question(version)) = Question::read(request) else { return Bytes::new() };
        let permit = self.held.try_acquire();
        let patience = if permit.is_ok() { limits::IN_FORCE_HELD } else { Duration::ZERO };
        Answer(self.progress.reaches(version, patience).await).write()
    }
}

#[async_trait]
impl Answers for Answering {
    async fn answer(&self, from: NodeId, lane: Lane, request: Bytes) -> Bytes {
        match lane {
            Lane::Changes => self.tell(&request).await,
            _ => self.groups.answer(from, lane, request).await,
        }
    }

    async fn misses(&self, node: NodeId) {
        self.groups.misses(node).await;
    }
}

/// Where a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The cluster's nodes.
    pub nodes: usize,
    /// Those of which it is not known that the change is in force there, and why not, in their order.
    pub behind: Vec<(NodeId, String)>,
}

impl Standing {
    /// What the nodes tell within that time, this one among them.
    pub async fn asked(
        transport: &dyn Transport,
        members: &Members,
        (own, progress): (NodeId, &Progress),
        version: u64,
        patience: Duration,
    ) -> Self {
        let asked = members.addresses.keys().copied().map(|node| async move {
            let told = match node == own {
                true => Ok(progress.reaches(version, patience).await),
                false => ask(transport, node, version, patience).await,
            };
            let reason = match told {
                Ok(Some(at)) if at >= version => return None,
                Ok(Some(_)) => format!("node {node} has not taken it in yet"),
                Ok(None) => format!("node {node} is starting"),
                Err(reason) => reason,
            };
            Some((node, reason))
        });
        let behind = futures::future::join_all(asked).await.into_iter().flatten().collect();
        Self { nodes: members.addresses.len(), behind }
    }

    /// Nothing is known of any node.
    pub fn unknown(members: &Members, reason: &str) -> Self {
        let behind = members.addresses.keys().map(|node| (*node, reason.to_owned())).collect();
        Self { nodes: members.addresses.len(), behind }
    }
}

async fn ask(
    transport: &dyn Transport,
    node: NodeId,
    version: u64,
    patience: Duration,
) -> Result<Option<u64>, String> {
    let asked = transport.call(node, Lane::Changes, Question(version).write(), patience.into()).await;
    let octets = asked.map_err(|error| error.to_string())?;
    let answer = Answer::read(&octets).ok_or_else(|| format!("node {node} answers something else"))?;
    Ok(answer.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn questions_and_answers_read_back(version: u64, known: bool) {
            let (question, answer) = (Question(version), Answer(known.then_some(version)));
            prop_assert_eq!(Question::read(&question.write()), Some(question));
            prop_assert_eq!(Answer::read(&answer.write()), Some(answer));
        }

        #[test]
        fn any_octets_are_one_or_none(octets in proptest::collection::vec(0..3_u8, 0..12)) {
            // What is read is what would be written: nothing else passes for it.
            prop_assert!(Question::read(&octets).is_none_or(|question| question.write() == octets));
            prop_assert!(Answer::read(&octets).is_none_or(|answer| answer.write() == octets));
        }
    }
}
