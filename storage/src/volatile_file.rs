//! A file of which it is known what the disk has of it: what a power loss leaves of the rest is drawn at random. The tests'
//! disks are made of such files.
//!
//! - Each page (or each sector: a torn page) is as it was at some moment since the last sync, whatever the others are.
//! - Lengths are kept in order up to some point, as every journal does; what was written behind the end is gone.
//! - What a sync that failed was to write is lost, although it can be read, and no later sync writes it.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;

/// What a disk writes whole.
const SECTOR_OCTETS: usize = 512;
/// What the system writes together.
const PAGE_OCTETS: usize = 4096;

/// The file.
#[derive(Debug, Clone, Default)]
pub struct VolatileFile {
    /// As readers see it.
    now: Vec<u8>,
    /// As a power loss would leave it at the least.
    durable: Vec<u8>,
    /// What lies between the two, oldest first.
    unsynced: Vec<Change>,
}

/// How one power loss goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Octets that are kept or lost together.
    unit: usize,
    /// The share of what was not synced that is kept.
    kept: f64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Loss {
    /// Any.
    pub fn random(random: &mut StdRng) -> Self {
        let unit = if random.random_bool(0.5) { PAGE_OCTETS } else { SECTOR_OCTETS };
        Self { unit, kept: [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)] }
    }

    /// Whether something that is kept or lost as one is kept.
    pub fn keeps(&self, random: &mut StdRng) -> bool {
        random.random_bool(self.kept)
    }

    /// Up to which of so many changes a unit has been written.
    fn moment(&self, changes: usize, random: &mut StdRng) -> usize {
        if self.keeps(random) {
            changes
        } else {
            [0, random.random_range(0..=changes)][random.random_range(0..2)]
        }
    }
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let end = offset + written.len();
                octets.resize(octets.len().max(end), 0);
                octets[*offset..end].copy_from_slice(written);
            }
            Self::Length(length) => octets.resize(*length, 0),
        }
    }
}

impl VolatileFile {
    /// One that the disk has whole.
    pub fn durable(octets: Vec<u8>) -> Self {
        Self { durable: octets.clone(), now: octets, unsynced: Vec::new() }
    }

    /// As readers see it.
    pub fn octets(&self) -> &[u8] {
        &self.now
    }

    /// Writes, and lengthens the file if need be.
    pub fn write(&mut self, offset: usize, octets: &[u8]) {
        self.change(Change::Write(offset, octets.to_vec()));
    }

    /// Cuts the file, or lengthens it with zeros.
    pub fn set_length(&mut self, octets: usize) {
        self.change(Change::Length(octets));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    /// What was written is durable from now on.
    pub fn sync(&mut self) {
        self.unsynced.drain(..).for_each(|change| change.apply(&mut self.durable));
    }

    /// A sync fails.
    pub fn fail_to_sync(&mut self) {
        self.unsynced.clear();
    }

    /// The power goes; what is left is durable.
    pub fn lose(&mut self, loss: &Loss, random: &mut StdRng) {
        let changes = std::mem::take(&mut self.unsynced);
        // Up to this change lengths are kept; whether a write lengthens the file depends on those before it.
        let until = random.random_range(0..=changes.len());
        let mut moments = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            match change {
                Change::Length(_) if at < until => change.apply(&mut self.durable),
                Change::Length(_) => {}
                Change::Write(offset, written) => {
                    let end = offset + written.len();
                    if at < until && end > self.durable.len() {
                        self.durable.resize(end, 0);
                    }
                    let mut is_kept = |unit| {
                        at < *moments.entry(unit).or_insert_with(|| loss.moment(changes.len(), random))
                    };
                    self.keep_some(*offset, written, loss.unit, &mut is_kept);
                }
            }
        }
        self.now.clone_from(&self.durable);
    }

    /// Writes the units that are kept, as far as the file goes.
    fn keep_some(
        &mut self,
        offset: usize,
        written: &[u8],
        unit: usize,
        is_kept: &mut impl FnMut(usize) -> bool,
    ) {
        let mut begin = offset;
        while begin < offset + written.len() {
            let end = ((begin / unit + 1) * unit).min(offset + written.len());
            if is_kept(begin / unit) && begin < self.durable.len() {
                let end = end.min(self.durable.len());
                self.durable[begin..end].copy_from_slice(&written[begin - offset..end - offset]);
            }
            begin = end;
        }
    }
}
