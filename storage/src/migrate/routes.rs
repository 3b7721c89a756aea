//! Which keys a move copies, and which of an installation's databases keeps them. What is copied is everything but what
//! is known to be of use to the old engine, or to the processes on it, alone: a kind of key that is added later is copied.

use bytes::Bytes;

use crate::kv::KeyRange;
use crate::kv::key::subspace;
use crate::{bodies, directory};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The one of mailboxes, bodies and the queue.
    Mail,
    /// The one of the directory.
    Config,
}

/// What stays behind.
fn left_behind() -> Vec<KeyRange> {
    // Heartbeats of processes that have ended; claims of theirs are copied, and taken over as any that stand still.
    let heartbeats = KeyRange::prefix(&[subspace::NODE]);
    // In the order of the old engine's versionstamps, which are not the new one's. Nobody reads it over a restart.
    let outbox = KeyRange::prefix(&[subspace::OUTBOX]);
    // The new nodes have founded a cluster of their own.
    let cluster = KeyRange::prefix(&[subspace::CLUSTER]);
    // Carried over by itself, in each database, while nobody keeps it.
    let clock = KeyRange::prefix(&[subspace::CLOCK]);
    let marks = KeyRange::prefix(&[subspace::MOVE]);
    let mut all = vec![heartbeats, outbox, cluster, clock, marks];
    all.extend(bodies::bound_to_nodes());
    all.extend(directory::bound_to_engine());
    all
}

/// All ranges to copy, in the order of keys.
pub(super) fn routes() -> Vec<(KeyRange, Keeper)> {
    let mut gaps = left_behind();
    gaps.sort_by(|one, other| one.begin.cmp(&other.begin));
    let end = KeyRange::new(Bytes::from_static(&[subspace::ENGINE]), Bytes::new());
    let mut kept = Vec::new();
    let mut begin = Bytes::from_static(&[0]);
    for gap in gaps.into_iter().chain([end]) {
        kept.extend(by_keeper(KeyRange::new(begin, gap.begin)));
        begin = gap.end;
    }
    kept
}

/// The range, cut where another database keeps the keys.
fn by_keeper(range: KeyRange) -> impl Iterator<Item = (KeyRange, Keeper)> {
    let directory = KeyRange::prefix(&[subspace::DIRECTORY]);
    let below = KeyRange::new(range.begin.clone(), range.end.clone().min(directory.begin.clone()));
    let above = KeyRange::new(range.begin.clone().max(directory.end.clone()), range.end.clone());
    let within = KeyRange::new(range.begin.max(directory.begin), range.end.min(directory.end));
    let parts = [(below, Keeper::Mail), (within, Keeper::Config), (above, Keeper::Mail)];
    parts.into_iter().filter(|(range, _)| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_place_or_stays_behind() {
        let (routes, behind) = (routes(), left_behind());
        assert!(routes.windows(2).all(|pair| pair[0].0.end <= pair[1].0.begin), "in order");
        for first in 0..subspace::ENGINE {
            for second in 0..=u8::MAX {
                let key = [first, second, 7];
                let places: Vec<_> = routes.iter().filter(|(range, _)| range.contains(&key)).collect();
                let stays = behind.iter().filter(|range| range.contains(&key)).count();
                assert_eq!(places.len() + stays, 1, "{key:?}");
                let is_directory = first == subspace::DIRECTORY;
                assert!(places.iter().all(|(_, keeper)| (*keeper == Keeper::Config) == is_directory));
            }
        }
        let stays = |key: &[u8]| behind.iter().any(|range| range.contains(key));
        for key in [&b"Nx"[..], b"X\x01", b"c\x01", b"t", b"wt", b"bh", b"dlx", b"dt", b"dv"] {
            assert!(stays(key), "{key:?}");
        }
        for key in [&b"bi"[..], b"bk", b"bo", b"dD", b"Ix", b"ix", b"Q", b"M"] {
            assert!(!stays(key), "{key:?}");
        }
    }
}
