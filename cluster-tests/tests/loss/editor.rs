//! A client that files messages of its own among everybody's, changes, copies, moves and expunges them, and
//! knows at each moment what must be there. A command without an answer was done as a whole or not at all.

use std::collections::BTreeMap;
use std::io;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::sterna::Service;

use super::imap::{Flags, Imap, code, uids};
use super::ledger::{MAILBOXES, Numbers, Place};
use super::model::{Mode, Operation, Own, State};
use super::text::{ACCOUNTS, Name};
use super::world::{Line, Manner, World};

/// Most messages of its own that an editor keeps.
const MOST: usize = 40;
/// Most that one of its commands names.
const NAMED: usize = 8;
/// Messages that the bulk editor copies at once, and addresses in each: what the server keeps beside them is
/// more than one transaction takes, so that they are filed in parts which nobody may see.
const BULK: usize = 100;
const BULK_ADDRESSES: usize = 1000;

/// What an editor has to tell in the end.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// What must be there.
    pub(super) state: State,
    /// Commands that were answered.
    pub(super) answered: usize,
    /// Commands without an answer, and how many of them had been done.
    pub(super) doubtful: usize,
    pub(super) doubtful_done: usize,
    /// Copies of all messages of the bulk editor that were answered.
    pub(super) bulk_copies: usize,
}

/// The client.
pub(super) struct Editor<'w> {
    world: &'w World,
    kind: &'static str,
    places: [Place; 2],
    random: StdRng,
    number: u32,
    edits: Edits,
    // The command under way, and UIDNEXT of both mailboxes before it.
    doubtful: Option<(Operation, [Numbers; 2])>,
}

impl<'w> Editor<'w> {
    /// Editor of the account's mailboxes.
    pub(super) fn new(world: &'w World, account: usize) -> Self {
        let kind = if account == ACCOUNTS.len() - 1 { "bulk" } else { "edit" };
        let places = MAILBOXES.map(|mailbox| Place { account, mailbox });
        let random = StdRng::seed_from_u64(world.seed ^ (account as u64) << 8 ^ 3 << 32);
        Self { world, kind, places, random, number: 0, edits: Edits::default(), doubtful: None }
    }

    /// Files what the bulk editor copies; for before the first kill.
    pub(super) fn fill(&mut self) {
        self.world.persist(Service::Imap, self.places[0].account, Manner::Patient, |line| {
            let mut imap = Imap::log_in(line, self.places[0].account)?;
            while self.edits.state[0].len() < BULK {
                let operation = Operation::Append { at: 0, own: self.own(200, BULK_ADDRESSES) };
                self.perform(&mut imap, &operation)?;
            }
            Ok(())
        });
    }

    /// Works until told to stop; tells what must be there.
    pub(super) fn run(mut self) -> (usize, Edits) {
        self.world.persist(Service::Imap, self.places[0].account, Manner::Patient, |line| self.talk(line));
        (self.places[0].account, self.edits)
    }

    fn talk(&mut self, line: &mut Line<'_>) -> io::Result<()> {
        let mut imap = Imap::log_in(line, self.places[0].account)?;
        self.recover(&mut imap)?;
        while !self.world.is_ending() {
            let operation = if self.kind == "bulk" { self.next_of_bulk() } else { self.next() };
            self.doubtful =
                Some((operation.clone(), self.places.map(|place| self.world.ledger.floor(place))));
            self.perform(&mut imap, &operation)?;
            self.doubtful = None;
            self.edits.answered += 1;
            let is_bulk = self.kind == "bulk" && matches!(operation, Operation::Copy { .. });
            self.edits.bulk_copies += usize::from(is_bulk);
            if self.random.random_bool(0.1) {
                imap.status(self.places[0])?;
            }
        }
        imap.command("LOGOUT").map(drop)
    }

    /// Finds out whether the command under way was done.
    fn recover(&mut self, imap: &mut Imap<'_, '_>) -> io::Result<()> {
        let floors = match &self.doubtful {
            Some((_, floors)) => *floors,
            None => self.places.map(|place| self.world.ledger.floor(place)),
        };
        let mut found = State::default();
        for at in 0..2 {
            let known = self.edits.state[at].keys().map(u32::to_string);
            let set: Vec<String> = known.chain([format!("{}:*", floors[at].uid_next.max(1))]).collect();
            for (uid, flags, name) in imap.look(self.places[at], &set.join(","))? {
                if name.kind == self.kind {
                    found[at].insert(uid, Own { name, flags });
                }
            }
        }
        match &self.doubtful {
            None => assert_eq!(found, self.edits.state, "{:?}: not what it was", self.places[0].owner()),
            Some((operation, _)) => match operation.was_done(&self.edits.state, &found) {
                Ok(done) => {
                    self.edits.doubtful += 1;
                    self.edits.doubtful_done += usize::from(done);
                    self.settle(found);
                }
                Err(error) => panic!("neither done nor not done: {error}"),
            },
        }
        self.doubtful = None;
        Ok(())
    }

    fn settle(&mut self, now: State) {
        for (at, mailbox) in now.iter().enumerate() {
            let gone = self.edits.state[at].keys().filter(|uid| !mailbox.contains_key(uid));
            self.world.ledger.went(self.places[at], gone.copied());
            for (uid, own) in mailbox {
                self.world.ledger.saw(self.places[at], *uid, &own.name);
            }
        }
        self.edits.state = now;
    }

