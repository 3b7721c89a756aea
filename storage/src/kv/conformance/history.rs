//! A generated history of concurrent transactions, checked for strict serializability: replayed one by
//! one in the order of their versionstamps, each must have read what it then would read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::kv::engine::Engine;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction, Version, Versionstamp};
use crate::{Error, Result};

const TASKS: u64 = 8;
const TRANSACTIONS: u64 = 40;
const KEYS: u8 = 6;
/// How long the end of a history waits for an engine that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

type State = BTreeMap<Bytes, Bytes>;

/// What a transaction saw and did.
#[derive(Debug, Clone)]
enum Step {
    Get(Bytes, Option<Bytes>),
    Snapshot(Bytes, Option<Bytes>),
    Range(KeyRange, bool, Vec<(Bytes, Bytes)>),
    Set(Bytes, Bytes),
    Clear(Bytes),
    ClearRange(KeyRange),
    Add(Bytes, i64),
}

/// A transaction that committed.
#[derive(Debug)]
struct Done {
    read: Version,
    // Of one that only read: behind all that was committed at the version that it read.
    place: Versionstamp,
    wrote: bool,
    steps: Vec<Step>,
}

/// Runs a history on the engine, which must be empty, and checks it. Tells how many transactions committed; the error says
/// what was violated.
pub async fn check(engine: Arc<dyn Engine>, seed: u64) -> Result<usize, String> {
    check_together(&[engine], seed).await
}

/// The same on engines that share one state: nodes of a cluster.
pub async fn check_together(engines: &[Arc<dyn Engine>], seed: u64) -> Result<usize, String> {
    let newest = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .zip(engines.iter().cycle())
        .map(|(task, engine)| {
            tokio::spawn(run_task(Database::new(engine.clone()), newest.clone(), seed << 8 | task))
        })
        .collect();
    let (mut history, mut unknown) = (Vec::new(), Vec::new());
    for task in tasks {
        let ran = task.await.map_err(|error| error.to_string())??;
        history.extend(ran.done);
        unknown.extend(ran.unknown);
    }
    let database = Database::new(engines[0].clone());
    for (mark, done) in unknown {
        let stamp = surely(async || database.run(async |tx| tx.get(&mark).await).await).await?;
        if let Some(stamp) = stamp {
            let place = stamp[..].try_into().map_err(|_| "a mark is a versionstamp")?;
            history.push(Done { place: Versionstamp(place), ..done });
        }
    }
    history.sort_by_key(|done| (done.place, !done.wrote));
    let last = replay(&history)?;
    let read = async || {
        let mut tx = database.begin();
        tx.range(KeyRange::new("a", "z"), RangeOptions::default()).collect().await
    };
    let pairs = surely(read).await?;
    let found: State = pairs.into_iter().collect();
    if found == last { Ok(history.len()) } else { Err(format!("at the end: {found:?}, expected {last:?}")) }
}

/// The outcome once it is no temporary failure: who looks at the end waits for a leader if need be.
async fn surely<T>(attempt: impl AsyncFn() -> Result<T>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {}
            outcome => return outcome.map_err(|error| error.to_string()),
        }
    }
}

/// What a task did.
#[derive(Default)]
struct Ran {
    done: Vec<Done>,
    /// Transactions whose outcome was not told, and the key that each marks with its versionstamp.
    unknown: Vec<(Bytes, Done)>,
}

