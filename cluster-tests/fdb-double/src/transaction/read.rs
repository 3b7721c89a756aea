//! Reads.

use std::sync::Arc;

use super::state::{State, Transaction};
use crate::cluster::Watch;
use crate::errors::{self, Code};
use crate::future::{Future, Output};
use crate::history::after;
use crate::view::{END, Limits, Selector, View};

impl Transaction {
    /// `fdb_transaction_get_read_version`.
    pub(crate) fn read_version(self: &Arc<Self>) -> Arc<Future> {
        self.ask(|transaction, state| {
            let mut history = transaction.database.cluster.history.lock();
            Ok(Output::Number(*state.read_version.get_or_insert_with(|| history.read_version())))
        })
    }

    /// `fdb_transaction_get`.
    pub(crate) fn get(self: &Arc<Self>, key: Vec<u8>, snapshot: bool) -> Arc<Future> {
        self.ask(move |transaction, state| {
            check_readable(state, &key)?;
            let value = transaction.view(state, snapshot, |view| view.value(&key))?;
            let beneath = state.options.own_writes_unseen || state.overlay.reads_beneath(&key);
            if !snapshot && beneath {
                state.read_conflicts.push((key.clone(), after(&key)));
            }
            Ok(Output::Value(value))
        })
    }

    /// `fdb_transaction_get_key`.
    pub(crate) fn get_key(self: &Arc<Self>, selector: Selector, snapshot: bool) -> Arc<Future> {
        self.ask(move |transaction, state| {
            let found = transaction.view(state, snapshot, |view| view.resolve(&selector))?;
            if !snapshot {
                let (one, other) = (found.clone().min(selector.key.clone()), found.clone().max(selector.key));
                state.read_conflicts.push((one, after(&other)));
            }
            Ok(Output::Key(found))
        })
    }

    /// `fdb_transaction_get_range`.
    pub(crate) fn get_range(
        self: &Arc<Self>,
        (begin, end): (Selector, Selector),
        limits: Limits,
        (snapshot, reverse): (bool, bool),
    ) -> Arc<Future> {
        self.ask(move |transaction, state| {
            check_end(state, &begin.key)?;
            check_end(state, &end.key)?;
            let (range, (pairs, more)) = transaction.view(state, snapshot, |view| {
                let (begin, end) = (view.resolve(&begin)?, view.resolve(&end)?);
                let found = view.range((&begin, &end), limits, reverse)?;
                Ok(((begin, end), found))
            })?;
            if !snapshot && range.0 < range.1 {
                let last = pairs.last().filter(|_| more).map(|(key, _)| key);
                state.read_conflicts.push(match (last, reverse) {
                    (None, _) => range,
                    (Some(last), false) => (range.0, after(last)),
                    (Some(last), true) => (last.clone(), range.1),
                });
            }
            Ok(Output::pairs(pairs, more))
        })
    }

    /// `fdb_transaction_watch`: told from the commit on.
    pub(crate) fn watch(self: &Arc<Self>, key: Vec<u8>) -> Arc<Future> {
        let future = Future::new();
        let watched = future.clone();
        let asked = self.ask(move |transaction, state| {
            check_readable(state, &key)?;
            if state.options.own_writes_unseen {
                return Err(errors::WATCHES_DISABLED);
            }
            let watching = transaction.database.cluster.watching() + state.watches.len();
            if watching >= transaction.database.options.lock().most_watches {
                return Err(errors::TOO_MANY_WATCHES);
            }
            let value = transaction.view(state, true, |view| view.value(&key))?;
            state.watches.push(Watch { key, value, future: watched });
            Ok(Output::Void)
        });
        let (failed, watched) = (asked.clone(), future.clone());
        asked.call(Box::new(move || {
            if let Some(Err(code)) = failed.result() {
                watched.complete(Err(*code));
            }
        }));
        future
    }

    /// `fdb_transaction_get_approximate_size`.
    pub(crate) fn approximate_size(self: &Arc<Self>) -> Arc<Future> {
        self.ask(|_, state| Ok(Output::Number(state.octets())))
    }

    fn view<T>(
        &self,
        state: &mut State,
        snapshot: bool,
        read: impl FnOnce(View<'_>) -> Result<T, Code>,
    ) -> Result<T, Code> {
        if self.database.control(|control| control.next_read_is_behind()) {
            return Err(errors::PROCESS_BEHIND);
        }
        let at = self.version(state)?;
        let unseen =
            state.options.own_writes_unseen || snapshot && state.options.own_writes_unseen_by_snapshots;
        let overlay = (!unseen).then_some(&state.overlay);
        let history = self.database.cluster.history.lock();
        read(View { history: &history, at, overlay })
    }
}

/// A key that there can be.
fn check_readable(state: &State, key: &[u8]) -> Result<(), Code> {
    if key >= END && !state.options.system_keys { Err(errors::KEY_OUTSIDE_LEGAL_RANGE) } else { Ok(()) }
}

/// The end of a range may be the end of all keys.
fn check_end(state: &State, key: &[u8]) -> Result<(), Code> {
    if key > END && !state.options.system_keys { Err(errors::KEY_OUTSIDE_LEGAL_RANGE) } else { Ok(()) }
}
