//! Finding who answers: the leader, which moves, or any voter. Questions are put again within the caller's patience; a
//! commit only where the one before cannot have happened.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::call::{Answer, Call};
use super::exchange::Exchange;
use super::group::Group;
use super::transport::{CallError, NodeId, Patience};
use crate::{Error, Result, limits};

/// For how long a voter that failed is asked after all others.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(3);

/// The way to a group's voters.
pub(super) struct Route {
    pub(super) exchange: Arc<Exchange>,
    /// This node's own voter, if it has one.
    pub(super) here: OnceLock<Weak<Group>>,
    known: Mutex<Known>,
}

/// What calls before have shown.
#[derive(Default)]
struct Known {
    voters: Vec<NodeId>,
    leader: Option<NodeId>,
    /// Of those of whom any may answer, the one that did last.
    answered: Option<NodeId>,
    failed: HashMap<NodeId, Instant>,
}

impl Known {
    fn has_failed(&self, node: NodeId) -> bool {
        self.failed.get(&node).is_some_and(|at| at.elapsed() < FAILURE_REMEMBERED)
    }

    fn has_answered(&mut self, node: NodeId, is_leader_meant: bool) {
        self.failed.remove(&node);
        *(if is_leader_meant { &mut self.leader } else { &mut self.answered }) = Some(node);
    }

    fn has_no_answer(&mut self, node: NodeId) {
        self.failed.insert(node, Instant::now());
        self.leader = self.leader.filter(|leader| *leader != node);
        self.answered = self.answered.filter(|answered| *answered != node);
    }

    /// The next voter of this round, which asks each once: those that failed lately are the last.
    fn next(&self, node: NodeId, asked: &mut Vec<NodeId>) -> Option<NodeId> {
        let voters = &self.voters;
        let begin = node.0 as usize % voters.len().max(1);
        let in_turn = || voters.iter().cycle().skip(begin).take(voters.len()).copied();
        if in_turn().all(|voter| asked.contains(&voter)) {
            asked.clear();
        }
        let left = in_turn().filter(|voter| !asked.contains(voter));
        left.min_by_key(|voter| self.has_failed(*voter))
    }
}

/// What may be done where an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Always,
    /// Only where it was not handed over.
    IfNotSent,
}

impl Route {
    /// To these voters, until others are told.
    pub(super) fn new(exchange: Arc<Exchange>, voters: Vec<NodeId>) -> Self {
        let known = Known { voters, ..Known::default() };
        Self { exchange, here: OnceLock::new(), known: Mutex::new(known) }
    }

    pub(super) fn set_voters(&self, voters: Vec<NodeId>) {
        let mut known = self.known.lock();
        known.failed.retain(|node, _| voters.contains(node));
        known.voters = voters;
    }

    pub(super) fn knows_voters(&self) -> bool {
        !self.known.lock().voters.is_empty()
    }

    /// Asks the leader.
    pub(super) async fn leader(&self, call: &Call, patience: Duration) -> Result<Answer> {
        self.ask_until(call, patience, self.supposed_leader(), true).await
    }

    /// Asks any voter, the same one as long as it answers.
    pub(super) async fn any(&self, call: &Call, patience: Duration) -> Result<Answer> {
        let first = {
            let known = self.known.lock();
            known.answered.filter(|node| known.voters.contains(node) && !known.has_failed(*node))
        };
        self.ask_until(call, patience, first, false).await
    }

    /// Whom this node's voter takes for the leader, else who led last; nobody who failed lately.
    fn supposed_leader(&self) -> Option<NodeId> {
        let here = self.here.get().and_then(Weak::upgrade).filter(|group| group.is_serving());
        let here = here.and_then(|group| group.current_leader());
        let known = self.known.lock();
        here.into_iter().chain(known.leader).find(|node| !known.has_failed(*node))
    }

