//! How busy the machine was during a measurement: with the server, with this client, with anything else.

use std::fs;
use std::time::{Duration, Instant};

use super::process::{TICKS_PER_SECOND, cpu_seconds};
use crate::server::Server;

/// A running measurement.
pub(crate) struct Meter {
    roots: Vec<u32>,
    machine: Times,
    server_s: f64,
    client_s: f64,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Part of all cores that neither the server nor this client used: other programs, and the kernel's own threads.
    pub(crate) others: f64,
    /// Part of all cores that the host of this virtual machine gave to others.
    pub(crate) stolen: f64,
}

impl Load {
    /// The greater of each.
    pub(crate) fn worse(self, other: Self) -> Self {
        Self { others: self.others.max(other.others), stolen: self.stolen.max(other.stolen) }
    }
}

/// Seconds of all cores together since the machine started.
#[derive(Debug, Clone, Copy)]
struct Times {
    busy_s: f64,
    stolen_s: f64,
    all_s: f64,
}

impl Times {
    fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal (proc(5)); guest is part of user.
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        let all: f64 = ticks.iter().sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        let stolen = ticks.get(7).copied().unwrap_or_default();
        let seconds = |ticks: f64| ticks / TICKS_PER_SECOND;
        Self { busy_s: seconds(all - idle - stolen), stolen_s: seconds(stolen), all_s: seconds(all) }
    }
}

impl Meter {
    /// Begins to measure.
    pub(crate) fn start(server: &dyn Server) -> Self {
        let roots = server.roots();
        let (server_s, client_s) = (cpu_seconds(&roots), own_seconds());
        Self { machine: Times::now(), roots, server_s, client_s }
    }

    /// How it went until now.
    pub(crate) fn read(&self) -> Load {
        let now = Times::now();
        let server_s = cpu_seconds(&self.roots) - self.server_s;
        let ours = server_s + own_seconds() - self.client_s;
        let all = (now.all_s - self.machine.all_s).max(0.01);
        Load {
            others: ((now.busy_s - self.machine.busy_s - ours) / all).max(0.0),
            stolen: (now.stolen_s - self.machine.stolen_s) / all,
        }
    }
}

/// CPU of this process without its children, the servers among them.
fn own_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// Waits until the server uses no more than 2 % of a core for two seconds; for `longest` at most.
pub(crate) fn wait_until_quiet(server: &dyn Server, longest: Duration) {
    const STEP: Duration = Duration::from_millis(500);
    const QUIET_STEPS: u32 = 4;
    let roots = server.roots();
    let deadline = Instant::now() + longest;
    let (mut quiet, mut before) = (0, cpu_seconds(&roots));
    while quiet < QUIET_STEPS && Instant::now() < deadline {
        pause(STEP);
        let now = cpu_seconds(&roots);
        let is_quiet = now - before <= 0.02 * STEP.as_secs_f64() + 0.01;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Lets time pass, where time itself is what is measured or waited for.
pub(crate) fn pause(time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
