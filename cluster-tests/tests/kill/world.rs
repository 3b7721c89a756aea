//! What all clients share: where the server is, whether it is up, how often it was killed, and how far all
//! have come together.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::Instant;

use sterna_cluster_tests::host::PATIENCE;
use sterna_cluster_tests::sterna::{Service, Sterna};
use sterna_cluster_tests::wire::Wire;

use super::ledger::Ledger;

/// Whether clients may expect an answer.
#[derive(Debug, Clone, Copy)]
struct State {
    up: bool,
    kills: u64,
}

/// What all clients share.
pub(super) struct World {
    pub(super) ledger: Ledger,
    pub(super) seed: u64,
    ports: [(Service, u16); 3],
    authority: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    // What clients have sent and received, counted; the moments of kills are named by it.
    steps: AtomicU64,
    due: AtomicU64,
    reaper: Thread,
    ending: AtomicBool,
    failed: AtomicBool,
}

impl World {
    /// Around a server that is ready; the calling thread is the one that kills.
    pub(super) fn new(server: &Sterna, seed: u64) -> Self {
        let services = [Service::Mx, Service::Submissions, Service::Imap];
        Self {
            ledger: Ledger::default(),
            seed,
            ports: services.map(|service| (service, server.port(service))),
            authority: server.authority().to_owned(),
            state: Mutex::new(State { up: true, kills: 0 }),
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

    /// No more kills.
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
    pub(super) fn going_down(&self) {
        let mut state = self.lock();
        *state = State { up: false, kills: state.kills + 1 };
    }

    /// The server is ready again.
    pub(super) fn came_up(&self) {
        self.lock().up = true;
        self.changed.notify_all();
    }

    /// How often the server was killed.
    pub(super) fn kills(&self) -> u64 {
        self.lock().kills
    }

    /// Holds a conversation, and begins it anew each time that the server was killed meanwhile. Any other
    /// failure is the server's.
    pub(super) fn persist(&self, service: Service, mut talk: impl FnMut(&mut Line<'_>) -> io::Result<()>) {
        loop {
            let since = self.wait_until_up();
            let conversation = self.connect(service).and_then(|wire| talk(&mut Line { wire, world: self }));
            let Err(error) = conversation else { return };
            assert!(self.kills() > since, "{service:?} failed although nobody killed the server: {error}");
        }
    }

    fn connect(&self, service: Service) -> io::Result<Wire> {
        let port = self.ports.iter().find(|(known, _)| *known == service).expect("a service of this test").1;
        let wire = Wire::try_connect(port)?;
        if service == Service::Submissions { wire.try_start_tls(&self.authority) } else { Ok(wire) }
    }

    // Gives the number of kills until then.
    fn wait_until_up(&self) -> u64 {
        let down = |state: &mut State| !state.up && !self.failed.load(Ordering::SeqCst);
        let state = self.changed.wait_while(self.lock(), down).expect(POISONED);
        self.check();
        state.kills
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

    /// So many octets.
    pub(super) fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.wire.try_octets(count)
    }
}
