//! What the server has promised, as far as clients know, and what they have seen. Each look at it is held
//! against all earlier ones.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::text::{ACCOUNTS, Name};

/// A mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Whose.
    pub(super) account: usize,
    /// Its name.
    pub(super) mailbox: &'static str,
}

/// The mailboxes that the test uses.
pub(super) const MAILBOXES: [&str; 2] = ["INBOX", "Archive"];

impl Place {
    /// The account's name.
    pub(super) fn owner(&self) -> &'static str {
        ACCOUNTS[self.account]
    }
}

/// Numbers of a mailbox that may only grow; zero is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) highest_modseq: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its last octets were never sent: it must be nowhere.
    Unsent,
    /// All was sent, and no answer came: it may be there, once.
    Doubtful,
    /// The server said yes: it must be there, once.
    Promised,
}

/// An attempt to file a message.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// Where it goes.
    pub(super) places: Vec<Place>,
    /// Whether it goes to another server too.
    pub(super) remote: bool,
    pub(super) outcome: Outcome,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) attempts: HashMap<Name, Attempt>,
    /// What stood under a UID when somebody looked.
    pub(super) seen: HashMap<(Place, u32), Name>,
    /// What was expunged or moved away.
    pub(super) gone: HashSet<(Place, u32)>,
    pub(super) numbers: HashMap<Place, Numbers>,
}

/// The ledger that all clients write into.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Mutex<Known>,
}

impl Ledger {
    /// For a look at all of it.
    pub(super) fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().expect("no client panics while it holds the ledger"))
    }

    /// Before anything of an attempt is sent.
    pub(super) fn begin(&self, name: &Name, places: &[Place], remote: bool) {
        let attempt = Attempt { places: places.to_vec(), remote, outcome: Outcome::Unsent };
        let before = self.known(|known| known.attempts.insert(name.clone(), attempt));
        assert!(before.is_none(), "{name} was tried before");
    }

    /// Before its last octets are sent, and when the answer came.
    pub(super) fn turn(&self, name: &Name, outcome: Outcome) {
        self.known(|known| known.attempts.get_mut(name).expect("begun").outcome = outcome);
    }

    /// The mailbox's numbers are at least these.
    pub(super) fn floor(&self, place: Place) -> Numbers {
        self.known(|known| known.numbers.get(&place).copied().unwrap_or_default())
    }

    /// Somebody who knew `floor` before asking was told `now`.
    pub(super) fn told(&self, place: Place, floor: Numbers, now: Numbers) {
        let same = floor.uid_validity == 0 || floor.uid_validity == now.uid_validity;
        assert!(same, "UIDVALIDITY of {place:?} changed: {floor:?}, {now:?}");
        assert!(now.uid_next >= floor.uid_next, "UIDNEXT of {place:?} went back: {floor:?}, {now:?}");
        let modseq = now.highest_modseq >= floor.highest_modseq;
        assert!(modseq, "HIGHESTMODSEQ of {place:?} went back: {floor:?}, {now:?}");
        self.known(|known| {
            let numbers = known.numbers.entry(place).or_default();
            numbers.uid_validity = now.uid_validity;
            numbers.uid_next = numbers.uid_next.max(now.uid_next);
            numbers.highest_modseq = numbers.highest_modseq.max(now.highest_modseq);
        });
    }

    /// Somebody who knew `floor` before asking was told the UIDs of what was filed since, ascending.
    pub(super) fn filed(&self, place: Place, floor: Numbers, uid_validity: u32, uids: &[u32]) {
        assert!(uids.is_sorted_by(|one, next| one < next), "UIDs in {place:?} do not ascend: {uids:?}");
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return };
        assert!(*first >= floor.uid_next, "{first} in {place:?} is below UIDNEXT: {floor:?}");
        self.told(place, floor, Numbers { uid_validity, uid_next: last + 1, ..floor });
    }

    /// Under this UID stands this message.
    pub(super) fn saw(&self, place: Place, uid: u32, name: &Name) {
        let before = self.known(|known| known.seen.insert((place, uid), name.clone()));
        let same = before.as_ref().is_none_or(|before| before == name);
        assert!(same, "UID {uid} of {place:?} was {before:?} and is {name}");
    }

    /// What stood under these UIDs went, and the server said so.
    pub(super) fn went(&self, place: Place, uids: impl IntoIterator<Item = u32>) {
        self.known(|known| known.gone.extend(uids.into_iter().map(|uid| (place, uid))));
    }
}
