//! Many connections that work at the same time, one thread each.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// What a crew did.
pub(crate) struct Shift<T> {
    /// When the first began.
    pub(crate) began: Instant,
    /// From then until the last was done.
    pub(crate) took: Duration,
    /// What each of them tells.
    pub(crate) told: Vec<T>,
}

/// Lets all `members` begin at once, each with `work`. Fails with the first error after all have ended.
pub(crate) fn crew<M: Send, T: Send>(
    members: Vec<M>,
    work: impl Fn(usize, M) -> Result<T> + Sync,
) -> Result<Shift<T>> {
    let start = Barrier::new(members.len());
    let ended: Vec<(Instant, Instant, Result<T>)> = std::thread::scope(|scope| {
        let (start, work) = (&start, &work);
        let hire = |(number, member)| {
            scope.spawn(move || {
                start.wait();
                let began = Instant::now();
                let told = work(number, member);
                (began, Instant::now(), told)
            })
        };
        let threads: Vec<_> = members.into_iter().enumerate().map(hire).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| {
                let now = Instant::now();
                (now, now, Err(anyhow!("a client panicked")))
            })
        };
        threads.into_iter().map(join).collect()
    });
    let now = Instant::now();
    let began = ended.iter().map(|ended| ended.0).min().unwrap_or(now);
    let end = ended.iter().map(|ended| ended.1).max().unwrap_or(now);
    let told = ended.into_iter().map(|ended| ended.2).collect::<Result<_>>()?;
    Ok(Shift { began, took: end - began, told })
}
