//! What a voter must not forget beside its log: its vote, how far its log was purged, and which tree holds its
//! state. One small file with two equal halves, each checksummed: a change is written to the first and synced, then
//! to the second, so that a power loss leaves the old or the new and damage to one half loses nothing. A write that is
//! refused refuses the change; a sync that fails ends the process, as the log's does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::consensus::{LogId, Vote};
use super::wire::{self, wire_fields};
use crate::log::OnFatal;
use crate::log::files::{File, FileSystem};
use crate::{Error, Result};

/// What it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    /// Ascends with each change.
    pub(super) change: u64,
    pub(super) vote: Option<Vote>,
    /// The last entry that others can no longer ask for.
    pub(super) purged: Option<LogId>,
    /// The tree that holds the state, by number.
    pub(super) tree: u64,
    /// The last entry that a state received from another voter includes, until the log goes on behind it.
    pub(super) received: Option<LogId>,
}

wire_fields!(Held { change, vote, purged, tree, received });

impl Held {
    /// The log goes on behind the entry.
    pub(super) fn forget(&mut self, upto: LogId) {
        let purged = self.purged.filter(|purged| purged.index > upto.index);
        self.purged = purged.or(Some(upto));
        self.received = self.received.filter(|received| received.index > upto.index);
    }
}

const FORMAT: u8 = 1;
const HALF_OCTETS: usize = 4096;

/// The open file.
pub(super) struct Anchor {
    file: Arc<dyn File>,
    held: Held,
    on_fatal: OnFatal,
    // A sync failed: a second one might succeed without having written anything.
    has_failed: bool,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("anchor")
}

impl Anchor {
    /// Opens the file, or makes it. `Corrupt` if what was held is lost: also where there is none beside the log's folder,
    /// which is made once this one is on disk.
    pub(super) fn open(
        files: &dyn FileSystem,
        folder: &Path,
        log_folder: &Path,
        on_fatal: OnFatal,
    ) -> Result<Self> {
        files.create_folder(folder)?;
        let is_new = match files.list(log_folder) {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error.into()),
        };
        let file = open_file(files, folder, is_new)?;
        let mut halves = [vec![0; HALF_OCTETS], vec![0; HALF_OCTETS]];
        for (half, at) in halves.iter_mut().zip([0, HALF_OCTETS as u64]) {
            file.read_at(half, at)?;
        }
        let held = read_halves(&halves, is_new)?;
        let mut anchor = Self { file, held, on_fatal, has_failed: false };
        // Also where the halves are equal: one may be the system's memory of a sync that failed.
        anchor.write(&anchor.held.clone())?;
        Ok(anchor)
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// Holds something else, durably. Blocks. What was refused may still be found after a restart.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Held)) -> Result<()> {
        let mut held = self.held.clone();
        change(&mut held);
        held.change += 1;
        self.write(&held)?;
        self.held = held;
        Ok(())
    }

    fn write(&mut self, held: &Held) -> Result<()> {
        let half = encode(held);
        for at in [0, HALF_OCTETS as u64] {
            if self.has_failed {
                return Err(Error::Closed);
            }
            self.file.write_at(&half, at).map_err(|error| Error::of_device("anchor", &error))?;
            if let Err(error) = self.file.sync_data() {
                self.has_failed = true;
                (self.on_fatal)(&error);
            }
        }
        if self.has_failed { Err(Error::Closed) } else { Ok(()) }
    }
}

