//! The program that the power-loss tests kill: it opens the stores below a folder, checks all that it finds, tells it,
//! and then writes until it has done its share, telling of each commit once it is acknowledged.
//!
//! It takes its folder, its seed, its life, its workload, how many commits it is to make, and whether it shall lie: a liar
//! tells of commits before they are made, which the tests must notice. It says, a line each:
//!
//! | line | means |
//! | --- | --- |
//! | `has N` | N was found after opening |
//! | `ready` | all that was found has been told |
//! | `ack N` | N is committed |
//! | `drop N`, `gone N` | N is about to be removed, is removed |
//! | `failed N …` | an attempt to commit N failed, and is made again |
//! | `refused …` | the stores could not be opened or read, and the disk is to blame |
//! | `damage …` | what was found is not what was written |
//! | `done` | it has done its share and closed the stores |

mod keys;
mod mail;
mod speech;

use std::process::ExitCode;
use std::time::Duration;

use sterna_storage::kv::LocalConfig;

use crate::speech::say;

/// What it was asked for.
struct Task {
    folder: std::path::PathBuf,
    seed: u64,
    life: u64,
    commits: u64,
    lies: bool,
}

impl Task {
    /// The engine's settings: so small that flushes, compactions and new log files come every few commits.
    fn engine(&self) -> LocalConfig {
        let pick = |shift: u32, from: [u64; 4]| from[(self.seed >> shift) as usize % 4];
        LocalConfig {
            path: self.folder.join("metadata"),
            cache_octets: 1 << 20,
            memtable_octets: pick(0, [4, 8, 16, 32]) << 10,
            log_segment_octets: pick(2, [8, 16, 32, 64]) << 10,
            transaction_life: Duration::from_millis(30),
            value_look: Duration::from_millis(1),
        }
    }
}

fn main() -> ExitCode {
    let Some((workload, task)) = read_arguments() else {
        say("damage arguments: folder seed life keys|mail commits honest|liar");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcome = runtime.block_on(async {
        match workload.as_str() {
            "keys" => keys::run(task).await,
            _ => mail::run(task).await,
        }
    });
    match outcome {
        Ok(()) => {
            say("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let is_devices = error.downcast_ref().is_some_and(sterna_storage::Error::is_temporary);
            say(&format!("{} {error:#}", if is_devices { "refused" } else { "damage" }));
            ExitCode::FAILURE
        }
    }
}

fn read_arguments() -> Option<(String, Task)> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next()?.into();
    let mut number = || arguments.next()?.parse().ok();
    let (seed, life) = (number()?, number()?);
    let workload = arguments.next()?;
    let commits = arguments.next()?.parse().ok()?;
    let lies = arguments.next()? == "liar";
    Some((workload, Task { folder, seed, life, commits, lies }))
}
