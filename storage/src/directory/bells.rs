//! Tells who waits for an account that it may have changed. Accounts share a fixed number of bells, so
//! that none costs anything by itself; a ring is a hint, and reaches few who wait for another account.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::limits::DIRECTORY_BELLS;
use crate::types::AccountId;

/// Cheap to clone; clones share the bells.
#[derive(Clone)]
pub(super) struct Bells(Arc<[watch::Sender<()>]>);

/// Bells that are to be rung together, once each.
#[derive(Default)]
pub(super) struct Chord(BTreeSet<usize>);

impl Chord {
    /// With the account's bell.
    pub(super) fn add(&mut self, account: AccountId) {
        self.0.insert(bell_of(account));
    }

    /// Every bell there is.
    pub(super) fn full() -> Self {
        Self((0..DIRECTORY_BELLS).collect())
    }
}

impl Bells {
    pub(super) fn new() -> Self {
        Self((0..DIRECTORY_BELLS).map(|_| watch::Sender::new(())).collect())
    }

    /// Tells of rings from now on.
    pub(super) fn listen(&self, account: AccountId) -> watch::Receiver<()> {
        self.0[bell_of(account)].subscribe()
    }

    pub(super) fn ring(&self, chord: &Chord) {
        chord.0.iter().for_each(|bell| self.0[*bell].send_modify(|()| {}));
    }
}

fn bell_of(account: AccountId) -> usize {
    (account.0 % DIRECTORY_BELLS as u64) as usize
}
