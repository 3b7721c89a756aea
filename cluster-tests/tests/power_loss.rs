//! The power goes while the stores write, again and again, on a disk that forgets what was not synced
//! (`sterna_cluster_tests::faulty_disk`): they open every time, all that was acknowledged is there, and nothing is there
//! in part.
//!
//! A seed is several lives of one data folder. `STERNA_POWER_LOSS_SEEDS` says how many seeds there are,
//! `STERNA_POWER_LOSS_FIRST` which one is first: a failure prints what runs it again. What the threads of the program
//! do at the same time is theirs, so that a seed may have to be run several times.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::faulty_disk::{Disk, Plan, Tally};
use sterna_cluster_tests::victim::{self, Ledger, Task};

use crate::disks::{disks, on_each, victim};

/// Seeds that CI runs.
const SEEDS: u64 = 1000;
/// Lives of a seed that end early; then it is opened once more.
const LIVES: u64 = 4;
/// Of so many seeds one has a mail store with bodies; the others have bare keys.
const MAIL_EVERY: u64 = 4;

/// What one data folder has been through, and what it owes.
struct History<'a> {
    disk: &'a Disk,
    seed: u64,
    random: StdRng,
    lies: bool,
    ledger: Ledger,
    tally: Figures,
}

/// What a run went through.
#[derive(Default)]
struct Figures {
    lives: u64,
    cuts: u64,
    commits: u64,
    disk: Tally,
}

impl<'a> History<'a> {
    fn new(disk: &'a Disk, seed: u64, lies: bool) -> Self {
        disk.format();
        let (random, ledger) = (StdRng::seed_from_u64(seed), Ledger::default());
        Self { disk, seed, random, lies, ledger, tally: Figures::default() }
    }

    /// All lives; an error says in which one something was wrong, and what.
    fn run(mut self) -> Result<Figures, String> {
        for life in 0..=LIVES {
            self.live(life).map_err(|error| format!("life {life}: {error}"))?;
        }
        self.tally.disk = self.disk.take_tally();
        Ok(self.tally)
    }

    fn live(&mut self, life: u64) -> Result<(), String> {
        let is_last = life == LIVES;
        // Some cuts come while the stores are opened, some after all was done; most come between.
        let cut_at = match self.random.random_range(0..10) {
            _ if is_last => None,
            0..=1 => Some(self.random.random_range(1..40)),
            2 => None,
            _ => Some(self.random.random_range(20..700)),
        };
        let commits = if is_last { 0 } else { self.random.random_range(20..160) };
        let plan = Plan { cut_at, seed: self.random.random(), ..Plan::default() };
        let has_mail = self.seed.is_multiple_of(MAIL_EVERY);
        let task = Task { binary: victim(), seed: self.seed, life, has_mail, commits, lies: self.lies };
        let told = victim::run(self.disk, plan, task).map_err(|error| error.to_string())?;
        let is_cut = self.disk.is_cut();
        // Some are only killed, and the power goes later.
        if self.random.random_bool(0.8) {
            self.disk.lose_power();
        } else {
            self.disk.keep_power();
        }
        self.tally.lives += 1;
        self.tally.cuts += u64::from(is_cut);
        self.tally.commits += told.acknowledged.len() as u64;
        if !told.failed.is_empty()
            || told.refused.is_some()
            || !(is_cut || told.is_done && told.status.success())
        {
            return Err(format!("{:?}, {:?}, {}: {}", told.refused, told.failed, told.status, told.log));
        }
        self.ledger.settle(told)
    }
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.cuts += other.cuts;
        self.commits += other.commits;
        self.disk.add(&other.disk);
    }
}

/// Runs seeds on several disks, and tells what each one came to as soon as it is known. False where there are no disks.
fn run_seeds(
    seeds: std::ops::Range<u64>,
    lies: bool,
    told: impl Fn(u64, Result<Figures, String>) + Sync,
) -> bool {
    let disks = disks();
    on_each(&disks, seeds, |disk, seed| told(seed, History::new(disk, seed, lies).run()));
    !disks.is_empty()
}

/// The test itself is put to the test.
#[test]
fn a_program_that_acknowledges_before_it_has_synced_is_caught() {
    let (seeds, caught) = (MAIL_EVERY + 1..2 * MAIL_EVERY, AtomicU64::new(0));
    let told = |_, outcome: Result<Figures, String>| {
        let is_caught = outcome.is_err_and(|error| error.contains("lost: "));
        caught.fetch_add(u64::from(is_caught), Ordering::Relaxed);
    };
    if run_seeds(seeds, true, told) {
        assert!(caught.into_inner() > 0, "what was lost was not missed");
    }
}

#[test]
fn power_losses_lose_nothing_that_was_acknowledged() {
    let first = setting("STERNA_POWER_LOSS_FIRST").unwrap_or(0);
    let seeds = setting("STERNA_POWER_LOSS_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let (figures, failures) = (Mutex::new(Figures::default()), Mutex::new(Vec::new()));
    run_seeds(first..first + seeds, false, |seed, outcome| match outcome {
        Ok(one) => figures.lock().expect("no other panicked").add(&one),
        Err(error) => {
            let line = format!("STERNA_POWER_LOSS_FIRST={seed} STERNA_POWER_LOSS_SEEDS=1: {error}");
            failures.lock().expect("no other panicked").push(line);
        }
    });
    let failures = failures.into_inner().expect("no other panicked");
    let Figures { lives, cuts, commits, disk, .. } = figures.into_inner().expect("no other panicked");
    tell(&format!(
        "{seeds} seeds, {lives} lives, {cuts} cuts, {commits} commits acknowledged, {} s; files made {:?}, removed {:?}; {:?}",
        begun.elapsed().as_secs(),
        disk.made,
        disk.removed,
        disk.actions,
    ));
    assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
}
