//! A network in memory that cuts, delays, reorders and loses answers, by a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::raft::call::{Call, Envelope};
use crate::raft::{Answers, CallError, Lane, NodeId, Patience, Transport};

/// The network; clones are the same one.
#[derive(Clone)]
pub(super) struct Net(Arc<Mutex<State>>);

struct State {
    nodes: BTreeMap<NodeId, Arc<dyn Answers>>,
    /// Ways on which nothing passes: from, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Longest delay of an answer.
    delay: Duration,
    /// How many of a thousand answers are lost.
    lost: u32,
    /// Octets of parts of states that passed.
    parts_octets: usize,
    /// Whole states on their way, by number.
    transfers: BTreeSet<u64>,
    /// Parts of states wait.
    holds_parts: bool,
    /// How often a voter asked another whether it would vote for it.
    pre_votes: usize,
    /// Who gets no entries.
    stalled: Option<NodeId>,
    random: StdRng,
}

/// How long it takes to notice that nothing comes.
const NOTICED: Duration = Duration::from_millis(100);

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            delay: Duration::ZERO,
            lost: 0,
            parts_octets: 0,
            transfers: BTreeSet::new(),
            holds_parts: false,
            pre_votes: 0,
            stalled: None,
            random: StdRng::seed_from_u64(seed),
        })))
    }

    pub(super) fn add(&self, node: NodeId, answers: Arc<dyn Answers>) {
        self.0.lock().nodes.insert(node, answers);
    }

    pub(super) fn remove(&self, node: NodeId) {
        self.0.lock().nodes.remove(&node);
    }

    /// Nothing passes from one to the other; the way back stays open.
    pub(super) fn cut_way(&self, from: NodeId, to: NodeId) {
        self.0.lock().cut.insert((from, to));
    }

    /// Nothing passes between the node and anybody.
    pub(super) fn cut_off(&self, node: NodeId, others: &[NodeId]) {
        others.iter().for_each(|other| {
            self.cut_way(node, *other);
            self.cut_way(*other, node);
        });
    }

    pub(super) fn heal(&self) {
        self.0.lock().cut.clear();
    }

    pub(super) fn set_faults(&self, delay: Duration, lost: u32) {
        let mut state = self.0.lock();
        (state.delay, state.lost) = (delay, lost);
    }

    pub(super) fn parts_octets(&self) -> usize {
        self.0.lock().parts_octets
    }

    /// How many states were sent, or begun to be.
    pub(super) fn transfers(&self) -> usize {
        self.0.lock().transfers.len()
    }

    pub(super) fn pre_votes(&self) -> usize {
        self.0.lock().pre_votes
    }

    /// Parts of states wait until they do not.
    pub(super) fn hold_parts(&self, holds: bool) {
        self.0.lock().holds_parts = holds;
    }

    /// The node gets no entries of the log; all else passes.
    pub(super) fn stall_log(&self, node: Option<NodeId>) {
        self.0.lock().stalled = node;
    }

    fn is_stalled(&self, to: NodeId, lane: Lane) -> bool {
        lane == Lane::Log && self.0.lock().stalled == Some(to)
    }

    async fn note_part(&self, request: &Bytes) {
        if let Ok(Envelope { call: Call::Part(part), .. }) = Envelope::decode(request) {
            self.0.lock().transfers.insert(part.transfer);
        }
        while self.0.lock().holds_parts {
            tokio::time::sleep(super::STEP).await;
        }
    }

    fn note_vote(&self, request: &Bytes) {
        if let Ok(Envelope { call: Call::PreVote(_), .. }) = Envelope::decode(request) {
            self.0.lock().pre_votes += 1;
        }
    }

    pub(super) fn random(&self, below: u64) -> u64 {
        self.0.lock().random.random_range(0..below)
    }

    /// What a node calls others by.
    pub(super) fn of(&self, node: NodeId) -> Arc<dyn Transport> {
        Arc::new(Caller { net: self.clone(), node })
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.lock().cut.contains(&(from, to))
    }
}

struct Caller {
    net: Net,
    node: NodeId,
}

#[async_trait]
impl Transport for Caller {
    async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        patience: Patience,
    ) -> Result<Bytes, CallError> {
        assert!(request.len() <= crate::limits::CALL_OCTETS);
        let answers = self.net.0.lock().nodes.get(&to).cloned();
        let answers = answers.filter(|_| !self.net.is_cut(self.node, to) && !self.net.is_stalled(to, lane));
        let Some(answers) = answers else {
            tokio::time::sleep(NOTICED.min(patience.sending)).await;
            return Err(CallError::NotSent(to, "cut".into()));
        };
        match lane {
            Lane::Snapshots => self.net.note_part(&request).await,
            Lane::Votes => self.net.note_vote(&request),
            _ => {}
        }
        let (delay, is_lost) = {
            let mut state = self.net.0.lock();
            if lane == Lane::Snapshots {
                state.parts_octets += request.len();
            }
            let (delay, lost) = (state.delay, state.lost);
            (delay.mul_f64(state.random.random()), state.random.random_range(0..1000) < lost)
        };
        let from = self.node;
        // What was sent is carried out, whether or not anybody waits for the answer.
        let answered = tokio::spawn(async move { answers.answer(from, lane, request).await });
        let answer = tokio::time::timeout(patience.answer, answered).await;
        tokio::time::sleep(delay).await;
        match answer {
            Ok(Ok(answer)) if !is_lost && !self.net.is_cut(to, self.node) => {
                assert!(answer.len() <= crate::limits::CALL_OCTETS);
                Ok(answer)
            }
            _ => {
                tokio::time::sleep(NOTICED.min(patience.answer)).await;
                Err(CallError::Lost(to, "lost".into()))
            }
        }
    }
}
