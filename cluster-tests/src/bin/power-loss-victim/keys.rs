//! Transactions on bare keys. What they have written is a function of the seed and of how many of each client there
//! were, so that all of the store's content is checked against a model of it.
//!
//! Client `c`'s transaction `n` writes under `h c` that it was the `n`th, sets and clears pairs of slots (`a c slot`,
//! `b c slot`) that must always agree, counts itself in `count`, and leaves `o version` behind: versions have no gaps,
//! so what a crash leaves is a prefix.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_storage::Error;
use sterna_storage::kv::{Database, KeyRange, Local, RangeOptions, Transaction};

use crate::Task;
use crate::speech::say;

/// How many write at the same time.
const CLIENTS: u8 = 6;
/// How many pairs of slots each of them has.
const SLOTS: u8 = 24;

/// Opens, checks, writes.
pub(crate) async fn run(task: Task) -> Result<()> {
    let engine = Local::open(task.engine()).await?;
    let database = Database::new(engine);
    let content = Content::new(task.seed);
    let pairs = loop {
        match database.run(async |tx| content.read(tx).await).await {
            // A slow machine: versions age sooner here than all of it can be read.
            Err(Error::Overloaded(_)) => {}
            read => break read?,
        }
    };
    let counts = content.check(pairs)?;
    say(&told(&counts));
    let share = Arc::new(AtomicU64::new(0));
    let clients = counts.into_iter().enumerate().map(|(client, done)| {
        let client = Client { number: client as u8, done, database: database.clone(), content };
        tokio::spawn(client.run(share.clone(), task.commits, task.lies))
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    database.close().await;
    Ok(())
}

fn told(counts: &[u64]) -> String {
    let mut lines = String::new();
    for (client, count) in counts.iter().enumerate() {
        lines.extend((1..=*count).map(|number| format!("has {client}.{number}\n")));
    }
    lines + "ready"
}

/// All that the store holds, as pairs.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What the store must hold.
#[derive(Clone, Copy)]
struct Content {
    seed: u64,
    /// Whether some values are so long that they stand in the log alone.
    has_long_values: bool,
}

/// What one transaction does to its client's slots, in this order.
struct Work {
    cleared: std::ops::Range<u8>,
    set: Vec<(u8, usize)>,
}

impl Content {
    fn new(seed: u64) -> Self {
        Self { seed, has_long_values: (seed >> 4) % 2 == 1 }
    }

    fn work(&self, client: u8, number: u64) -> Work {
        let mut random = StdRng::seed_from_u64(self.seed << 32 ^ u64::from(client) << 24 ^ number);
        let begin = random.random_range(0..SLOTS);
        let cleared = if random.random_bool(0.3) { begin..SLOTS.min(begin + 5) } else { 0..0 };
        let longest = if self.has_long_values && random.random_bool(0.3) { 9_000 } else { 600 };
        let count = random.random_range(1..=4);
        let mut one = || (random.random_range(0..SLOTS), random.random_range(1..longest));
        Work { cleared, set: (0..count).map(|_| one()).collect() }
    }

    /// The slots of a client after so many transactions: which one wrote each, and how long it is.
    fn slots(&self, client: u8, count: u64) -> BTreeMap<u8, (u64, usize)> {
        let mut slots = BTreeMap::new();
        for number in 1..=count {
            let work = self.work(client, number);
            slots.retain(|slot, _| !work.cleared.contains(slot));
            slots.extend(work.set.into_iter().map(|(slot, length)| (slot, (number, length))));
        }
        slots
    }

    async fn read(&self, tx: &mut Transaction) -> sterna_storage::Result<Pairs> {
        let mut pairs =
            tx.range(KeyRange::new("a", "p"), RangeOptions { snapshot: true, ..RangeOptions::default() });
        let mut read = Vec::new();
        while let Some((key, value)) = pairs.next().await? {
            read.push((key.to_vec(), value.to_vec()));
        }
        Ok(read)
    }

    /// Whether the pairs are exactly what some number of whole transactions of each client leaves; gives the numbers.
    fn check(&self, pairs: Pairs) -> Result<Vec<u64>> {
        let mut counts = vec![0; usize::from(CLIENTS)];
        let mut found = BTreeMap::new();
        let (mut versions, mut left_behind) = (Vec::new(), Vec::new());
        for (key, value) in pairs {
            match key.as_slice() {
                [b'h', client] => counts[usize::from(*client)] = number_in(&value)?,
                [b'o', stamp @ ..] => {
                    versions.push(number_in(&stamp[..8])?.swap_bytes());
                    left_behind.push(value);
                }
                _ => drop(found.insert(key, value)),
            }
        }
        let total: u64 = counts.iter().sum();
        let counted = found.remove(&b"count"[..]).map_or(Ok(0), |value| number_in(&value))?;
        ensure!(counted == total, "{counted} counted, the clients say {total}");
        let mut expected = BTreeMap::new();
        let mut stamped = Vec::new();
        for (client, count) in (0..CLIENTS).zip(&counts) {
            for (slot, (number, length)) in self.slots(client, *count) {
                for pair in [b'a', b'b'] {
                    expected.insert(vec![pair, client, slot], octets(client, number, slot, length));
                }
            }
            stamped.extend((1..=*count).map(|number| stamp_value(client, number)));
        }
        for (key, value) in &expected {
            ensure!(found.get(key) == Some(value), "{key:?} is {:?}", found.get(key).map(Vec::len));
        }
        ensure!(found.len() == expected.len(), "{} keys, due are {}", found.len(), expected.len());
        left_behind.sort();
        stamped.sort();
        ensure!(left_behind == stamped, "{} versions, due are {}", left_behind.len(), stamped.len());
        // Where values stand in the log alone, the store's own upkeep takes versions, too.
        let has_gap = versions.windows(2).any(|two| two[1] != two[0] + 1);
        ensure!(self.has_long_values || !has_gap, "versions are no prefix: {versions:?}");
        Ok(counts)
    }
}

fn number_in(value: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(value.try_into()?))
}

fn stamp_value(client: u8, number: u64) -> Vec<u8> {
    [&[client][..], &number.to_le_bytes()].concat()
}

/// A value that no other transaction writes.
fn octets(client: u8, number: u64, slot: u8, length: usize) -> Vec<u8> {
    let mut octets = [&[client, slot][..], &number.to_le_bytes()].concat();
    let mut state = number << 16 | u64::from(client) << 8 | u64::from(slot) | 1;
    while octets.len() < length {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets
}

/// One of those that write.
struct Client {
    number: u8,
    done: u64,
    database: Database,
    content: Content,
}

impl Client {
    async fn run(mut self, share: Arc<AtomicU64>, commits: u64, lies: bool) -> Result<()> {
        while share.fetch_add(1, Ordering::Relaxed) < commits {
            let next = self.done + 1;
            if lies {
                say(&format!("ack {}.{next}", self.number));
            }
            loop {
                match self.database.run(async |tx| self.transact(tx, next).await).await {
                    Ok(true) => break,
                    Ok(false) => anyhow::bail!("client {} does not find what it wrote", self.number),
                    // A slow machine; nothing was changed.
                    Err(Error::Overloaded(_)) => {}
                    Err(error) => say(&format!("failed {}.{next} {error:?}", self.number)),
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.done = next;
            say(&format!("ack {}.{next}", self.number));
        }
        Ok(())
    }

    /// False if something is not there that must be. Done once, however often it is made.
    async fn transact(&self, tx: &mut Transaction, number: u64) -> sterna_storage::Result<bool> {
        let client = self.number;
        let header = tx.get(&[b'h', client]).await?.map(|value| value.to_vec());
        if header.as_deref() == Some(&number.to_le_bytes()) {
            return Ok(true);
        }
        let before = (number > 1).then(|| (number - 1).to_le_bytes().to_vec());
        let work = self.content.work(client, number);
        let looked_at = work.set[0].0;
        let due = self.content.slots(client, number - 1).remove(&looked_at);
        let due = due.map(|(number, length)| octets(client, number, looked_at, length));
        let found = tx.get(&[b'b', client, looked_at]).await?.map(|value| value.to_vec());
        if header != before || found != due {
            return Ok(false);
        }
        for pair in [b'a', b'b'] {
            if !work.cleared.is_empty() {
                let (begin, end) =
                    (vec![pair, client, work.cleared.start], vec![pair, client, work.cleared.end]);
                tx.clear_range(KeyRange::new(begin, end));
            }
            for (slot, length) in &work.set {
                tx.set(vec![pair, client, *slot], octets(client, number, *slot, *length));
            }
        }
        tx.set(vec![b'h', client], number.to_le_bytes().to_vec());
        tx.add("count", 1);
        let key = [&b"o"[..], &[0; 10]].concat();
        tx.set_versionstamped_key(key, 1, stamp_value(client, number));
        Ok(true)
    }
}
