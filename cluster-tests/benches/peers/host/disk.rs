//! The disk: how many durable writes it does in a second, what was written to it, how much a folder takes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::client::crew::crew;

/// How many times a second `threads` threads, each with a file of its own, append 4 kB and sync them.
pub(crate) fn durable_writes(folder: &Path, threads: usize, time: Duration) -> Result<f64> {
    let open = |number: usize| {
        let path = folder.join(format!("disk-limit-{number}"));
        let file = File::create(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    };
    let files = (0..threads).map(open).collect::<Result<Vec<File>>>()?;
    let block = vec![b'x'; 4096];
    let shift = crew(files, |_, mut file| {
        let (deadline, mut writes) = (Instant::now() + time, 0_u64);
        while Instant::now() < deadline {
            file.write_all(&block)?;
            file.sync_data()?;
            writes += 1;
        }
        Ok(writes)
    })?;
    Ok(shift.told.iter().sum::<u64>() as f64 / shift.took.as_secs_f64())
}

/// Octets written so far to the disk that holds `folder`, by everybody, the file system's own included.
pub(crate) fn written_octets(folder: &Path) -> Result<u64> {
    let device = fs::metadata(folder)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let table = fs::read_to_string("/proc/diskstats")?;
    let sectors = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        is_it.then(|| fields.get(9)?.parse::<u64>().ok())?
    });
    Ok(sectors.context("the folder's disk is not in /proc/diskstats")? * 512)
}

/// Octets that the files below `folder` take on disk.
pub(crate) fn taken_octets(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken_octets(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It went away meanwhile.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Writes out what is dirty and forgets what was read, so that the next reads come from the disk. Whether it was allowed.
pub(crate) fn drop_caches() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3\n").is_ok()
}
