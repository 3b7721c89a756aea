//! What the tests on faulty disks have in common: the disks, the program that runs on them, and how they are told what to
//! do.

use std::path::Path;
use std::sync::Mutex;

use sterna_cluster_tests::console::tell;
use sterna_cluster_tests::faulty_disk::Disk;

/// Disks in use at the same time: while one program waits for its disk, another one works; and those of three nodes.
const DISKS: usize = 3;

/// The program that is killed.
pub(crate) fn victim() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_power-loss-victim"))
}

/// Disks of their own; none, and a word about it, where mounting is not allowed.
pub(crate) fn disks() -> Vec<Disk> {
    let mounted = Disk::mount().and_then(|first| {
        let mut disks = vec![first];
        for _ in 1..DISKS {
            disks.push(Disk::mount()?);
        }
        Ok(disks)
    });
    mounted.unwrap_or_else(|error| {
        assert!(std::env::var_os("STERNA_MUST_MOUNT").is_none(), "no disk of its own for the test: {error}");
        tell(&format!("skipped: mounting by FUSE is not allowed here: {error}"));
        Vec::new()
    })
}

/// Does the work for each number, several at a time, each on a disk of its own.
pub(crate) fn on_each(
    disks: &[Disk],
    numbers: impl Iterator<Item = u64> + Send,
    work: impl Fn(&Disk, u64) + Sync,
) {
    let (numbers, work) = (&Mutex::new(numbers), &work);
    std::thread::scope(|scope| {
        for disk in disks {
            scope.spawn(move || {
                loop {
                    let next = numbers.lock().expect("no other panicked").next();
                    let Some(number) = next else { return };
                    work(disk, number);
                }
            });
        }
    });
}

/// So many numbers up to `last`, spread evenly from 1 on, or the only one that was asked for.
pub(crate) fn spread(count: u64, last: u64, only: Option<u64>) -> Vec<u64> {
    let count = count.clamp(1, last.max(1));
    only.map_or_else(|| (0..count).map(|number| 1 + number * last / count).collect(), |only| vec![only])
}
