//! Naive mailboxes in memory, the commands that clients give, and what those make of the mailboxes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limits::{ATOMIC_OCTETS, BLOCK_UID_GAP};

/// A message as a naive server would keep it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) flags: Flags,
    pub(super) size: u64,
    pub(super) modseq: u64,
}

/// What a naive server would keep of a mailbox.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Naive {
    pub(super) last_uid: u32,
    pub(super) highest_modseq: u64,
    pub(super) messages: BTreeMap<u32, Kept>,
    pub(super) is_deleted: bool,
}

pub(super) type Mailboxes = [Naive; 3];

/// The mailbox that is deleted and made anew.
pub(super) const LAST: usize = 2;

/// Octets of a summary that makes [`LARGE`] messages too large for one transaction.
pub(super) const LARGE_SUMMARY_OCTETS: usize = 60_000;
pub(super) const LARGE: usize = ATOMIC_OCTETS / LARGE_SUMMARY_OCTETS + 5;

// `room` is what is left of a quota, in octets. Sets of messages are a first UID and how many more.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Deliver { room: Option<u64> },
    Append { mailbox: usize, count: usize, flags: u8, room: Option<u64> },
    Store { mailbox: usize, set: (u32, u32), kind: u8, flags: u8, unchanged: Option<u32> },
    Expunge { mailbox: usize, set: Option<(u32, u32)> },
    Copy { from: usize, to: usize, set: (u32, u32), room: Option<u64> },
    Move { from: usize, to: usize, set: (u32, u32) },
    Delete,
}

/// A command, and whether it is given to the second node.
pub(super) type Given = (Command, bool);

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A command alone.
    One(Given),
    /// Two at the same time.
    Two(Given, Given),
    /// A client opens a mailbox, and keeps it open.
    Open { mailbox: usize, second: bool },
    /// A client comes back that last saw a mailbox as it was some steps ago.
    Return { mailbox: usize, ago: usize },
    /// A mailbox's outline is written, whether it is due or not.
    Outline { mailbox: usize },
    /// What is done behind the callers' backs.
    Work,
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Filed(Vec<u32>),
    Copied(Vec<u32>, Vec<u32>),
    /// Changed, and left alone for having changed before.
    Stored(Vec<u32>, Vec<u32>),
    Expunged(Vec<u32>),
    Deleted,
    OverQuota,
    NotFound,
}

/// A command that was given, the version up to which its messages may have changed, and its answer.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) command: Command,
    pub(super) since: Option<u64>,
    pub(super) outcome: Outcome,
}

fn command() -> impl Strategy<Value = Command> {
    let (mailbox, set) = (0usize..3, (1u32..30, 0u32..12));
    // Room for no message, for some, or no bound.
    let room = prop::option::weighted(0.3, 0u64..400);
    let unchanged = prop::option::weighted(0.3, 1u32..30);
    prop_oneof![
        4 => room.clone().prop_map(|room| Command::Deliver { room }),
        4 => (mailbox.clone(), 1usize..5, any::<u8>(), room.clone())
            .prop_map(|(mailbox, count, flags, room)| Command::Append { mailbox, count, flags, room }),
        8 => (mailbox.clone(), set.clone(), 0u8..3, any::<u8>(), unchanged).prop_map(
            |(mailbox, set, kind, flags, unchanged)| Command::Store { mailbox, set, kind, flags, unchanged }
        ),
        4 => (mailbox.clone(), prop::option::of(set.clone()))
            .prop_map(|(mailbox, set)| Command::Expunge { mailbox, set }),
        2 => (mailbox.clone(), mailbox.clone(), set.clone(), room)
            .prop_map(|(from, to, set, room)| Command::Copy { from, to, set, room }),
        2 => (mailbox.clone(), mailbox, set).prop_map(|(from, to, set)| Command::Move { from, to, set }),
        1 => Just(Command::Delete),
    ]
}

fn given() -> impl Strategy<Value = Given> {
    (command(), any::<bool>())
}

/// Appends and copies of so much that it is filed as a hidden block.
fn large() -> impl Strategy<Value = Given> {
    let (mailbox, room) = (0usize..3, prop::option::weighted(0.2, 0u64..4_000));
    let command = prop_oneof![
        (mailbox.clone(), any::<u8>(), room.clone()).prop_map(|(mailbox, flags, room)| Command::Append {
            mailbox,
            count: LARGE,
            flags,
            room
        }),
        (mailbox.clone(), mailbox, room).prop_map(|(from, to, room)| Command::Copy {
            from,
            to,
            set: (1, u32::MAX / 2),
            room
        }),
    ];
    (command, any::<bool>())
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let (mailbox, second) = (0usize..3, any::<bool>());
    prop_oneof![
        8 => given().prop_map(Step::One),
        8 => (given(), given()).prop_map(|(one, other)| Step::Two(one, other)),
        1 => (mailbox.clone(), second).prop_map(|(mailbox, second)| Step::Open { mailbox, second }),
        2 => (mailbox.clone(), 0usize..10).prop_map(|(mailbox, ago)| Step::Return { mailbox, ago }),
        2 => mailbox.prop_map(|mailbox| Step::Outline { mailbox }),
        1 => Just(Step::Work),
    ]
}

