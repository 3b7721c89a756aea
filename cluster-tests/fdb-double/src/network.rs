//! The network thread: everything that a client waits for happens on it, in the order asked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::errors::{self, Code};

type Task = Box<dyn FnOnce() + Send>;

struct Network {
    stage: Stage,
    next: u64,
    tasks: BinaryHeap<Due>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Ready,
    Stopping,
    Over,
}

struct Due {
    at: Reverse<(Instant, u64)>,
    task: Task,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

static NETWORK: Mutex<Network> = Mutex::new(Network { stage: Stage::New, next: 0, tasks: BinaryHeap::new() });
static CHANGED: Condvar = Condvar::new();

/// Has the task done by the network thread, behind all that were given before.
pub(crate) fn spawn(task: impl FnOnce() + Send + 'static) {
    spawn_after(Duration::ZERO, task);
}

/// Has it done so much later.
pub(crate) fn spawn_after(delay: Duration, task: impl FnOnce() + Send + 'static) {
    let mut network = NETWORK.lock();
    if network.stage == Stage::Over {
        return;
    }
    network.next += 1;
    let at = Reverse((Instant::now() + delay, network.next));
    network.tasks.push(Due { at, task: Box::new(task) });
    CHANGED.notify_one();
}

/// `fdb_setup_network`.
pub(crate) fn set_up() -> Result<(), Code> {
    let mut network = NETWORK.lock();
    match network.stage {
        Stage::New => network.stage = Stage::Ready,
        Stage::Ready => return Err(errors::NETWORK_ALREADY_SETUP),
        Stage::Stopping | Stage::Over => return Err(errors::NETWORK_CANNOT_BE_RESTARTED),
    }
    Ok(())
}

/// `fdb_run_network`: until it is stopped.
pub(crate) fn run() -> Result<(), Code> {
    let mut network = NETWORK.lock();
    if network.stage == Stage::New {
        return Err(errors::NETWORK_NOT_SETUP);
    }
    while network.stage == Stage::Ready {
        let now = Instant::now();
        match network.tasks.peek().map(|due| due.at.0.0) {
            None => CHANGED.wait(&mut network),
            Some(at) if at > now => drop(CHANGED.wait_until(&mut network, at)),
            Some(_) => {
                let due = network.tasks.pop().expect("peeked at");
                parking_lot::MutexGuard::unlocked(&mut network, || (due.task)());
            }
        }
    }
    network.stage = Stage::Over;
    let tasks = std::mem::take(&mut network.tasks);
    drop(network);
    // What they hold may want to give tasks back.
    drop(tasks);
    Ok(())
}

/// `fdb_stop_network`.
pub(crate) fn stop() -> Result<(), Code> {
    let mut network = NETWORK.lock();
    if network.stage == Stage::New {
        return Err(errors::NETWORK_NOT_SETUP);
    }
    network.stage = Stage::Stopping;
    CHANGED.notify_one();
    Ok(())
}
