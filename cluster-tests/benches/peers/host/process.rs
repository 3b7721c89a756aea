//! Trees of processes: their CPU time, what they wrote, and the memory they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Ticks of the times in `/proc`, per second: what Linux shows to programs on every architecture (USER_HZ).
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// Every process below these, they included.
pub(crate) fn tree(roots: &[u32]) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut to_visit = roots.to_vec();
    while let Some(pid) = to_visit.pop() {
        if found.insert(pid) {
            to_visit.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

/// The fields of `/proc/PID/stat` behind the name: the first is the state (proc(5)).
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether it runs (and is not a zombie).
pub(crate) fn is_alive(pid: u32) -> bool {
    fields(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

/// Seconds of CPU that the trees have used; what ended processes used is counted with their parents.
pub(crate) fn cpu_seconds(roots: &[u32]) -> f64 {
    let ticks = |pid| -> u64 {
        // utime, stime, cutime, cstime
        let fields = fields(pid).unwrap_or_default();
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
    };
    tree(roots).into_iter().map(ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// Octets that the trees have caused to be written to disk (`write_bytes` less what was dropped before it came to
/// that); what ended processes wrote is counted with their parents.
pub(crate) fn written_octets(roots: &[u32]) -> u64 {
    let written = |pid| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        number_after(&io, "write_bytes:").saturating_sub(number_after(&io, "cancelled_write_bytes:"))
    };
    tree(roots).into_iter().map(written).sum()
}

/// What processes hold in memory, in octets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Each page divided by the number of processes that share it.
    pub(crate) proportional: u64,
    /// All pages of each, shared ones counted more than once.
    pub(crate) resident: u64,
}

/// What the trees hold.
pub(crate) fn memory(roots: &[u32]) -> Memory {
    let mut memory = Memory::default();
    for pid in tree(roots) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        memory.proportional += number_after(&rollup, "Pss:") * 1024;
        memory.resident += number_after(&rollup, "Rss:") * 1024;
    }
    memory
}

/// The number behind a label at the start of a line.
fn number_after(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
