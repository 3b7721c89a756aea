//! Every write, every sync, everything that a fixed piece of work asks of its disk fails once: the disk is full, it
//! reports an error, it takes half of what it is given. The work goes on, or the program ends by itself; afterwards the
//! power goes or stays, and all that was acknowledged is there, and every account of it agrees
//! (`sterna_cluster_tests::faulty_disk`, `power-loss-victim`).
//!
//! The program makes what failed again until it succeeds, so where it ends its work it has recovered without a restart.
//!
//! `STERNA_DISK_FAULTS` says how many faults of each kind and workload are tried, spread over the work (a large number: each
//! action in its turn), `STERNA_DISK_FAULT_AT` tries a single one: a failure prints what runs it again. What the threads of
//! the program do at the same time is theirs, so that a fault may have to be tried several times.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fuser::Errno;
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::faulty_disk::{Action, Disk, Failure, Fault, Plan};
use sterna_cluster_tests::victim::{self, Ledger, Task, Told};

use crate::disks::{disks, on_each, spread, victim};

/// Faults of each kind and workload that CI tries.
const FAULTS: u64 = 24;
/// SIGABRT.
const ABORTED: i32 = 6;

/// A fixed piece of work, with the smallest memtables and log files: some flushes, a compaction, several files of the log.
#[derive(Debug, Clone, Copy)]
struct Work {
    seed: u64,
    has_mail: bool,
    commits: u64,
}

const SMALL_VALUES: Work = Work { seed: 32, has_mail: false, commits: 40 };
const VALUES_IN_THE_LOG: Work = Work { seed: 16, has_mail: false, commits: 40 };
const MAIL: Work = Work { seed: 64, has_mail: true, commits: 16 };

/// What fails, how often in a row, and which actions it befalls.
#[derive(Clone)]
struct Kind {
    failure: Failure,
    times: u64,
    actions: BTreeSet<Action>,
}

impl Kind {
    fn new(failure: Failure, times: u64, actions: &[Action]) -> Self {
        Self { failure, times, actions: actions.iter().copied().collect() }
    }

    /// Whether an error tells whose fault it is, and that it passes.
    fn is_told_by(&self, text: &str) -> bool {
        let (Failure::Error(error) | Failure::Short(error)) = self.failure;
        let is_full = text.contains("Full(") || text.contains("no room left");
        let is_away = text.contains("Unavailable(") || text.contains("unavailable");
        if error == Errno::ENOSPC { is_full } else { is_away }
    }
}

/// One data folder that a fault befalls, and what it owes.
struct Trial<'a> {
    disk: &'a Disk,
    work: Work,
    ledger: Ledger,
}

impl<'a> Trial<'a> {
    fn new(disk: &'a Disk, work: Work) -> Self {
        disk.format();
        Self { disk, work, ledger: Ledger::default() }
    }

    fn live(&self, life: u64, commits: u64, fault: Option<Fault>) -> Result<Told, String> {
        let Work { seed, has_mail, .. } = self.work;
        let plan = Plan { fault, seed, ..Plan::default() };
        let task = Task { binary: victim(), seed, life, has_mail, commits, lies: false };
        victim::run(self.disk, plan, task).map_err(|error| error.to_string())
    }

    /// The work under a fault, then some work without, then only a look; tells what failed.
    fn bear(mut self, kind: &Kind, at: u64) -> Result<Option<Action>, String> {
        let Kind { failure, times, actions } = kind.clone();
        let told = self.live(0, self.work.commits, Some(Fault { actions, at, times, failure }))?;
        let failed = self.disk.failed();
        let is_sync = matches!(failed, Some(Action::Sync | Action::SyncFolder));
        let has_ended = is_sync && told.status.signal() == Some(ABORTED);
        let is_refused = failed.is_some() && told.refused.is_some();
        let said =
            format!("{failed:?}, {}: {:?}, {:?}: {}", told.status, told.refused, told.failed, told.log);
        if !(told.is_done && told.status.success() || has_ended || is_refused) {
            return Err(format!("it did not go on: {said}"));
        }
        if !told.failed.iter().chain(&told.refused).all(|text| kind.is_told_by(text)) {
            return Err(format!("not told as what it is: {said}"));
        }
        self.ledger.settle(told).map_err(|error| format!("{error}; {said}"))?;
        // After an error that nobody heard of the machine runs on as a rule, and what was not written can be read still.
        if at.is_multiple_of(2) {
            self.disk.keep_power()
        } else {
            self.disk.lose_power()
        }
        for (life, commits) in [(1, self.work.commits / 4), (2, 0)] {
            let told = self.live(life, commits, None)?;
            if !told.is_done || !told.failed.is_empty() {
                let later = format!(
                    "{}, {:?}, {:?}, {:?}, {}",
                    told.status, told.refused, told.failed, told.damage, told.log
                );
                return Err(format!("start {life}: {later}; before: {said}"));
            }
            self.ledger.settle(told).map_err(|error| format!("start {life}: {error}; before: {said}"))?;
            self.disk.lose_power();
        }
        Ok(failed)
    }
}

