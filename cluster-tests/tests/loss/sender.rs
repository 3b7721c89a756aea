//! A client that sends mail by SMTP until told to stop: to one mailbox, to two, or to one and another server.

use std::io;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::sterna::{PASSWORD, Service, address};

use super::ledger::{Outcome, Place};
use super::text::{ACCOUNTS, Name, some_octets};
use super::world::{Line, Manner, Refusal, World};

/// The other server's domain.
pub(super) const FAR: &str = "far.test";
/// Accounts that get mail; the last one's is its editor's alone.
const RECIPIENTS: usize = ACCOUNTS.len() - 1;

/// The client.
pub(super) struct Sender<'w> {
    world: &'w World,
    service: Service,
    client: usize,
    random: StdRng,
    number: u32,
    // What is not acknowledged yet.
    order: Option<Order>,
}

#[derive(Debug, Clone)]
struct Order {
    since: Instant,
    places: Vec<Place>,
    remote: bool,
    attempts: u32,
    octets: usize,
}

impl<'w> Sender<'w> {
    /// Number `client` of those that speak to `service`.
    pub(super) fn new(world: &'w World, service: Service, client: usize) -> Self {
        let seed = world.seed ^ (client as u64) << 8 ^ u64::from(service == Service::Mx) << 32;
        let random = StdRng::seed_from_u64(seed);
        Self { world, service, client, random, number: 0, order: None }
    }

    /// Sends until told to stop; what it has in hand then is still acknowledged.
    pub(super) fn run(mut self) {
        self.world.persist(self.service, self.client, Manner::Hasty, |line| self.talk(line));
    }

    fn talk(&mut self, line: &mut Line<'_>) -> io::Result<()> {
        reply(line, "220")?;
        ask(line, "EHLO client.example", "250")?;
        if self.service == Service::Submissions {
            let credentials = format!("\0{}\0{PASSWORD}", address(ACCOUNTS[self.account()]));
            ask(line, &format!("AUTH PLAIN {}", STANDARD.encode(credentials)), "235")?;
        }
        loop {
            if self.order.is_none() {
                if self.world.is_ending() {
                    return ask(line, "QUIT", "221");
                }
                self.order = Some(self.next_order());
            }
            self.send(line)?;
            self.order = None;
        }
    }

    fn account(&self) -> usize {
        self.client % RECIPIENTS
    }

    fn next_order(&mut self) -> Order {
        self.number += 1;
        // Half of all goes to one mailbox.
        let first = if self.random.random_bool(0.5) { 0 } else { self.random.random_range(0..RECIPIENTS) };
        let mut accounts = vec![first];
        let remote = self.service == Service::Submissions;
        if self.random.random_bool(0.25) {
            accounts.push((first + self.random.random_range(1..RECIPIENTS)) % RECIPIENTS);
        } else if remote && self.random.random_bool(0.5) {
            accounts.clear();
        }
        let places = accounts.into_iter().map(|account| Place { account, mailbox: "INBOX" }).collect();
        Order { since: Instant::now(), places, remote, attempts: 0, octets: some_octets(&mut self.random) }
    }

    fn send(&mut self, line: &mut Line<'_>) -> io::Result<()> {
        let account = self.account();
        let order = self.order.as_mut().expect("something to send");
        order.attempts += 1;
        let name = Name {
            kind: if self.service == Service::Mx { "mx" } else { "submission" },
            account,
            client: self.client,
            number: self.number,
            attempt: order.attempts,
            octets: order.octets,
            addresses: 0,
        };
        let order = order.clone();
        self.world.ledger.begin(&name, &order.places, order.remote);
        self.envelope(line, &order)?;
        let text = name.text();
        match self.client % 3 {
            0 => self.chunks(line, &name, text.as_bytes())?,
            _ => self.data(line, &name, text.as_bytes())?,
        }
        reply(line, "250")?;
        self.world.ledger.turn(&name, Outcome::Promised);
        self.world.granted(order.since);
        Ok(())
    }

    fn envelope(&mut self, line: &mut Line<'_>, order: &Order) -> io::Result<()> {
        let mut commands = vec![format!("MAIL FROM:<{}>", address(ACCOUNTS[self.account()]))];
        let near = order.places.iter().map(|place| address(place.owner()));
        let far = order.remote.then(|| format!("friend@{FAR}"));
        commands.extend(near.chain(far).map(|recipient| format!("RCPT TO:<{recipient}>")));
        if self.random.random_bool(0.5) {
            return commands.iter().try_for_each(|command| ask(line, command, "250"));
        }
        line.send((commands.join("\r\n") + "\r\n").as_bytes())?;
        commands.iter().try_for_each(|_| reply(line, "250"))
    }

    fn data(&mut self, line: &mut Line<'_>, name: &Name, text: &[u8]) -> io::Result<()> {
        ask(line, "DATA", "354")?;
        let (start, rest) = text.split_at(self.random.random_range(0..text.len()));
        line.send(start)?;
        line.send(rest)?;
        self.world.ledger.turn(name, Outcome::Doubtful);
        line.send(b".\r\n")
    }

    fn chunks(&mut self, line: &mut Line<'_>, name: &Name, text: &[u8]) -> io::Result<()> {
        let (start, rest) = text.split_at(self.random.random_range(1..text.len()));
        line.send(&[format!("BDAT {}\r\n", start.len()).as_bytes(), start].concat())?;
        reply(line, "250")?;
        self.world.ledger.turn(name, Outcome::Doubtful);
        line.send(&[format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat())
    }
}

fn ask(line: &mut Line<'_>, command: &str, code: &str) -> io::Result<()> {
    line.send(format!("{command}\r\n").as_bytes())?;
    reply(line, code)
}

/// A whole reply, whose code must be this one, or tell of a temporary failure.
fn reply(line: &mut Line<'_>, code: &str) -> io::Result<()> {
    loop {
        let text = line.line()?;
        if text.starts_with('4') {
            return Err(Refusal::error(&text));
        }
        assert!(text.starts_with(code), "{text:?} instead of {code}");
        if text.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
