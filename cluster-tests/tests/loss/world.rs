//! What all clients share: where the servers are, what befalls them, how long clients had to wait for it, and how far
//! all have come together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use std::{fmt, io};

use sterna_cluster_tests::host::PATIENCE;
use sterna_cluster_tests::sterna::{Service, Sterna};
use sterna_cluster_tests::wire::Wire;

use super::ledger::Ledger;

/// What befalls the servers.
#[derive(Debug, Default)]
struct State {
    /// What is going on; in between clients may expect an answer.
    ongoing: Option<&'static str>,
    /// The last fault of all, and when it ended.
    last: Option<(&'static str, Instant)>,
    faults: u64,
    /// The longest that a client waited for a yes while so befell, told by kind.
    waits: BTreeMap<&'static str, Duration>,
    /// Temporary refusals, told by kind.
    refusals: BTreeMap<&'static str, u64>,
}

/// One server, as clients know it.
#[derive(Debug)]
struct Node {
    ports: [(Service, u16); 3],
    authority: PathBuf,
}

/// A server said that it cannot do it now.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "refused for now: {}", self.0)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What a conversation ends with.
    pub(super) fn error(said: &str) -> io::Error {
        io::Error::other(Self(said.to_owned()))
    }
}

/// What a client does while something is wrong with the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It tries the next one at once.
    Hasty,
    /// It waits until nothing is wrong any more: it must know whether a command without an answer was done.
    Patient,
}

/// What all clients share.
pub(super) struct World {
    pub(super) ledger: Ledger,
    pub(super) seed: u64,
    nodes: Vec<Node>,
    state: Mutex<State>,
    changed: Condvar,
    // What clients have sent and received, counted; the moments of faults are named by it.
    steps: AtomicU64,
    due: AtomicU64,
    reaper: Thread,
    ending: AtomicBool,
    failed: AtomicBool,
}