/// How many such actions the work asks for where none fails.
fn count(disk: &Disk, work: Work, actions: &BTreeSet<Action>) -> u64 {
    disk.take_tally();
    let told = Trial::new(disk, work).live(0, work.commits, None).expect("runs");
    assert!(told.is_done && told.failed.is_empty(), "{:?}: {}", told.failed, told.log);
    disk.keep_power();
    let asked = disk.take_tally().actions;
    actions.iter().filter_map(|action| asked.get(action)).sum()
}

/// The fault befalls one such action after the other.
fn befall(kind: &Kind, work: Work) {
    let disks = disks();
    let Some(first) = disks.first() else { return };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let (count, begun) = (count(first, work, &kind.actions), Instant::now());
    let places =
        spread(setting("STERNA_DISK_FAULTS").unwrap_or(FAULTS), count, setting("STERNA_DISK_FAULT_AT"));
    let faults = places.len();
    let (came, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    on_each(&disks, places.into_iter(), |disk, at| match Trial::new(disk, work).bear(kind, at) {
        Ok(failed) => drop(came.fetch_add(u64::from(failed.is_some()), Ordering::Relaxed)),
        Err(error) => {
            let again = format!("STERNA_DISK_FAULT_AT={at} cargo test -p sterna-cluster-tests -- {test}");
            failures.lock().expect("no other panicked").push(format!("{again}: {error}"));
        }
    });
    let failures = failures.into_inner().expect("no other panicked");
    let (came, seconds) = (came.into_inner(), begun.elapsed().as_secs());
    let said = format!("{test}: {faults} of {count} actions, {came} failed, {seconds} s");
    tell(&said);
    assert!(failures.is_empty(), "{said}; {} were not borne:\n{}", failures.len(), failures.join("\n"));
    assert!(came > 0, "{said}");
}

/// A full disk, which is also told late.
fn full() -> Kind {
    let actions = [Action::Write, Action::Create, Action::Allocate, Action::CreateFolder, Action::Sync];
    Kind::new(Failure::Error(Errno::ENOSPC), 1, &actions)
}

fn error() -> Kind {
    Kind::new(Failure::Error(Errno::EIO), 1, &Action::ALL)
}

/// Half of what is written, then nothing.
fn short(error: Errno) -> Kind {
    Kind::new(Failure::Short(error), 2, &[Action::Write])
}

#[test]
fn a_full_disk_under_small_values() {
    befall(&full(), SMALL_VALUES);
}

#[test]
fn a_full_disk_under_values_in_the_log() {
    befall(&full(), VALUES_IN_THE_LOG);
}

#[test]
fn a_full_disk_under_mail() {
    befall(&full(), MAIL);
}

#[test]
fn an_error_under_small_values() {
    befall(&error(), SMALL_VALUES);
}

#[test]
fn an_error_under_values_in_the_log() {
    befall(&error(), VALUES_IN_THE_LOG);
}

#[test]
fn an_error_under_mail() {
    befall(&error(), MAIL);
}

#[test]
fn a_short_write_under_small_values() {
    befall(&short(Errno::ENOSPC), SMALL_VALUES);
}

#[test]
fn a_short_write_under_values_in_the_log() {
    befall(&short(Errno::EIO), VALUES_IN_THE_LOG);
}

#[test]
fn a_short_write_under_mail() {
    befall(&short(Errno::ENOSPC), MAIL);
}
