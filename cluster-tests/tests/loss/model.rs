//! Two mailboxes as one client knows its own messages in them, and what each command makes of them.

use std::collections::BTreeMap;

use super::imap::Flags;
use super::text::Name;

/// A message of the client's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) name: Name,
    pub(super) flags: Flags,
}

/// The client's messages by UID, in both mailboxes.
pub(super) type State = [BTreeMap<u32, Own>; 2];

/// A command; `at` is the mailbox that it is given in.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Append { at: usize, own: Own },
    Store { at: usize, uids: Vec<u32>, mode: Mode, flags: Flags },
    Copy { at: usize, uids: Vec<u32> },
    Move { at: usize, uids: Vec<u32> },
    Expunge { at: usize, uids: Vec<u32> },
}

/// What STORE does with flags.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Add,
    Remove,
    Replace,
}

impl Operation {
    /// What is there after it but for new messages, and those in the order of their UIDs.
    pub(super) fn apply(&self, before: &State) -> (State, usize, Vec<Own>) {
        let mut state = before.clone();
        let picked = |at: usize, uids: &[u32]| uids.iter().map(|uid| before[at][uid].clone()).collect();
        match self {
            Self::Append { at, own } => (state, *at, vec![own.clone()]),
            Self::Store { at, uids, mode, flags } => {
                for uid in uids {
                    change(&mut state[*at].get_mut(uid).expect("there").flags, *mode, flags);
                }
                (state, *at, Vec::new())
            }
            Self::Copy { at, uids } => (state, 1 - at, picked(*at, uids)),
            Self::Move { at, uids } => {
                state[*at].retain(|uid, _| !uids.contains(uid));
                (state, 1 - at, picked(*at, uids))
            }
            Self::Expunge { at, uids } => {
                state[*at].retain(|uid, own| !uids.contains(uid) || !own.flags.contains("\\Deleted"));
                (state, *at, Vec::new())
            }
        }
    }

    /// Whether the command, whose answer never came, was done as a whole; the error is what fits neither.
    pub(super) fn was_done(&self, before: &State, found: &State) -> Result<bool, String> {
        if before == found {
            return Ok(false);
        }
        let (rest, at, new) = self.apply(before);
        let mut expected = rest.clone();
        let added = found[at].iter().filter(|(uid, _)| !rest[at].contains_key(uid));
        expected[at].extend(added.zip(new.iter()).map(|((uid, _), own)| (*uid, own.clone())));
        let is_whole = expected == *found && expected[at].len() == rest[at].len() + new.len();
        if is_whole { Ok(true) } else { Err(format!("{self:?} of {before:?} left {found:?}")) }
    }
}

fn change(flags: &mut Flags, mode: Mode, by: &Flags) {
    match mode {
        Mode::Add => flags.extend(by.iter().cloned()),
        Mode::Remove => flags.retain(|flag| !by.contains(flag)),
        Mode::Replace => flags.clone_from(by),
    }
}
