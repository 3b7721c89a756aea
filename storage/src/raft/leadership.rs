//! What goes on behind a group: the pipeline learns when this node leads, the route learns who the voters are, and the
//! log is purged behind what the tree holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use openraft::{Raft, ReadPolicy, ServerState};

use super::consensus::{Types, Vote};
use super::group::{Group, Shared};
use super::log_store::{LogStore, ours};
use super::machine::{Machine, State};
use super::pipeline::Event;
use super::sending::Sending;
use super::transport::NodeId;
use crate::limits;

/// How often a new leader looks whether it may begin.
const STEP: Duration = Duration::from_millis(20);

/// Tells the pipeline when this node leads, and when no longer, and whoever watches when it is over. Ends with the group.
pub(super) async fn follow(raft: Raft<Types, Machine>, state: Arc<State>) {
    follow_on(&raft, &state).await;
    state.inbox.tell(Event::Follow);
    state.end_watches();
}

async fn follow_on(raft: &Raft<Types, Machine>, state: &State) {
    let mut metrics = raft.server_metrics();
    let mut told = None;
    loop {
        let leads = term_led(raft);
        if leads != told {
            match leads {
                None => state.inbox.tell(Event::Follow),
                Some(term) if begins(raft, state, term).await => state.inbox.tell(Event::Lead(term)),
                // It leads as far as it knows, and will never find out.
                Some(_) if raft.metrics().borrow_watched().running_state.is_err() => return,
                Some(_) => continue,
            }
            told = leads;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn term_led(raft: &Raft<Types, Machine>) -> Option<u64> {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    (metrics.state == ServerState::Leader).then_some(metrics.vote.leader_id.term)
}

/// Waits until all that earlier leaders committed is applied here: the new leader's first entry is, which changes nothing.
/// False if the term is over before.
async fn begins(raft: &Raft<Types, Machine>, state: &State, term: u64) -> bool {
    let mut progress = state.progress.subscribe();
    while term_led(raft) == Some(term) {
        if let Ok(linearizer) = raft.get_read_linearizer(ReadPolicy::ReadIndex).await
            && linearizer.read_log_id().committed_leader_id().term == term
        {
            let next = linearizer.read_log_id().index() + 1;
            while term_led(raft) == Some(term) {
                let reached = progress.wait_for(|progress| progress.next >= next);
                if tokio::time::timeout(STEP, reached).await.is_ok() {
                    return true;
                }
            }
        }
        if raft.metrics().borrow_watched().running_state.is_err() {
            return false;
        }
        tokio::time::sleep(STEP).await;
    }
    false
}

impl Group {
    /// That node is not connected to this one any more. If it leads, it is not waited for until an election is due: this
    /// voter stands by it no longer, and asks whether the others would vote for it. Those that still hear from the leader
    /// would not, and all stays as it is.
    pub(super) async fn misses(&self, node: NodeId) {
        let Some(vote) = self.vote_for(node) else { return };
        // As if the leader had named itself: nobody stands for election because of it, but this voter's promise to wait
        // for it is over.
        let released = self.raft.handle_transfer_leader(TransferLeaderRequest::new(vote, node.0, None)).await;
        if released.is_err() {
            return;
        }
        let deadline = Instant::now() + self.config.timing.election_min;
        let mut pause = limits::RAFT_SUCCESSION_STEP * self.turn_behind(node);
        loop {
            tokio::time::sleep(pause).await;
            if self.vote_for(node) != Some(vote) || Instant::now() > deadline {
                return;
            }
            tracing::info!(group = self.name(), %node, "the leader is gone: asking for an election");
            if self.raft.trigger().elect(true).await.is_err() {
                return;
            }
            pause = limits::RAFT_SUCCESSION_STEP.mul_f64(1.0 + 2.0 * rand::random::<f64>());
        }
    }

    /// This voter's vote, if that node leads by it.
    fn vote_for(&self, node: NodeId) -> Option<Vote> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        (metrics.current_leader == Some(node.0)).then_some(metrics.vote)
    }

    /// This voter's place among those that the node leaves behind: so that not all ask at once.
    fn turn_behind(&self, node: NodeId) -> u32 {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let before = |voter: &u64| *voter < self.config.node.0 && *voter != node.0;
        metrics.membership_config.voter_ids().filter(before).count() as u32
    }
}

/// Tells the route and the remote engine who the members are. Ends with the group.
pub(super) async fn know(group: Shared) {
    let Some(mut metrics) = group.upgrade().map(|group| group.raft.server_metrics()) else { return };
    loop {
        let voters: Vec<NodeId> =
            metrics.borrow_watched().membership_config.voter_ids().map(NodeId).collect();
        let Some(here) = group.upgrade() else { return };
        // Who is no member yet knows none, and asks those it was told of.
        if !voters.is_empty() {
            here.point_to(voters);
        }
        drop(here);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// What is let go behind a group.
pub(super) struct Tending {
    pub(super) raft: Raft<Types, Machine>,
    pub(super) state: Arc<State>,
    pub(super) log: LogStore,
    pub(super) sending: Arc<Sending>,
    /// Octets of the log that are kept for voters that lag.
    pub(super) kept_octets: u64,
}

impl Tending {
    /// Lets openraft purge what the tree's files hold, but for what is kept for voters that lag; the files of what it
    /// purged may go, and the trees that were replaced. Ends with the group.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(limits::RAFT_TEND);
        loop {
            ticks.tick().await;
            self.remove_replaced().await;
            let (store, purged) = (self.state.store(), self.log.held().purged);
            store.keep_log_after(purged.map_or(0, |purged| ours(&purged)));
            let (persisted, _) = store.persisted();
            drop(store);
            let Some(upto) = self.upto(persisted) else { continue };
            if purged.is_some_and(|purged| purged.index >= upto) {
                continue;
            }
            let trigger = self.raft.trigger();
            // The snapshot is but a mark; what it allows may be purged at the next turn.
            if trigger.snapshot().await.and(trigger.purge_log(upto).await).is_err() {
                return;
            }
        }
    }

    async fn remove_replaced(&self) {
        if self.state.replaced.is_empty() {
            return;
        }
        let (state, Ok(pass)) = (self.state.clone(), self.log.enter()) else { return };
        let removed = tokio::task::spawn_blocking(move || {
            let _pass = pass;
            state.replaced.remove_unread();
        });
        if removed.await.is_err() {
            tracing::error!("removing a tree that was replaced panicked");
        }
    }

    /// The last of openraft's indices that may go.
    fn upto(&self, persisted: u64) -> Option<u64> {
        let usual = upto(&self.log, persisted, self.kept_octets)?;
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matching = |node| Some(metrics.replication.as_ref()?.get(&node)?.as_ref()?.index);
        let held = self.sending.upto(usual, Instant::now(), matching);
        let most = self.kept_octets.saturating_mul(limits::RAFT_LOG_HELD_TIMES);
        Some(upto(&self.log, persisted, most).map_or(held, |least| held.max(least)))
    }
}

/// The last of openraft's indices that may go: whole files that the tree does not need, before the last octets.
fn upto(log: &LogStore, persisted: u64, kept_octets: u64) -> Option<u64> {
    let mut octets = 0;
    let segments = log.log().segments();
    let mut kept = segments.iter().rev().skip_while(|segment| {
        octets += segment.octets;
        octets < kept_octets
    });
    let last_gone = kept.next()?.first_index.checked_sub(1)?;
    last_gone.min(persisted).checked_sub(1)
}
