//! What a power loss leaves of a volume: all that was synced, and of the rest any part.
//!
//! - Of each file what `sterna_storage::volatile_file` says.
//! - Names made, removed and moved since their folder's last sync are there or not: half of the time in any
//!   combination, as POSIX allows; else in the order in which they were made, up to some point, as ext4 and XFS do.
//! - A rename is one step.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;
use sterna_storage::volatile_file::Loss;

use super::volume::{Number, ROOT, Volume};

impl Volume {
    /// Loses the power; what is left is durable.
    pub(super) fn lose_power(&mut self, random: &mut StdRng) {
        let (names_in_order, loss) = (random.random_bool(0.5), Loss::random(random));
        self.lose_names(names_in_order, &loss, random);
        self.files.values_mut().for_each(|file| file.lose(&loss, random));
        self.folders.values_mut().for_each(|folder| folder.now.clone_from(&folder.durable));
        self.forget_unnamed();
    }

    /// A process was killed, and the kernel goes on: what it was given will be there.
    pub(super) fn keep_all(&mut self) {
        self.forget_unnamed();
    }

    fn lose_names(&mut self, in_order: bool, loss: &Loss, random: &mut StdRng) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let until = random.random_range(0..=changes.len());
        for (at, change) in changes.iter().enumerate() {
            let is_kept = if in_order { at < until } else { loss.keeps(random) };
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
        let is_named = |number: &Number| reached.contains(number) || unsynced.contains(number);
        self.files.retain(|number, _| is_named(number));
        self.folders.retain(|number, _| is_named(number));
    }
}