impl World {
    /// Around servers that are ready; the calling thread is the one that kills.
    pub(super) fn new<'s>(servers: impl IntoIterator<Item = &'s Sterna>, seed: u64) -> Self {
        let services = [Service::Mx, Service::Submissions, Service::Imap];
        let node = |server: &Sterna| Node {
            ports: services.map(|service| (service, server.port(service))),
            authority: server.authority().to_owned(),
        };
        Self {
            ledger: Ledger::default(),
            seed,
            nodes: servers.into_iter().map(node).collect(),
            state: Mutex::default(),
            changed: Condvar::new(),
            steps: AtomicU64::new(0),
            due: AtomicU64::new(u64::MAX),
            reaper: thread::current(),
            ending: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Whether clients finish what they have in hand and stop.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// No more faults.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// All steps of all clients so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    /// Returns in the middle of the clients' next so many steps' last one.
    pub(super) fn after_steps(&self, count: u64) {
        let due = self.steps() + count;
        self.due.store(due, Ordering::SeqCst);
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            self.check();
            let steps = self.steps();
            if steps >= due {
                return;
            }
            if steps > seen {
                (seen, moved) = (steps, Instant::now());
            }
            assert!(
                moved.elapsed() < PATIENCE,
                "no client came one step further, {steps} steps from the start"
            );
            thread::park_timeout(PATIENCE);
        }
    }

    /// From here on answers may fail to come.
    pub(super) fn befalls(&self, fault: &'static str) {
        let mut state = self.lock();
        state.faults += 1;
        state.ongoing = Some(fault);
    }

    /// The servers are ready again.
    pub(super) fn recovered(&self) {
        let mut state = self.lock();
        state.last = state.ongoing.take().map(|fault| (fault, Instant::now()));
        self.changed.notify_all();
    }

    /// A client who wanted something since then was told yes.
    pub(super) fn granted(&self, since: Instant) {
        let mut state = self.lock();
        let last = state.last.filter(|(_, end)| *end >= since).map(|(fault, _)| fault);
        let fault = state.ongoing.or(last).unwrap_or(NOTHING);
        let wait = state.waits.entry(fault).or_default();
        *wait = since.elapsed().max(*wait);
    }

    /// The longest waits, and the refusals, by what befell the servers then.
    pub(super) fn told(&self) -> (BTreeMap<&'static str, Duration>, BTreeMap<&'static str, u64>) {
        let state = self.lock();
        (state.waits.clone(), state.refusals.clone())
    }

    /// Holds a conversation with one of several servers, `first` before others, and begins it anew each time that a fault
    /// ended it or, of several, one refused for now. Any other failure is the servers'.
    pub(super) fn persist(
        &self,
        service: Service,
        first: usize,
        manner: Manner,
        mut talk: impl FnMut(&mut Line<'_>) -> io::Result<()>,
    ) {
        let mut at = first;
        loop {
            let (was_wrong, since) = self.look_around(manner);
            let conversation =
                self.connect(service, at).and_then(|wire| talk(&mut Line { wire, world: self }));
            let Err(error) = conversation else { return };
            at += 1;
            if self.nodes.len() > 1 && error.get_ref().is_some_and(|error| error.is::<Refusal>()) {
                let mut state = self.lock();
                let fault = state.ongoing.unwrap_or(NOTHING);
                *state.refusals.entry(fault).or_default() += 1;
            } else {
                let is_owed = !was_wrong && self.lock().faults == since;
                assert!(!is_owed, "{service:?} failed although nothing befell the servers: {error}");
            }
            if at % self.nodes.len() == first % self.nodes.len() {
                thread::park_timeout(BREATH);
            }
        }
    }

    fn connect(&self, service: Service, at: usize) -> io::Result<Wire> {
        let node = &self.nodes[at % self.nodes.len()];
        let port = node.ports.iter().find(|(known, _)| *known == service).expect("a service of this test").1;
        let wire = Wire::try_connect(port)?;
        wire.set_patience(LONGEST)?;
        if service == Service::Submissions { wire.try_start_tls(&node.authority) } else { Ok(wire) }
    }

    /// Whether something is wrong, and how much was so far.
    fn look_around(&self, manner: Manner) -> (bool, u64) {
        let waits = manner == Manner::Patient || self.nodes.len() == 1;
        let wrong =
            |state: &mut State| waits && state.ongoing.is_some() && !self.failed.load(Ordering::SeqCst);
        let state = self.changed.wait_while(self.lock(), wrong).expect(POISONED);
        self.check();
        (state.ongoing.is_some(), state.faults)
    }

    fn check(&self) {
        assert!(!self.failed.load(Ordering::SeqCst), "ends because another client failed");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }

    fn step(&self) {
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.due.load(Ordering::SeqCst) {
            self.reaper.unpark();
        }
    }
}

/// What befalls the servers when nothing does.
const NOTHING: &str = "nothing";
/// The longest that a client waits for an answer: a server may be paused for a minute.
const LONGEST: Duration = Duration::from_secs(150);
/// Between two rounds of a client that no server serves.
const BREATH: Duration = Duration::from_millis(50);
const POISONED: &str = "nobody panics while holding the state";

/// Ends all others if its thread panics.
pub(super) struct Alarm<'w>(pub(super) &'w World);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::SeqCst);
            self.0.end();
            self.0.changed.notify_all();
            self.0.reaper.unpark();
        }
    }
}

/// One connection, whose steps are counted.
pub(super) struct Line<'w> {
    wire: Wire,
    pub(super) world: &'w World,
}

impl Line<'_> {
    /// Sends octets as they are.
    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.world.step();
        self.wire.try_send(octets)
    }

    /// The next line.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let line = self.wire.try_line()?;
        self.world.step();
        Ok(line)
    }

    /// The next line, if it comes within so long.
    pub(super) fn line_within(&mut self, patience: Duration) -> io::Result<Option<String>> {
        self.wire.set_patience(patience)?;
        let line = match self.wire.try_line() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            line => Some(line?),
        };
        self.wire.set_patience(LONGEST)?;
        self.world.step();
        Ok(line)
    }

    /// So many octets.
    pub(super) fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.wire.try_octets(count)
    }
}