fn open_file(files: &dyn FileSystem, folder: &Path, is_new: bool) -> Result<Arc<dyn File>> {
    let path = path(folder);
    match files.open(&path, false) {
        Ok(file) if file.length()? == 2 * HALF_OCTETS as u64 => Ok(file),
        Ok(_) if is_new => {
            // Its making was cut short: nothing was ever held.
            files.remove(&path)?;
            make(files, folder)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && is_new => make(files, folder),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Err(Error::Corrupt("the anchor is lost, and the vote with it".into())),
    }
}

fn make(files: &dyn FileSystem, folder: &Path) -> Result<Arc<dyn File>> {
    let file = files.open(&path(folder), true)?;
    let half = encode(&Held::default());
    file.write_at(&[&half[..], &half[..]].concat(), 0)?;
    file.sync_data()?;
    files.sync_folder(folder)?;
    Ok(file)
}

fn encode(held: &Held) -> Vec<u8> {
    let record = wire::encode(FORMAT, held);
    let mut half = Vec::with_capacity(HALF_OCTETS);
    half.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
    half.extend_from_slice(&(record.len() as u32).to_le_bytes());
    half.extend_from_slice(&record);
    half.resize(HALF_OCTETS, 0);
    half
}

/// What a half holds; `None` if it is damaged.
fn decode(half: &[u8]) -> Option<Held> {
    let (crc, rest) = half.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let record = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let is_whole = crc32c::crc32c(record) == u32::from_le_bytes(*crc);
    wire::decode(FORMAT, &bytes::Bytes::copy_from_slice(record)).ok().filter(|_| is_whole)
}

fn read_halves(halves: &[Vec<u8>; 2], is_new: bool) -> Result<Held> {
    // A file whose making was cut short holds zeros, and nothing else ever does.
    if is_new && halves.iter().flatten().all(|octet| *octet == 0) {
        return Ok(Held::default());
    }
    let whole = halves.iter().filter_map(|half| decode(half));
    whole.max_by_key(|held| held.change).ok_or_else(|| Error::Corrupt("both halves of the anchor".into()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::log::simulated::Disk;

    fn open(disk: &Disk) -> Anchor {
        open_any(disk).expect("opens")
    }

    fn open_any(disk: &Disk) -> Result<Anchor> {
        open_with(disk, Arc::new(|_| {}))
    }

    fn open_with(disk: &Disk, on_fatal: OnFatal) -> Result<Anchor> {
        Anchor::open(disk, Path::new("/group"), Path::new("/group/log"), on_fatal)
    }

    /// As the log does once there is an anchor.
    fn make_log(disk: &Disk) {
        disk.create_folder(Path::new("/group/log")).expect("makes");
    }

    #[test]
    fn a_vote_that_was_saved_survives_any_power_loss() {
        for seed in 0..200 {
            let disk = Disk::default();
            let mut anchor = open(&disk);
            for term in 1..=3 {
                anchor.change(|held| held.vote = Some(Vote::new(term, seed % 5))).expect("changes");
            }
            let held = anchor.held().clone();
            let disk = disk.lose_power(seed);
            assert!(anchor.change(|held| held.vote = None).is_err(), "no power");
            assert_eq!(*open(&disk).held(), held, "seed {seed}");
        }
    }

    #[test]
    fn damage_to_one_half_loses_nothing_and_to_both_is_told() {
        for half in 0..2 {
            let disk = Disk::default();
            let mut anchor = open(&disk);
            anchor.change(|held| held.tree = 7).expect("changes");
            disk.damage(|files| files[0][half * HALF_OCTETS + 9] ^= 1);
            assert_eq!(open(&disk).held().tree, 7);
            disk.damage(|files| (0..2).for_each(|half| files[0][half * HALF_OCTETS + 9] ^= 1));
            assert!(matches!(open_any(&disk), Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn an_anchor_that_is_lost_beside_a_log_is_not_made_anew() {
        let losses: [fn(&Disk); 3] = [
            |disk| disk.lose_file(Path::new("/group/anchor")),
            |disk| disk.damage(|files| files[0].truncate(HALF_OCTETS)),
            |disk| disk.damage(|files| files[0].fill(0)),
        ];
        for lose in losses {
            let disk = Disk::default();
            drop(open(&disk));
            // Before there is a log nothing was ever held.
            lose(&disk);
            let mut anchor = open(&disk);
            make_log(&disk);
            anchor.change(|held| held.vote = Some(Vote::new(1, 1))).expect("changes");
            lose(&disk);
            assert!(matches!(open_any(&disk), Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn a_refused_write_changes_nothing_and_the_next_one_is_taken() {
        for cut in [0, 20, 100, 4000] {
            let disk = Disk::default();
            let mut anchor = open(&disk);
            anchor.change(|held| held.vote = Some(Vote::new(1, 1))).expect("changes");
            let held = anchor.held().clone();
            disk.cut_next_write(Some(cut));
            let refused = anchor.change(|held| held.vote = Some(Vote::new(2, 2)));
            assert!(matches!(refused, Err(Error::Unavailable(_))), "cut {cut}: {refused:?}");
            assert_eq!(*anchor.held(), held, "cut {cut}");
            anchor.change(|held| held.vote = Some(Vote::new(3, 3))).expect("changes");
            let disk = disk.lose_power(cut as u64);
            assert_eq!(open(&disk).held().vote, Some(Vote::new(3, 3)), "cut {cut}");
        }
    }

    #[test]
    fn a_failed_sync_is_fatal_and_what_it_left_is_written_again() {
        let disk = Disk::default();
        let fatal = Arc::new(AtomicUsize::new(0));
        let seen = fatal.clone();
        let on_fatal: OnFatal = Arc::new(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        let mut anchor = open_with(&disk, on_fatal).expect("opens");
        disk.set_fails_to_sync();
        for _ in 0..2 {
            let failed = anchor.change(|held| held.vote = Some(Vote::new(2, 2)));
            assert!(matches!(failed, Err(Error::Closed)), "{failed:?}");
        }
        assert_eq!(fatal.load(Ordering::SeqCst), 1);
        let disk = disk.kill_process();
        let held = open(&disk).held().clone();
        assert_eq!(*open(&disk.lose_power(3)).held(), held);
    }

    proptest! {
        #[test]
        fn reading_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), is_new: bool) {
            let mut half = octets.clone();
            half.resize(HALF_OCTETS, 0);
            let _ = decode(&octets);
            let _ = read_halves(&[half.clone(), half], is_new);
        }
    }
}