    async fn ask_until(
        &self,
        call: &Call,
        patience: Duration,
        first: Option<NodeId>,
        is_leader_meant: bool,
    ) -> Result<Answer> {
        let repeat = match call {
            Call::Commit(_) | Call::Manage(_) => Repeat::IfNotSent,
            _ => Repeat::Always,
        };
        let deadline = Instant::now() + patience;
        let (mut next, mut asked) = (first, Vec::new());
        let mut trouble = String::from("no voter is known");
        for turn in 0.. {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Some(to) = next.take().or_else(|| self.voter(turn, &mut asked, is_leader_meant)) else {
                tokio::time::sleep(left.min(pause(turn))).await;
                continue;
            };
            asked.push(to);
            match self.ask(to, call, wait(call, repeat, left)).await {
                Ok(Answer::NotLeader(hint)) => {
                    trouble = format!("node {to} does not lead");
                    next = self.redirected(to, hint.map(NodeId));
                    if next.is_some() && turn % 4 != 3 {
                        continue;
                    }
                }
                // Of a commit too: whoever says so has not handed it to the log. A change of members may have begun.
                Ok(Answer::Failed(Error::Unavailable(text))) if !matches!(call, Call::Manage(_)) => {
                    trouble = text.into_owned();
                    self.known.lock().has_no_answer(to);
                }
                Ok(Answer::Failed(error)) => return Err(error),
                Ok(Answer::Stranger(())) => {
                    trouble = format!("node {to} is no member");
                    self.known.lock().has_no_answer(to);
                }
                Ok(answer) => {
                    self.known.lock().has_answered(to, is_leader_meant);
                    return Ok(answer);
                }
                Err(error) => {
                    self.known.lock().has_no_answer(to);
                    if repeat == Repeat::IfNotSent && matches!(error, CallError::Lost(..)) {
                        return Err(Error::CommitUnknown);
                    }
                    trouble = error.to_string();
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(pause(turn))).await;
        }
        Err(Error::Unavailable(format!("group {}: {trouble}", self.exchange.group).into()))
    }

    /// Notes what a voter says that does not lead: who does. Nobody, where that one failed lately.
    fn redirected(&self, from: NodeId, hint: Option<NodeId>) -> Option<NodeId> {
        let mut known = self.known.lock();
        known.failed.remove(&from);
        known.leader = hint.filter(|hint| *hint != from && !known.has_failed(*hint));
        known.leader
    }

    async fn ask(&self, to: NodeId, call: &Call, patience: Patience) -> Result<Answer, CallError> {
        let here = self.here.get().and_then(Weak::upgrade).filter(|_| to == self.exchange.node);
        match here {
            Some(group) => {
                let answered = tokio::time::timeout(patience.answer, group.answer_here(call.clone())).await;
                answered.map_err(|_| CallError::Lost(to, "it does not answer".into()))
            }
            None => self.exchange.ask((to, 0), call, patience).await,
        }
    }

    /// The next to be asked. What this node's voter takes for the leader may be long gone.
    fn voter(&self, turn: usize, asked: &mut Vec<NodeId>, is_leader_meant: bool) -> Option<NodeId> {
        let leader = self.supposed_leader().filter(|_| is_leader_meant && turn.is_multiple_of(2));
        leader.or_else(|| self.known.lock().next(self.exchange.node, asked))
    }
}

/// How long one node is waited for. What may be asked but once is sent within the time of a call, or another is asked;
/// its answer is waited for to the end.
fn wait(call: &Call, repeat: Repeat, left: Duration) -> Patience {
    match (repeat, call) {
        (Repeat::IfNotSent, _) => Patience { sending: left.min(limits::CALL_PATIENCE), answer: left },
        (Repeat::Always, Call::Watch(_)) => left.min(limits::WATCH_HELD + limits::CALL_PATIENCE).into(),
        (Repeat::Always, _) => left.min(limits::CALL_PATIENCE).into(),
    }
}

/// Before the next attempt: jittered, so that not all come back at once.
fn pause(turn: usize) -> Duration {
    let longest = Duration::from_millis(10 << turn.min(4));
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
