//! What the system says of a process: its memory and its open files.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A running process, by its id.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// Memory that is resident now, in octets.
    pub fn resident_octets(self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that ever was.
    pub fn peak_octets(self) -> u64 {
        self.status("VmHWM:")
    }

    /// Open descriptors.
    pub fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).expect("a running process").count()
    }

    fn status(self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("a running process");
        let line = status.lines().find(|line| line.starts_with(key)).expect("a line of every process");
        let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        kib.expect("a number of KiB") * 1024
    }
}

/// Lets this process have as many descriptors as the system allows: crowds need thousands.
pub fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
    }
}