    fn perform(&mut self, imap: &mut Imap<'_, '_>, operation: &Operation) -> io::Result<()> {
        let (mut state, to, new) = operation.apply(&self.edits.state);
        let floor = self.world.ledger.floor(self.places[to]);
        let filed = match operation {
            Operation::Append { at, own } => {
                let (uid_validity, uid) = imap.append(self.places[*at], &own.flags, &own.name, false)?;
                Some((uid_validity, vec![uid]))
            }
            Operation::Store { at, uids, mode, flags } => {
                imap.select(self.places[*at])?;
                let flags: Vec<_> = flags.iter().map(String::as_str).collect();
                let item = match mode {
                    Mode::Add => "+FLAGS",
                    Mode::Remove => "-FLAGS.SILENT",
                    Mode::Replace => "FLAGS",
                };
                imap.command(&format!("UID STORE {} {item} ({})", set(uids), flags.join(" ")))?;
                None
            }
            Operation::Copy { at, uids } => Some(self.transfer(imap, "COPY", (*at, to), uids)?),
            Operation::Move { at, uids } => Some(self.transfer(imap, "MOVE", (*at, to), uids)?),
            Operation::Expunge { at, uids } => {
                imap.select(self.places[*at])?;
                imap.command(&format!("UID EXPUNGE {}", set(uids)))?;
                None
            }
        };
        if let Some((uid_validity, filed)) = filed {
            assert_eq!(filed.len(), new.len(), "{operation:?}: {filed:?}");
            self.world.ledger.filed(self.places[to], floor, uid_validity, &filed);
            state[to].extend(filed.into_iter().zip(new));
        }
        self.settle(state);
        Ok(())
    }

    /// COPY or MOVE; gives UIDVALIDITY and the new UIDs.
    fn transfer(
        &self,
        imap: &mut Imap<'_, '_>,
        command: &str,
        (at, to): (usize, usize),
        named: &[u32],
    ) -> io::Result<(u32, Vec<u32>)> {
        imap.select(self.places[at])?;
        let answers = imap.command(&format!("UID {command} {} {}", set(named), self.places[to].mailbox))?;
        let code = code(&answers, "COPYUID ");
        let parts: Vec<&str> = code.split(' ').collect();
        assert_eq!(uids(parts[1]), named, "{command}: {code}");
        Ok((parts[0].parse().expect("UIDVALIDITY"), uids(parts[2])))
    }

    fn next(&mut self) -> Operation {
        let total = self.edits.state[0].len() + self.edits.state[1].len();
        let mut at = self.random.random_range(0..2);
        if total < 4 || total < MOST && self.random.random_bool(0.25) {
            return Operation::Append { at, own: self.own(500, 0) };
        }
        if self.edits.state[at].is_empty() {
            at = 1 - at;
        }
        let count = self.random.random_range(1..=NAMED);
        let mut uids = self.edits.state[at].keys().copied().choose_multiple(&mut self.random, count);
        uids.sort_unstable();
        let marked = |own: &Own| own.flags.contains("\\Deleted");
        let is_full = total >= MOST;
        match self.random.random_range(0..10) {
            _ if is_full && !self.edits.state[at].values().any(marked) => {
                Operation::Store { at, uids, mode: Mode::Add, flags: Flags::from(["\\Deleted".into()]) }
            }
            0..4 if is_full => {
                Operation::Expunge { at, uids: self.edits.state[at].keys().copied().collect() }
            }
            0 | 1 if !is_full => Operation::Copy { at, uids },
            2 | 3 => Operation::Move { at, uids },
            4 => Operation::Expunge { at, uids },
            _ => {
                let mode = [Mode::Add, Mode::Remove, Mode::Replace][self.random.random_range(0..3)];
                Operation::Store { at, uids, mode, flags: self.some_flags() }
            }
        }
    }

    /// Copies all of INBOX, clears the copies away, and again.
    fn next_of_bulk(&mut self) -> Operation {
        let copies = &self.edits.state[1];
        let uids = copies.keys().copied().collect();
        match copies.values().next() {
            None => Operation::Copy { at: 0, uids: self.edits.state[0].keys().copied().collect() },
            Some(copy) if copy.flags.contains("\\Deleted") => Operation::Expunge { at: 1, uids },
            Some(_) => {
                Operation::Store { at: 1, uids, mode: Mode::Add, flags: Flags::from(["\\Deleted".into()]) }
            }
        }
    }

    fn own(&mut self, octets: usize, addresses: usize) -> Own {
        self.number += 1;
        let account = self.places[0].account;
        let (kind, number) = (self.kind, self.number);
        let name = Name { kind, account, client: account, number, attempt: 1, octets, addresses };
        let flags = if addresses > 0 { Flags::new() } else { self.some_flags() };
        Own { name, flags }
    }

    fn some_flags(&mut self) -> Flags {
        let all = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$One", "$Two"];
        let chosen = all.into_iter().filter(|_| self.random.random_bool(0.3));
        chosen.map(str::to_owned).collect()
    }
}

/// What all editors together have done.
pub(super) fn report<'e>(editors: impl Iterator<Item = &'e Edits> + Clone) -> String {
    let sum = |count: fn(&Edits) -> usize| editors.clone().map(count).sum::<usize>();
    format!(
        "{} edits, {} of them copies of everything; {} in doubt, of which {} had been done",
        sum(|edits| edits.answered),
        sum(|edits| edits.bulk_copies),
        sum(|edits| edits.doubtful),
        sum(|edits| edits.doubtful_done),
    )
}

/// A UID set of ascending UIDs, with ranges.
fn set(uids: &[u32]) -> String {
    let mut runs = BTreeMap::<u32, u32>::new();
    for uid in uids {
        match runs.last_entry() {
            Some(mut run) if run.get() + 1 == *uid => {
                run.insert(*uid);
            }
            _ => {
                runs.insert(*uid, *uid);
            }
        }
    }
    let run = |(first, last): (&u32, &u32)| format!("{first}:{last}");
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}
