//! What waits for the thread that appends: bounded in octets, taken all at once.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::record::{Entry, HEADER_OCTETS, Position};
use crate::{Error, Result, limits};

/// Called once with the outcome; never blocks.
pub(super) type Done<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// What the writer is asked for.
pub(super) enum Job {
    /// Entries that follow the last; tells where each payload stands.
    Append(Vec<Entry>, Done<Vec<Position>>),
    /// Everything behind the index goes.
    Truncate(u64, Done<()>),
    /// The next entry follows an index and term that the log does not reach.
    SkipTo(u64, u64, Done<()>),
    /// Ends the thread.
    Close,
}

/// Jobs that wait, bounded in octets.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    octets: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) -> Result<()> {
        let octets = octets_of(&job);
        let mut waiting = self.state.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        if octets > 0 && waiting.octets > 0 && waiting.octets + octets > limits::LOG_QUEUE_OCTETS {
            return Err(Error::Overloaded("the log's queue is full".into()));
        }
        waiting.octets += octets;
        waiting.closed = matches!(job, Job::Close);
        waiting.jobs.push_back(job);
        self.filled.notify_one();
        Ok(())
    }

    /// All that waits, once there is something; nothing after `patience`.
    pub(super) fn take_all(&self, patience: Option<Duration>) -> VecDeque<Job> {
        let mut waiting = self.state.lock();
        while waiting.jobs.is_empty() {
            match patience {
                None => self.filled.wait(&mut waiting),
                Some(patience) if self.filled.wait_for(&mut waiting, patience).timed_out() => break,
                Some(_) => {}
            }
        }
        waiting.octets = 0;
        std::mem::take(&mut waiting.jobs)
    }

    /// Refuses what comes and what waits.
    pub(super) fn close(&self) {
        let jobs = {
            let mut waiting = self.state.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        for job in jobs {
            match job {
                Job::Append(_, done) => done(Err(Error::Closed)),
                Job::Truncate(_, done) | Job::SkipTo(_, _, done) => done(Err(Error::Closed)),
                Job::Close => {}
            }
        }
    }
}

fn octets_of(job: &Job) -> usize {
    match job {
        Job::Append(entries, _) => entries.iter().map(|entry| entry.payload.len() + HEADER_OCTETS).sum(),
        Job::Truncate(..) | Job::SkipTo(..) | Job::Close => 0,
    }
}