async fn run_task(database: Database, newest: Arc<AtomicU64>, seed: u64) -> Result<Ran, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut ran = Ran::default();
    for number in 0..TRANSACTIONS {
        let acknowledged = newest.load(Ordering::SeqCst);
        let mut tx = database.begin();
        let unique = format!("{seed}/{number}");
        let (read, steps) = match some_steps(&mut tx, &mut random, &unique).await {
            Ok(read_and_steps) => read_and_steps,
            // Nobody leads, or the version is gone: nothing was done.
            Err(error) if error.is_temporary() => continue,
            Err(error) => return Err(error.to_string()),
        };
        if read.0 < acknowledged {
            return Err(format!("read at {read:?} after {acknowledged} was acknowledged"));
        }
        let wrote = steps.iter().any(is_write);
        let mark = Bytes::from(format!("~{unique}"));
        if wrote {
            tx.set_versionstamped_value(mark.clone(), vec![0; 10], 0);
        }
        let done = |place| Done { read, place, wrote, steps };
        match tx.commit().await {
            Ok(committed) => {
                newest.fetch_max(committed.version.0, Ordering::SeqCst);
                let behind = Versionstamp::new(read, u16::MAX);
                ran.done.push(done(if wrote { committed.versionstamp } else { behind }));
            }
            Err(Error::CommitUnknown) => ran.unknown.push((mark, done(Versionstamp::default()))),
            Err(error) if error.is_temporary() => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(ran)
}

async fn some_steps(tx: &mut Transaction, random: &mut StdRng, unique: &str) -> Result<(Version, Vec<Step>)> {
    let read = tx.read_version().await?;
    let mut steps = Vec::new();
    for _ in 0..random.random_range(1..6) {
        steps.push(one_step(tx, random, unique).await?);
        if random.random_bool(0.5) {
            tokio::task::yield_now().await;
        }
    }
    Ok((read, steps))
}

async fn one_step(tx: &mut Transaction, random: &mut StdRng, unique: &str) -> Result<Step> {
    let key = |random: &mut StdRng| Bytes::from(vec![b'a' + random.random_range(0..KEYS)]);
    let counter = |random: &mut StdRng| Bytes::from(vec![b'n', b'a' + random.random_range(0..2)]);
    let range = |random: &mut StdRng| {
        let (one, other) = (key(random), key(random));
        KeyRange::new(one.clone().min(other.clone()), one.max(other))
    };
    Ok(match random.random_range(0..10) {
        0..3 => {
            let key = key(random);
            let seen = tx.get(&key).await?;
            Step::Get(key, seen)
        }
        3 => {
            let key = key(random);
            let seen = tx.get_snapshot(&key).await?;
            Step::Snapshot(key, seen)
        }
        4 => {
            let (range, reverse) = (range(random), random.random_bool(0.5));
            let options = RangeOptions { reverse, ..RangeOptions::default() };
            let seen = tx.range(range.clone(), options).collect().await?;
            Step::Range(range, reverse, seen)
        }
        5..7 => {
            let key = key(random);
            let value = Bytes::from(unique.to_owned());
            tx.set(key.clone(), value.clone());
            Step::Set(key, value)
        }
        7 => {
            let key = key(random);
            tx.clear(key.clone());
            Step::Clear(key)
        }
        8 => {
            let range = range(random);
            tx.clear_range(range.clone());
            Step::ClearRange(range)
        }
        _ => {
            let (key, delta) = (counter(random), random.random_range(-3..9));
            tx.add(key.clone(), delta);
            Step::Add(key, delta)
        }
    })
}

fn is_write(step: &Step) -> bool {
    match step {
        Step::ClearRange(range) => !range.is_empty(),
        step => matches!(step, Step::Set(..) | Step::Clear(_) | Step::Add(..)),
    }
}

fn replay(history: &[Done]) -> Result<State, String> {
    // The state behind each version, for snapshot reads.
    let mut states: BTreeMap<Version, State> = BTreeMap::from([(Version(0), State::new())]);
    let mut state = State::new();
    for done in history {
        let (_, read) = states.range(..=done.read).next_back().expect("version 0 is there");
        // A snapshot read sees the state at its read version, and the transaction's own writes over it.
        let mut seen = read.clone();
        for step in &done.steps {
            let expected = match step {
                Step::Get(key, found) => state.get(key) == found.as_ref(),
                Step::Snapshot(key, found) => seen.get(key) == found.as_ref(),
                Step::Range(range, reverse, found) => in_range(&state, range, *reverse) == *found,
                write => {
                    apply(&mut state, write);
                    apply(&mut seen, write);
                    true
                }
            };
            if !expected {
                return Err(format!("{step:?} of {done:?} is not what {state:?} holds"));
            }
        }
        if done.wrote {
            states.insert(done.place.version(), state.clone());
        }
    }
    Ok(state)
}

fn in_range(state: &State, range: &KeyRange, reverse: bool) -> Vec<(Bytes, Bytes)> {
    let within = state.iter().filter(|(key, _)| range.contains(key));
    let mut pairs: Vec<_> = within.map(|(key, value)| (key.clone(), value.clone())).collect();
    if reverse {
        pairs.reverse();
    }
    pairs
}

fn apply(state: &mut State, write: &Step) {
    match write {
        Step::Set(key, value) => drop(state.insert(key.clone(), value.clone())),
        Step::Clear(key) => drop(state.remove(key)),
        Step::ClearRange(range) => state.retain(|key, _| !range.contains(key)),
        Step::Add(key, delta) => {
            let before = state.get(key).map_or(0, |value| {
                u64::from_le_bytes(value.as_ref().try_into().expect("counters are eight octets"))
            });
            state.insert(
                key.clone(),
                Bytes::copy_from_slice(&before.wrapping_add_signed(*delta).to_le_bytes()),
            );
        }
        Step::Get(..) | Step::Snapshot(..) | Step::Range(..) => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Watch};
    use crate::kv::{Local, LocalConfig, Memory};

    /// An engine with a planted bug: it drops read conflicts.
    pub(crate) struct Forgetful(pub(crate) Arc<dyn Engine>);

    #[async_trait]
    impl Engine for Forgetful {
        async fn read_version(&self) -> Result<Version> {
            self.0.read_version().await
        }

        async fn get(&self, at: Version, key: &[u8]) -> Result<Option<Bytes>> {
            self.0.get(at, key).await
        }

        async fn range(&self, at: Version, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
            self.0.range(at, range, limit).await
        }

        async fn commit(&self, commit: Commit) -> Result<Committed> {
            self.0.commit(Commit { read_conflicts: Vec::new(), ..commit }).await
        }

        fn watch(&self, key: Bytes, at: Version) -> Watch {
            self.0.watch(key, at)
        }

        async fn close(&self) {
            self.0.close().await;
        }
    }

    #[tokio::test]
    async fn an_engine_that_drops_read_conflicts_is_caught() {
        let mut caught = 0;
        for seed in 0..4 {
            caught += usize::from(check(Arc::new(Forgetful(Memory::new())), seed).await.is_err());
        }
        assert_eq!(caught, 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_durable_engine_is_caught_too_when_it_drops_them() {
        let mut caught = 0;
        for seed in 0..4 {
            let folder = tempfile::tempdir().expect("a folder");
            let config = LocalConfig { path: folder.path().into(), ..LocalConfig::default() };
            let engine = Local::open(config).await.expect("opens");
            caught += usize::from(check(Arc::new(Forgetful(engine.clone())), seed).await.is_err());
            engine.close().await;
        }
        // Who runs beside whom is the machine's choice: not every run need show it.
        assert!(caught > 0);
    }
}
