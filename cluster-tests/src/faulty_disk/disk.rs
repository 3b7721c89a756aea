//! What a test holds in its hand: a mounted disk, on which one program after the other runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;

use fuser::{BackgroundSession, Errno, FileAttr, FileType, MountOption};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};

use super::mount::Server;
use super::plan::{Action, Failure, Plan};
use super::volume::{Number, Volume};

/// A disk of its own, mounted at a folder of its own for as long as it lives.
pub struct Disk {
    state: Arc<Mutex<State>>,
    folder: tempfile::TempDir,
    session: Option<BackgroundSession>,
}

/// What happened on a disk since it was asked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each action was asked for.
    pub actions: BTreeMap<Action, u64>,
    /// Files made, by the name of their folder.
    pub made: BTreeMap<String, u64>,
    /// Files and folders removed, by the name of their folder.
    pub removed: BTreeMap<String, u64>,
}

/// The disk while a program runs on it.
pub(super) struct State {
    volume: Volume,
    plan: Plan,
    random: StdRng,
    /// Actions since the plan was made.
    actions: u64,
    /// Of them those that the fault counts.
    counted: u64,
    /// The first one that failed.
    failed: Option<Action>,
    victim: Option<Pid>,
    has_power: bool,
    tally: Tally,
    /// Names of folders, for the tally.
    folders: BTreeMap<Number, OsString>,
}

impl Disk {
    /// An empty one; an error where mounting is not allowed.
    pub fn mount() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = Arc::new(Mutex::new(State::new()));
        let mut config = fuser::Config::default();
        config.mount_options = vec![MountOption::FSName("sterna-faulty-disk".into()), MountOption::NoAtime];
        let session = fuser::spawn_mount(Server(state.clone()), folder.path(), &config)?;
        Ok(Self { state, folder, session: Some(session) })
    }

    /// Where it is mounted. Only what is run on it may look there: a test that did would wait for itself.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Empties it. Nothing may run on it.
    pub fn format(&self) {
        let mut state = self.state.lock();
        state.volume.format();
        state.folders.clear();
    }

    /// Starts a program that things shall happen to; when the power goes it is killed before it hears of it.
    pub fn start(&self, plan: Plan, start: impl FnOnce(&Path) -> io::Result<Child>) -> io::Result<Child> {
        // What the program asks for waits until its number is known.
        let mut state = self.state.lock();
        let child = start(self.path())?;
        state.begin(plan, Pid::from_child(&child));
        Ok(child)
    }

    /// Another capacity from now on, while a program runs.
    pub fn set_capacity(&self, octets: Option<u64>) {
        self.state.lock().volume.capacity = octets;
    }

    /// Octets of all files.
    pub fn used(&self) -> u64 {
        self.state.lock().volume.used()
    }

    /// Whether the planned cut has come.
    pub fn is_cut(&self) -> bool {
        !self.state.lock().has_power
    }

    /// Actions since the program was started.
    pub fn actions(&self) -> u64 {
        self.state.lock().actions
    }

    /// What failed as planned, if the fault has come.
    pub fn failed(&self) -> Option<Action> {
        self.state.lock().failed
    }

    /// The program is over, and the machine loses its power.
    pub fn lose_power(&self) {
        let mut state = self.state.lock();
        let State { volume, random, .. } = &mut *state;
        volume.lose_power(random);
        state.end();
    }

    /// The program is over, and the machine goes on.
    pub fn keep_power(&self) {
        let mut state = self.state.lock();
        state.volume.keep_all();
        state.end();
    }

    /// What happened since it was asked last.
    pub fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.state.lock().tally)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // What still runs on it keeps it mounted; the test has failed then, and has said why.
            let _ = session.umount_and_join();
        }
    }
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        let both = [(&mut self.made, &other.made), (&mut self.removed, &other.removed)];
        for (mine, others) in both {
            others.iter().for_each(|(folder, count)| *mine.entry(folder.clone()).or_default() += count);
        }
        other.actions.iter().for_each(|(action, count)| *self.actions.entry(*action).or_default() += count);
    }
}

impl State {
    fn new() -> Self {
        Self {
            volume: Volume::new(),
            plan: Plan::default(),
            random: StdRng::seed_from_u64(0),
            actions: 0,
            counted: 0,
            failed: None,
            victim: None,
            has_power: true,
            tally: Tally::default(),
            folders: BTreeMap::new(),
        }
    }

    pub(super) fn volume(&self) -> &Volume {
        &self.volume
    }

    fn begin(&mut self, plan: Plan, victim: Pid) {
        self.random = StdRng::seed_from_u64(plan.seed);
        self.volume.capacity = plan.capacity;
        (self.plan, self.victim) = (plan, Some(victim));
        (self.actions, self.counted, self.failed, self.has_power) = (0, 0, None, true);
    }

    fn end(&mut self) {
        (self.victim, self.has_power, self.plan) = (None, true, Plan::default());
    }

    pub(super) fn check_power(&self) -> Result<(), Errno> {
        if self.has_power { Ok(()) } else { Err(Errno::EIO) }
    }

    /// Carries an action out, or not, as planned.
    pub(super) fn act<T>(
        &mut self,
        action: Action,
        body: impl FnOnce(&mut Volume, Option<Failure>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.check_power()?;
        self.actions += 1;
        *self.tally.actions.entry(action).or_default() += 1;
        if self.plan.cut_at == Some(self.actions) {
            if self.random.random_bool(0.5) {
                // Nobody hears of it.
                let _ = body(&mut self.volume, None);
            }
            self.cut();
            return Err(Errno::EIO);
        }
        let failure = self.failure_of(action);
        body(&mut self.volume, failure)
    }

    /// The victim is killed before it is answered: it never runs again, so it cannot tell what it was answered.
    fn cut(&mut self) {
        self.has_power = false;
        if let Some(victim) = self.victim {
            // It may have ended by itself, but its number is taken until the test has waited for it.
            let _ = kill_process(victim, Signal::KILL);
        }
    }

    fn failure_of(&mut self, action: Action) -> Option<Failure> {
        let fault = self.plan.fault.as_ref().filter(|fault| fault.actions.contains(&action))?;
        self.counted += 1;
        let failure = match fault.failure {
            _ if self.counted < fault.at || self.counted - fault.at >= fault.times => return None,
            Failure::Short(error) if self.counted > fault.at => Failure::Error(error),
            failure => failure,
        };
        self.failed.get_or_insert(action);
        Some(failure)
    }

    pub(super) fn note_made(&mut self, folder: Number, name: &OsStr, made: &FileAttr) {
        if made.kind == FileType::Directory {
            self.folders.insert(made.ino.0, name.to_owned());
        } else {
            *self.tally.made.entry(self.folder_name(folder)).or_default() += 1;
        }
    }

    pub(super) fn note_removed(&mut self, folder: Number) {
        *self.tally.removed.entry(self.folder_name(folder)).or_default() += 1;
    }

    fn folder_name(&self, folder: Number) -> String {
        self.folders.get(&folder).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
