//! The test: so many clients, so many kills, and the audit.

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::dns::NameServer;
use sterna_cluster_tests::host::{free_port, loopback_address, wait_for};
use sterna_cluster_tests::sink::Sink;
use sterna_cluster_tests::sterna::{Options, Service, Sterna};

use super::appender::Appender;
use super::audit::{self, Counts};
use super::editor::{Editor, Edits};
use super::imap::Imap;
use super::ledger::{MAILBOXES, Place};
use super::sender::{FAR, Sender};
use super::text::ACCOUNTS;
use super::world::{Alarm, World};
use crate::mail;

/// Clients of each kind; 64 file messages.
const MX_SENDERS: usize = 40;
const SUBMITTERS: usize = 8;
const APPENDERS: usize = 16;
/// Kills, unless `STERNA_KILLS` says otherwise.
const KILLS: u64 = 20;
/// Lines that all clients together send and receive between two kills.
const STEPS: RangeInclusive<u64> = 500..=8000;
/// Of all kills, the share that comes while the server starts.
const WHILE_STARTING: f64 = 0.2;
/// The default of `STERNA_KILL_SEED`.
const SEED: u64 = 5321;

const SETTINGS: &str = "\
    [login]\ntrusted_networks = [\"127.0.0.0/8\"]\nhash_memory_kib = 8192\nhash_passes = 1\n\
    [queue]\nfirst_retry_seconds = 1\nlongest_retry_seconds = 1\n\
    [bodies]\nstaging_octets = 65536\nsegment_octets = 1048576\nsegment_age_seconds = 1\ngrace_seconds = 60\n";

/// What the kills were like.
#[derive(Debug, Default)]
struct Deaths {
    kills: u64,
    while_starting: u64,
    restarts: Vec<Duration>,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_again_and_again() {
    let (kills, seed) = (variable("STERNA_KILLS", KILLS), variable("STERNA_KILL_SEED", SEED));
    say(&format!("STERNA_KILL_SEED={seed} STERNA_KILLS={kills}"));
    let begin = Instant::now();
    let names = NameServer::start();
    let (remote, port) = (loopback_address(), free_port());
    names.add_mx(FAR, 10, "mx.far.test");
    names.add_address("mx.far.test", remote);
    let sink = Sink::taking(remote, port);
    let options = Options {
        name_server: Some(names.address()),
        outbound_port: Some(port),
        settings: SETTINGS.to_owned(),
        ..Options::default()
    };
    let mut server = Sterna::start_with(&ACCOUNTS, &options);
    let world = World::new(&server, seed);
    let (deaths, editors) = thread::scope(|scope| {
        let world = &world;
        let _alarm = Alarm(world);
        let mut editors: Vec<_> = (0..ACCOUNTS.len()).map(|account| Editor::new(world, account)).collect();
        editors.last_mut().expect("the bulk editor").fill();
        let mx = (0..MX_SENDERS).map(|client| (Service::Mx, client));
        let submission = (0..SUBMITTERS).map(|client| (Service::Submissions, client));
        for (service, client) in mx.chain(submission) {
            scope.spawn(move || guarded(world, || Sender::new(world, service, client).run()));
        }
        for client in 0..APPENDERS {
            scope.spawn(move || guarded(world, || Appender::new(world, client).run()));
        }
        let work = editors.into_iter().map(|editor| scope.spawn(move || guarded(world, || editor.run())));
        let editors: Vec<_> = work.collect();
        let deaths = kill_again_and_again(&mut server, world, kills);
        world.end();
        let edits = editors.into_iter().map(|editor| editor.join().expect("an editor that ends well"));
        (deaths, edits.collect::<HashMap<usize, Edits>>())
    });
    let loaded = begin.elapsed();
    let counts = audited(&server, &world, &sink, &editors);
    report(&world, &deaths, &counts, (loaded, begin.elapsed()));
    report_edits(editors.values());
}

fn guarded<T>(world: &World, work: impl FnOnce() -> T) -> T {
    let _alarm = Alarm(world);
    work()
}

fn kill_again_and_again(server: &mut Sterna, world: &World, kills: u64) -> Deaths {
    let mut random = StdRng::seed_from_u64(world.seed);
    let (mut deaths, mut longest) = (Deaths::default(), Duration::from_millis(500));
    while deaths.kills < kills {
        world.after_steps(random.random_range(STEPS));
        world.going_down();
        server.kill();
        deaths.kills += 1;
        while deaths.kills < kills && random.random_bool(WHILE_STARTING) {
            server.launch();
            #[expect(clippy::disallowed_methods, reason = "not a wait for anything: the moment of the kill")]
            thread::sleep(longest.mul_f64(random.random()));
            server.kill();
            deaths.kills += 1;
            deaths.while_starting += 1;
        }
        let begin = Instant::now();
        server.run();
        deaths.restarts.push(begin.elapsed());
        longest = longest.max(begin.elapsed());
        world.came_up();
    }
    deaths
}

fn audited(server: &Sterna, world: &World, sink: &Sink, editors: &HashMap<usize, Edits>) -> Counts {
    wait_for("an empty queue", || mail::queue(server).is_empty().then_some(()));
    let (mut found, mut octets) = (HashMap::new(), HashMap::<usize, u64>::new());
    for account in 0..ACCOUNTS.len() {
        world.persist(Service::Imap, |line| {
            let mut imap = Imap::log_in(line, account)?;
            for mailbox in MAILBOXES {
                let place = Place { account, mailbox };
                let (messages, sum) = audit::mailbox(&mut imap, &world.ledger, place)?;
                found.insert(place, messages);
                *octets.entry(account).or_default() += sum;
            }
            Ok(())
        });
    }
    let counts = audit::attempts(&world.ledger, &found, &audit::far(sink), editors);
    server.cli(&["bodies", "verify", "--read"]);
    for (account, octets) in octets {
        audit::quota(server, world, account, octets);
    }
    counts
}

fn report(world: &World, deaths: &Deaths, counts: &Counts, (loaded, all): (Duration, Duration)) {
    let Deaths { kills, while_starting, restarts } = deaths;
    let longest = restarts.iter().max().copied().unwrap_or_default();
    let sum: Duration = restarts.iter().sum();
    say(&format!(
        "{} messages acknowledged in {} s, {kills} kills ({while_starting} of them while starting), \
         restarts {} ms on average, {} ms at most; {} attempts in doubt, of which {} are there; \
         {} messages in mailboxes, {} at the other server, {} steps; {} s with the audit",
        counts.promised,
        loaded.as_secs(),
        (sum / restarts.len().max(1) as u32).as_millis(),
        longest.as_millis(),
        counts.doubtful,
        counts.doubtful_there,
        counts.messages,
        counts.far,
        world.steps(),
        all.as_secs(),
    ));
}

fn report_edits<'e>(editors: impl Iterator<Item = &'e Edits> + Clone) {
    let sum = |count: fn(&Edits) -> usize| editors.clone().map(count).sum::<usize>();
    say(&format!(
        "{} edits, {} of them copies of everything; {} in doubt, of which {} had been done",
        sum(|edits| edits.answered),
        sum(|edits| edits.bulk_copies),
        sum(|edits| edits.doubtful),
        sum(|edits| edits.doubtful_done),
    ));
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

fn say(text: &str) {
    // Also when the test goes well, which cargo's capture would hide.
    writeln!(std::io::stderr(), "kill test: {text}").expect("standard error");
}
