//! What fails, and what was asked. Chances are drawn from a seed, which a failed test prints.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sterna_storage::bodies::RequestKind;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 503 with the code SlowDown; nothing is done.
    SlowDown,
    /// 500 with the code InternalError; nothing is done.
    InternalError,
    /// No answer, and nothing is done.
    Silence,
    /// The connection is reset; nothing is done.
    Reset,
    /// It is done, and half of the answer comes. An answer without a body is lost whole.
    Torn,
    /// It is done, and the answer comes late.
    Slow(Duration),
    /// It is done, and the connection is reset before the answer.
    LostAnswer,
}

impl Fault {
    /// All kinds; slow is a tenth of a second.
    pub const ALL: [Self; 7] = [
        Self::SlowDown,
        Self::InternalError,
        Self::Silence,
        Self::Reset,
        Self::Torn,
        Self::Slow(Duration::from_millis(100)),
        Self::LostAnswer,
    ];

    /// What a service in trouble does, silence apart, which takes a request's whole time.
    pub fn storm(slow: Duration) -> [Self; 6] {
        [Self::SlowDown, Self::InternalError, Self::Reset, Self::Torn, Self::LostAnswer, Self::Slow(slow)]
    }
}

/// What the server does otherwise than asked. All calls may come while it runs.
#[derive(Debug, Default)]
pub struct Plan {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_away: bool,
    ignores_conditions: bool,
    next: VecDeque<(RequestKind, Fault)>,
    chance: Option<(StdRng, f64, Vec<Fault>)>,
    asked: BTreeMap<RequestKind, u64>,
    failed: u64,
}

impl Plan {
    /// The next request of the kind that no earlier call claims meets the fault.
    pub fn next(&self, kind: RequestKind, fault: Fault) {
        self.state.lock().next.push_back((kind, fault));
    }

    /// How many of the planned faults were not met yet.
    pub fn left(&self) -> usize {
        self.state.lock().next.len()
    }

    /// From now on a request meets one of the faults with this probability.
    pub fn chance(&self, seed: u64, probability: f64, faults: &[Fault]) {
        self.state.lock().chance = Some((StdRng::seed_from_u64(seed), probability, faults.to_vec()));
    }

    /// Nothing fails any more.
    pub fn calm(&self) {
        let mut state = self.state.lock();
        (state.is_away, state.chance) = (false, None);
        state.next.clear();
    }

    /// Whether the server is away altogether: every connection is reset.
    pub fn set_away(&self, away: bool) {
        self.state.lock().is_away = away;
    }

    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.state.lock().is_away
    }

    /// From now on create-only writes overwrite, as Garage's do.
    pub fn ignore_conditions(&self) {
        self.state.lock().ignores_conditions = true;
    }

    pub(super) fn ignores_conditions(&self) -> bool {
        self.state.lock().ignores_conditions
    }

    /// Requests of the kind so far, failed ones too; not those that came while it was away.
    pub fn asked(&self, kind: RequestKind) -> u64 {
        self.state.lock().asked.get(&kind).copied().unwrap_or(0)
    }

    /// Requests that met a fault so far.
    pub fn failed(&self) -> u64 {
        self.state.lock().failed
    }

    /// Counts a request, and tells what becomes of it.
    pub(super) fn meet(&self, kind: RequestKind) -> Option<Fault> {
        let mut state = self.state.lock();
        if state.is_away {
            return Some(Fault::Reset);
        }
        *state.asked.entry(kind).or_default() += 1;
        let fault = match state.next.iter().position(|(of, _)| *of == kind) {
            Some(at) => state.next.remove(at).map(|(_, fault)| fault),
            None => state.drawn(),
        };
        state.failed += u64::from(fault.is_some());
        fault
    }
}

impl State {
    /// What chance brings.
    fn drawn(&mut self) -> Option<Fault> {
        let (dice, probability, faults) = self.chance.as_mut()?;
        dice.random_bool(*probability).then(|| faults[dice.random_range(0..faults.len())])
    }
}
