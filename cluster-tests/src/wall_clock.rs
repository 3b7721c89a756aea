//! A wall clock of its own for a process, which is set while the process runs: by libfaketime (Debian's package `faketime`).
//! Monotonic clocks stay the machine's.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where the library lies below a folder of libraries. The one for programs of several threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A wall clock. It shows the machine's time until it is set.
#[derive(Debug)]
pub struct WallClock {
    folder: TempDir,
}

impl Default for WallClock {
    fn default() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        clock.set(0);
        clock
    }
}

impl WallClock {
    /// Sets it to so many seconds ahead of the machine's, or back.
    pub fn set(&self, seconds: i64) {
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).expect("a writable folder");
        // At once: who reads the time never finds half of it.
        fs::rename(next, self.file()).expect("a writable folder");
    }

    /// What the process is to find in its environment.
    pub fn environment(&self) -> Vec<(&'static str, &'static str)> {
        // A test makes a handful of clocks.
        let leaked = |path: &Path| &*path.to_str().expect("UTF-8").to_owned().leak();
        vec![
            ("LD_PRELOAD", leaked(&library())),
            ("FAKETIME_TIMESTAMP_FILE", leaked(&self.file())),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            // Of files it would show times that nobody set.
            ("NO_FAKE_STAT", "1"),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder of libraries").flatten();
    let found = folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.exists());
    found.expect("libfaketime is installed: Debian's package faketime")
}