pub(super) fn large_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => large().prop_map(Step::One),
        3 => (large(), given()).prop_map(|(large, other)| Step::Two(large, other)),
        1 => (large(), large()).prop_map(|(one, other)| Step::Two(one, other)),
        1 => (0usize..3, 0usize..3).prop_map(|(mailbox, ago)| Step::Return { mailbox, ago }),
    ]
}

// Three keywords and the five system flags.
pub(super) fn flags_of(bits: u8) -> Flags {
    let keywords = (5..8).filter(|bit| bits & (1 << bit) != 0);
    let keywords = keywords.map(|bit| format!("$Key{bit}").parse().expect("an atom"));
    Flags { system: crate::types::SystemFlags::from_bits(bits), keywords: keywords.collect() }
}

impl Command {
    /// As it is given while another one runs: what is in flight may pass a quota, and sets name what the client has
    /// seen.
    pub(super) fn beside_another(mut self, seen: &Mailboxes) -> Self {
        let within = |mailbox: usize, set: &mut (u32, u32)| {
            let last = seen[mailbox].last_uid.max(1);
            set.0 = set.0.min(last);
            set.1 = set.1.min(last - set.0);
        };
        match &mut self {
            Self::Deliver { room } | Self::Append { room, .. } => *room = None,
            Self::Store { mailbox, set, .. } => within(*mailbox, set),
            Self::Expunge { mailbox, set } => within(*mailbox, set.get_or_insert((1, u32::MAX / 2))),
            Self::Copy { from, set, room, .. } => {
                *room = None;
                within(*from, set);
            }
            Self::Move { from, set, .. } => within(*from, set),
            Self::Delete => {}
        }
        self
    }

    /// The version that UNCHANGEDSINCE names: that of a message that the client knows, or of the mailbox.
    pub(super) fn since(&self, seen: &Mailboxes) -> Option<u64> {
        let Self::Store { mailbox, unchanged, .. } = self else { return None };
        let version = |uid| seen[*mailbox].messages.get(&uid).map(|kept| kept.modseq);
        unchanged.map(|uid| version(uid).unwrap_or(seen[*mailbox].highest_modseq))
    }

    pub(super) fn change(&self) -> FlagChange {
        let Self::Store { kind, flags, .. } = self else { unreachable!("only STORE changes flags") };
        [FlagChange::Add, FlagChange::Remove, FlagChange::Replace][usize::from(*kind)](flags_of(*flags))
    }

    fn needs(&self, wanted: usize) -> bool {
        match self {
            Self::Deliver { .. } => wanted == 0,
            Self::Append { mailbox, .. } | Self::Store { mailbox, .. } => wanted == *mailbox,
            Self::Expunge { mailbox, .. } => wanted == *mailbox,
            Self::Copy { from, to, .. } | Self::Move { from, to, .. } => [*from, *to].contains(&wanted),
            Self::Delete => wanted == LAST,
        }
    }
}

impl Naive {
    fn file(&mut self, flags: Flags, size: u64) -> u32 {
        self.last_uid += 1;
        self.highest_modseq += 1;
        self.messages.insert(self.last_uid, Kept { flags, size, modseq: self.highest_modseq });
        self.last_uid
    }

    fn within(&self, (first, more): (u32, u32)) -> Vec<u32> {
        self.messages.range(first..=first + more).map(|(uid, _)| *uid).collect()
    }

    // Whether the flags are others than before.
    fn change(&mut self, uid: u32, change: &FlagChange) -> bool {
        let kept = self.messages.get_mut(&uid).expect("one of its messages");
        let before = kept.flags.clone();
        match change {
            FlagChange::Replace(new) => kept.flags = new.clone(),
            FlagChange::Add(more) => {
                kept.flags.system = kept.flags.system.union(more.system);
                kept.flags.keywords.extend(more.keywords.iter().cloned());
            }
            FlagChange::Remove(less) => {
                kept.flags.system = kept.flags.system.minus(less.system);
                kept.flags.keywords.retain(|keyword| !less.keywords.contains(keyword));
            }
        }
        let changed = kept.flags != before;
        if changed {
            self.highest_modseq += 1;
            kept.modseq = self.highest_modseq;
        }
        changed
    }

    /// The same but for versions, which are the store's own choice.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let flat = |naive: &Self| -> Vec<_> {
            naive.messages.iter().map(|(uid, kept)| (*uid, kept.flags.clone(), kept.size)).collect()
        };
        let same_uids = self.is_deleted || self.last_uid == other.last_uid;
        self.is_deleted == other.is_deleted && same_uids && flat(self) == flat(other)
    }
}

