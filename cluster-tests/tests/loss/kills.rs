//! One server under so many clients, killed so many times, and the audit.

use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::Sterna;

use super::audit::{self, Counts};
use super::crowd::{Crowd, Far};
use super::editor;
use super::text::ACCOUNTS;
use super::world::World;
use crate::mail;

/// 64 of them file messages.
const CROWD: Crowd = Crowd { mx_senders: 40, submitters: 8, appenders: 16, idlers: 0 };
/// Kills, unless `STERNA_KILLS` says otherwise.
const KILLS: u64 = 20;
/// Lines that all clients together send and receive between two kills.
const STEPS: RangeInclusive<u64> = 500..=8000;
/// Of all kills, the share that comes while the server starts.
const WHILE_STARTING: f64 = 0.2;
/// The default of `STERNA_KILL_SEED`.
const SEED: u64 = 5321;

/// What the kills were like.
#[derive(Debug, Default)]
struct Deaths {
    kills: u64,
    while_starting: u64,
    restarts: Vec<Duration>,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_again_and_again() {
    let (kills, seed) =
        (setting("STERNA_KILLS").unwrap_or(KILLS), setting("STERNA_KILL_SEED").unwrap_or(SEED));
    say(&format!("STERNA_KILL_SEED={seed} STERNA_KILLS={kills}"));
    let begin = Instant::now();
    let far = Far::start();
    let mut server = Sterna::start_with(&ACCOUNTS, &far.options());
    let world = World::new([&server], seed);
    let (deaths, editors) = CROWD.around(&world, || kill_again_and_again(&mut server, &world, kills));
    let loaded = begin.elapsed();
    wait_for("an empty queue", || mail::queue(&server).is_empty().then_some(()));
    let found = audit::mailboxes(&world, 0);
    let counts = audit::attempts(&world.ledger, &found, &audit::far(&far.sink), &editors);
    server.cli(&["bodies", "verify", "--read"]);
    audit::quotas((0, &server), &world, &found);
    report(&world, &deaths, &counts, (loaded, begin.elapsed()));
    say(&editor::report(editors.values()));
}

fn kill_again_and_again(server: &mut Sterna, world: &World, kills: u64) -> Deaths {
    let mut random = StdRng::seed_from_u64(world.seed);
    let (mut deaths, mut longest) = (Deaths::default(), Duration::from_millis(500));
    while deaths.kills < kills {
        world.after_steps(random.random_range(STEPS));
        world.befalls("a kill");
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
        world.recovered();
    }
    deaths
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

fn say(text: &str) {
    tell(&format!("kill test: {text}"));
}
