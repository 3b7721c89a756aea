//! What the tests on faulty disks have in common: the disks, and the program that runs on them.

use std::io::Write as _;
use std::path::Path;

use sterna_cluster_tests::faulty_disk::Disk;

/// Disks in use at the same time: while one program waits for its disk, another one works.
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
        let _ = writeln!(std::io::stderr(), "skipped: mounting by FUSE is not allowed here: {error}");
        Vec::new()
    })
}
