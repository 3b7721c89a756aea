//! The program `power-loss-victim` on a faulty disk: what it told, and what is owed to it from then on.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::faulty_disk::{Disk, Plan};

/// What the program is to do.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Decides its settings and all that it writes.
    pub seed: u64,
    /// Which run on the same folder it is.
    pub life: u64,
    /// Whether it has a mail store with bodies, or bare keys.
    pub has_mail: bool,
    /// How many commits it makes.
    pub commits: u64,
    /// Whether it tells of commits before they are made.
    pub lies: bool,
}

/// What it told, and how it ended.
#[derive(Debug, Default)]
pub struct Told {
    /// What was found after opening.
    pub has: BTreeSet<String>,
    /// What was committed.
    pub acknowledged: BTreeSet<String>,
    /// What was to be removed.
    pub dropped: BTreeSet<String>,
    /// What was removed.
    pub gone: BTreeSet<String>,
    /// Attempts that failed, and why.
    pub failed: Vec<String>,
    /// Why the stores could not be opened: a device's trouble.
    pub refused: Option<String>,
    /// What was found is not what was written.
    pub damage: Vec<String>,
    /// Whether all that was found has been told.
    pub is_ready: bool,
    /// Whether it has done its share.
    pub is_done: bool,
    /// How it ended.
    pub status: ExitStatus,
    /// What it said to nobody in particular.
    pub log: String,
}

/// What must be there when the folder is opened next, and what must not.
#[derive(Debug, Default)]
pub struct Ledger {
    promised: BTreeSet<String>,
    gone: BTreeSet<String>,
}

/// Runs the program until it ends, or until its plan ends it.
pub fn run(disk: &Disk, plan: Plan, task: Task<'_>) -> std::io::Result<Told> {
    let mut child = disk.start(plan, |folder| {
        let mut command = Command::new(task.binary);
        command.arg(folder).args([task.seed, task.life].map(|number| number.to_string()));
        command.arg(if task.has_mail { "mail" } else { "keys" }).arg(task.commits.to_string());
        command.arg(if task.lies { "liar" } else { "honest" });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    })?;
    let mut told = Told::default();
    for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
        told.hear(&line?);
    }
    let output = child.wait_with_output()?;
    told.status = output.status;
    told.log = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(told)
}

impl Told {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("has", name) => drop(self.has.insert(name.into())),
            ("ack", name) => drop(self.acknowledged.insert(name.into())),
            ("drop", name) => drop(self.dropped.insert(name.into())),
            ("gone", name) => drop(self.gone.insert(name.into())),
            ("failed", what) => self.failed.push(what.into()),
            ("refused", what) => self.refused = Some(what.into()),
            ("ready", _) => self.is_ready = true,
            ("done", _) => self.is_done = true,
            _ => self.damage.push(line.into()),
        }
    }
}

impl Ledger {
    /// Takes in what a run told; an error says what it found damaged, lost, or back again.
    pub fn settle(&mut self, told: Told) -> Result<(), String> {
        if !told.damage.is_empty() {
            return Err(told.damage.join("\n"));
        }
        if told.is_ready {
            let lost: Vec<_> = self.promised.difference(&told.has).collect();
            let risen: Vec<_> = self.gone.intersection(&told.has).collect();
            if !lost.is_empty() || !risen.is_empty() {
                return Err(format!("lost: {lost:?}; back again: {risen:?}"));
            }
            // What was read once is there for good.
            self.promised = told.has;
        }
        self.promised.extend(told.acknowledged);
        self.promised.retain(|name| !told.dropped.contains(name));
        self.gone.extend(told.gone);
        Ok(())
    }
}