/// What the command does to the mailboxes, and answers. `size` is each new message's, in octets.
pub(super) fn expected(mailboxes: &mut Mailboxes, done: &Done, size: u64) -> Outcome {
    let over = |room: &Option<u64>, octets: u64| room.is_some_and(|room| octets > room);
    if (0..3).any(|mailbox| mailboxes[mailbox].is_deleted && done.command.needs(mailbox)) {
        return Outcome::NotFound;
    }
    match &done.command {
        Command::Deliver { room } if over(room, size) => Outcome::OverQuota,
        Command::Deliver { .. } => Outcome::Filed(vec![mailboxes[0].file(Flags::default(), size)]),
        Command::Append { count, room, .. } if over(room, *count as u64 * size) => Outcome::OverQuota,
        Command::Append { mailbox, count, flags, .. } => {
            Outcome::Filed((0..*count).map(|_| mailboxes[*mailbox].file(flags_of(*flags), size)).collect())
        }
        Command::Store { mailbox, set, .. } => {
            let (naive, change) = (&mut mailboxes[*mailbox], done.command.change());
            let is_newer = |uid: &u32| done.since.is_some_and(|since| naive.messages[uid].modseq > since);
            let (failed, named): (Vec<_>, Vec<_>) = naive.within(*set).into_iter().partition(is_newer);
            Outcome::Stored(named.into_iter().filter(|uid| naive.change(*uid, &change)).collect(), failed)
        }
        Command::Expunge { mailbox, set } => {
            let naive = &mut mailboxes[*mailbox];
            let mut gone = naive.within(set.unwrap_or((1, u32::MAX / 2)));
            gone.retain(|uid| naive.messages[uid].flags.contains(SystemFlag::Deleted));
            gone.iter().for_each(|uid| drop(naive.messages.remove(uid)));
            Outcome::Expunged(gone)
        }
        Command::Copy { from, to, set, room } => {
            let source = mailboxes[*from].within(*set);
            let copies: Vec<Kept> = source.iter().map(|uid| mailboxes[*from].messages[uid].clone()).collect();
            if over(room, copies.iter().map(|kept| kept.size).sum()) {
                return Outcome::OverQuota;
            }
            let target = copies.into_iter().map(|kept| mailboxes[*to].file(kept.flags, kept.size)).collect();
            Outcome::Copied(source, target)
        }
        Command::Move { from, to, set } => {
            let source = mailboxes[*from].within(*set);
            let mut target = Vec::new();
            for uid in &source {
                let kept = mailboxes[*from].messages.remove(uid).expect("within");
                target.push(mailboxes[*to].file(kept.flags, kept.size));
            }
            Outcome::Copied(source, target)
        }
        Command::Delete => {
            mailboxes[LAST] = Naive { is_deleted: true, ..Naive::default() };
            Outcome::Deleted
        }
    }
}

/// Whether it went through a hidden block. That leaves UIDs free: how many is the store's own choice.
pub(super) fn first_of_block(mailboxes: &Mailboxes, done: &Done) -> Option<(usize, u32)> {
    let (to, filed) = match (&done.command, &done.outcome) {
        (Command::Append { mailbox, .. }, Outcome::Filed(filed)) => (*mailbox, filed),
        (Command::Copy { to, .. }, Outcome::Copied(_, filed)) => (*to, filed),
        _ => return None,
    };
    let first = filed.first().filter(|first| **first > mailboxes[to].last_uid + BLOCK_UID_GAP / 2);
    first.map(|first| (to, *first))
}

/// A copy into a hidden block reads its messages a few at a time. What another command does meanwhile it may have met
/// or not, message by message: `early` is before that command, `late` after it.
pub(super) fn copied_between(
    mailboxes: &mut Mailboxes,
    done: &Done,
    (early, late): (&Mailboxes, &Mailboxes),
    found: &Mailboxes,
) -> bool {
    let (Command::Copy { from, to, set, .. }, Outcome::Copied(source, target)) =
        (&done.command, &done.outcome)
    else {
        return false;
    };
    let stayed = |uid: &u32| late[*from].messages.contains_key(uid);
    let missed = early[*from].within(*set).into_iter().filter(stayed).any(|uid| !source.contains(&uid));
    let fits = |(uid, copy): (&u32, &u32)| {
        let states = [early, late].map(|state| state[*from].messages.get(uid));
        let copied = found[*to].messages.get(copy);
        states.into_iter().flatten().any(|kept| copied.is_none_or(|copied| copied.flags == kept.flags))
    };
    if missed || !source.iter().zip(target).all(fits) || source.len() != target.len() {
        return false;
    }
    for (uid, copy) in source.iter().zip(target) {
        let kept = early[*from].messages.get(uid).or(late[*from].messages.get(uid)).expect("fits");
        let flags = found[*to].messages.get(copy).map_or(&kept.flags, |copied| &copied.flags);
        if mailboxes[*to].file(flags.clone(), kept.size) != *copy {
            return false;
        }
    }
    true
}
