//! What a power loss leaves of a volume: all that was synced, and of the rest any part.
//!
//! - Of what was written to a file since its last sync, each page (or each sector: a torn page) is there or not, in
//!   no order. Lengths are kept in order up to some point, as every journal does; what was written behind the end
//!   is gone.
//! - Names made, removed and moved since their folder's last sync are there or not: half of the time in any
//!   combination, as POSIX allows; else in the order in which they were made, up to some point, as ext4 and XFS do.
//! - A rename is one step.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

use super::volume::{Change, File, Node, Number, ROOT, Volume};

/// What a disk writes whole.
const SECTOR_OCTETS: usize = 512;
/// What the kernel writes together.
const PAGE_OCTETS: usize = 4096;

/// How one loss goes about it.
struct Manner {
    names_in_order: bool,
    /// Octets that are kept or lost together.
    unit: usize,
    /// The share of unsynced units that are kept.
    kept: f64,
}

impl Volume {
    /// Loses the power; what is left is durable.
    pub(super) fn lose_power(&mut self, random: &mut StdRng) {
        let manner = Manner {
            names_in_order: random.random_bool(0.5),
            unit: if random.random_bool(0.5) { PAGE_OCTETS } else { SECTOR_OCTETS },
            kept: [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)],
        };
        self.lose_names(&manner, random);
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.lose(&manner, random),
                Node::Folder(folder) => folder.now.clone_from(&folder.durable),
            }
        }
        self.forget_unnamed();
    }

    /// A process was killed, and the kernel goes on: what it was given will be there.
    pub(super) fn keep_all(&mut self) {
        self.forget_unnamed();
    }

    fn lose_names(&mut self, manner: &Manner, random: &mut StdRng) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let until = random.random_range(0..=changes.len());
        for (at, change) in changes.iter().enumerate() {
            let is_kept = if manner.names_in_order { at < until } else { random.random_bool(manner.kept) };
            if is_kept {
                self.make_durable(change);
            }
        }
    }

    /// Lets go what no name leads to, now or after a power loss.
    fn forget_unnamed(&mut self) {
        let (mut reached, mut ahead) = (BTreeSet::new(), vec![ROOT]);
        while let Some(number) = ahead.pop() {
            if reached.insert(number)
                && let Ok(folder) = self.folder(number)
            {
                ahead.extend(folder.now.values().chain(folder.durable.values()));
            }
        }
        let unsynced: BTreeSet<Number> =
            self.unsynced_names.iter().filter_map(|change| change.number()).collect();
        self.nodes.retain(|number, _| reached.contains(number) || unsynced.contains(number));
    }
}

impl File {
    fn lose(&mut self, manner: &Manner, random: &mut StdRng) {
        // Up to this change lengths are kept; whether a write lengthens the file depends on those before it.
        let until = random.random_range(0..=self.unsynced.len());
        let octets = &mut self.durable;
        for (at, change) in self.unsynced.drain(..).enumerate() {
            match change {
                Change::Length(_) if at < until => change.apply(octets),
                Change::Length(_) => {}
                Change::Write(offset, written) => {
                    let end = offset + written.len();
                    if at < until && end > octets.len() {
                        octets.resize(end, 0);
                    }
                    keep_some(octets, offset, &written, manner, random);
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}

/// Writes those units of a write that are kept, as far as the file goes.
fn keep_some(octets: &mut [u8], offset: usize, written: &[u8], manner: &Manner, random: &mut StdRng) {
    let mut begin = offset;
    while begin < offset + written.len() {
        let end = (begin / manner.unit + 1) * manner.unit;
        let end = end.min(offset + written.len());
        if random.random_bool(manner.kept) && begin < octets.len() {
            let end = end.min(octets.len());
            octets[begin..end].copy_from_slice(&written[begin - offset..end - offset]);
        }
        begin = end;
    }
}
