//! A client that waits in IDLE until told to stop: what it is told adds up to what is there.

use std::io;
use std::time::Duration;

use sterna_cluster_tests::sterna::Service;

use super::imap::Imap;
use super::ledger::Place;
use super::text::ACCOUNTS;
use super::world::{Line, Manner, World};

/// How long it waits for news.
const PATIENCE: Duration = Duration::from_secs(2);

/// The client.
pub(super) struct Idler<'w> {
    world: &'w World,
    client: usize,
}

impl<'w> Idler<'w> {
    /// Number `client` of its kind.
    pub(super) fn new(world: &'w World, client: usize) -> Self {
        Self { world, client }
    }

    /// Waits until told to stop.
    pub(super) fn run(self) {
        self.world.persist(Service::Imap, self.client, Manner::Hasty, |line| self.talk(line));
    }

    fn talk(&self, line: &mut Line<'_>) -> io::Result<()> {
        let place = Place { account: self.client % (ACCOUNTS.len() - 1), mailbox: "INBOX" };
        let mut imap = Imap::log_in(line, place.account)?;
        let mut exists = 0;
        hear(&mut exists, imap.select_anew(place)?, place);
        while !self.world.is_ending() {
            hear(&mut exists, imap.idle(PATIENCE)?, place);
            let (told, found) = imap.search_all()?;
            hear(&mut exists, told, place);
            assert_eq!(found, exists, "{place:?} has other numbers than IDLE told of");
        }
        imap.command("LOGOUT").map(drop)
    }
}

/// Counts what is there by what was told.
fn hear(exists: &mut usize, told: Vec<String>, place: Place) {
    for line in told {
        let words: Vec<&str> = line.split(' ').collect();
        let ["*", number, what, ..] = words[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        match what {
            "EXISTS" => {
                assert!(number >= *exists, "{place:?} shrank from {exists} without EXPUNGE: {line}");
                *exists = number;
            }
            "EXPUNGE" => {
                assert!((1..=*exists).contains(&number), "{place:?} has {exists}: {line}");
                *exists -= 1;
            }
            _ => {}
        }
    }
}
