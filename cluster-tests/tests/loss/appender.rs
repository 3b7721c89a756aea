//! A client that files messages by IMAP APPEND until told to stop, and looks at what is there whenever the
//! server comes back.

use std::io;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::sterna::Service;

use super::imap::{Flags, Imap};
use super::ledger::{MAILBOXES, Outcome, Place};
use super::text::{ACCOUNTS, Name, some_octets};
use super::world::{Line, Manner, World};

/// How many of the newest messages it looks at.
const LOOKED_AT: u32 = 40;

/// The client.
pub(super) struct Appender<'w> {
    world: &'w World,
    client: usize,
    place: Place,
    random: StdRng,
    // What is not acknowledged yet; its attempts are counted up.
    name: Name,
    since: Instant,
}

impl<'w> Appender<'w> {
    /// Number `client` of its kind.
    pub(super) fn new(world: &'w World, client: usize) -> Self {
        let accounts = ACCOUNTS.len() - 1;
        let account = client % accounts;
        let place = Place { account, mailbox: MAILBOXES[client / accounts % MAILBOXES.len()] };
        let name =
            Name { kind: "append", account, client, number: 1, attempt: 0, octets: 1000, addresses: 0 };
        let random = StdRng::seed_from_u64(world.seed ^ (client as u64) << 8 ^ 2 << 32);
        Self { world, client, place, random, name, since: Instant::now() }
    }

    /// Appends until told to stop; what it has in hand then is still acknowledged.
    pub(super) fn run(mut self) {
        self.world.persist(Service::Imap, self.client, Manner::Hasty, |line| self.talk(line));
    }

    fn talk(&mut self, line: &mut Line<'_>) -> io::Result<()> {
        let mut imap = Imap::log_in(line, self.place.account)?;
        let newest = imap.status(self.place)?["UIDNEXT"] as u32;
        imap.look(self.place, &format!("{}:*", newest.saturating_sub(LOOKED_AT).max(1)))?;
        while self.name.attempt > 0 || !self.world.is_ending() {
            self.append(&mut imap)?;
            self.world.granted(self.since);
            self.since = Instant::now();
            let octets = some_octets(&mut self.random);
            self.name = Name { number: self.name.number + 1, attempt: 0, octets, ..self.name.clone() };
            if self.name.number % 16 == self.client as u32 % 16 {
                imap.status(self.place)?;
            }
        }
        imap.command("LOGOUT").map(drop)
    }

    fn append(&mut self, imap: &mut Imap<'_, '_>) -> io::Result<()> {
        let flags = if self.random.random_bool(0.3) { Flags::from(["\\Seen".into()]) } else { Flags::new() };
        self.name.attempt += 1;
        let (ledger, name) = (&self.world.ledger, &self.name);
        ledger.begin(name, &[self.place], false);
        let floor = ledger.floor(self.place);
        let (uid_validity, uid) = imap.append(self.place, &flags, name, true)?;
        ledger.turn(name, Outcome::Promised);
        ledger.filed(self.place, floor, uid_validity, &[uid]);
        ledger.saw(self.place, uid, name);
        Ok(())
    }
}
