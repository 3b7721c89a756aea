//! Three nodes under load through SMTP and IMAP on all of them, while all kinds of faults befall them, and the audit.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sterna_cluster_tests::console::{setting, tell};
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::network::Network;
use sterna_cluster_tests::s3::S3Server;
use sterna_cluster_tests::sterna::Options;
use sterna_cluster_tests::tools;
use sterna_cluster_tests::trio::Trio;
use sterna_cluster_tests::wall_clock::WallClock;

use super::audit::{self, Counts};
use super::crowd::{Crowd, Far};
use super::editor;
use super::faults::{self, Fault, Scene};
use super::text::ACCOUNTS;
use super::world::World;
use crate::bucket::{scene, whole};
use crate::{disks, mail};

const CROWD: Crowd = Crowd { mx_senders: 18, submitters: 6, appenders: 9, idlers: 6 };
/// How long faults come, unless `STERNA_ZERO_LOSS_SECONDS` says otherwise.
const SECONDS: u64 = 300;
/// Lines that all clients together send and receive between two faults.
const STEPS: RangeInclusive<u64> = 200..=3000;
/// The default of `STERNA_ZERO_LOSS_SEED`.
const SEED: u64 = 5321;

#[test]
fn nothing_acknowledged_is_lost_by_a_cluster_whatever_befalls_it() {
    let seconds = setting("STERNA_ZERO_LOSS_SECONDS").unwrap_or(SECONDS);
    let seed = setting("STERNA_ZERO_LOSS_SEED").unwrap_or(SEED);
    say(&format!("STERNA_ZERO_LOSS_SEED={seed} STERNA_ZERO_LOSS_SECONDS={seconds}"));
    let (far, s3, network) = (Far::start(), S3Server::start(&[scene::BUCKET]), Network::default());
    let (disks, clocks) = (disks::disks(), <[WallClock; 3]>::default());
    let trio = Trio::start_over(&network, &ACCOUNTS, |place| {
        let data = disks.get(place).map(|disk| disk.path().join("data"));
        let mut options = options(&far, &s3);
        options.environment.extend(clocks[place].environment());
        Options { data, ..options }
    });
    for (place, node) in trio.nodes.iter().enumerate() {
        network.set_process(place, node.pid());
    }
    let mut scene = Scene { trio, disks, network, s3, clocks };
    let world = World::new(&scene.trio.nodes, seed);
    let (struck, editors) =
        CROWD.around(&world, || strike_again_and_again(&mut scene, &world, Duration::from_secs(seconds)));
    let nodes = &scene.trio.nodes;
    wait_for("an empty queue", || mail::queue(&nodes[0]).is_empty().then_some(()));
    let found = audit::mailboxes(&world, 0);
    for at in 1..nodes.len() {
        assert_eq!(audit::mailboxes(&world, at), found, "nodes 0 and {at} do not agree");
    }
    let counts = audit::attempts(&world.ledger, &found, &audit::far(&far.sink), &editors);
    wait_for("a whole bucket", || {
        // Each node has just read every message.
        let verified = tools::run(&mut nodes[1].command(&["bodies", "verify"]));
        verified.status.success().then_some(())
    });
    audit::quotas((2, &nodes[2]), &world, &found);
    report(&world, &struck, &counts);
    say(&editor::report(editors.values()));
}

/// Of nodes that keep bodies in a bucket, and for which nothing waits long.
fn options(far: &Far, s3: &S3Server) -> Options {
    let of_bucket = whole::options(s3, "");
    let far = far.options();
    // One section of each name.
    let (before, bodies) = far.settings.split_once("[bodies]\n").expect("settings of bodies");
    let bodies = bodies.replace("segment_age_seconds = 1\n", "");
    Options {
        settings: format!("{before}{}{bodies}", of_bucket.settings),
        environment: of_bucket.environment,
        ..far
    }
}

/// How often each kind struck, and the longest time until all nodes were ready again.
type Struck = BTreeMap<&'static str, (usize, Duration)>;

fn strike_again_and_again(scene: &mut Scene, world: &World, long: Duration) -> Struck {
    let mut random = StdRng::seed_from_u64(world.seed);
    let (begin, mut struck) = (Instant::now(), Struck::new());
    let kinds = kinds();
    for fault in faults::without_end(kinds, StdRng::seed_from_u64(world.seed), !scene.disks.is_empty()) {
        world.after_steps(random.random_range(STEPS));
        if begin.elapsed() >= long {
            break;
        }
        say(&format!("{} s: {}", begin.elapsed().as_secs(), fault.name()));
        world.befalls(fault.name());
        let since = Instant::now();
        scene.strike(fault, &mut random);
        let (count, longest) = struck.entry(fault.name()).or_default();
        (*count, *longest) = (*count + 1, since.elapsed().max(*longest));
        world.recovered();
    }
    struck
}

/// Those that `STERNA_ZERO_LOSS_FAULTS` names, with commas between; otherwise all.
fn kinds() -> Vec<Fault> {
    let Ok(names) = std::env::var("STERNA_ZERO_LOSS_FAULTS") else { return Fault::ALL.to_vec() };
    let kind = |name: &str| {
        let found = Fault::ALL.into_iter().find(|fault| fault.name() == name.trim());
        found.unwrap_or_else(|| panic!("no fault is named {name:?}"))
    };
    names.split(',').map(kind).collect()
}

fn report(world: &World, struck: &Struck, counts: &Counts) {
    let (waits, refusals) = world.told();
    for (fault, wait) in &waits {
        let (count, longest) = struck.get(fault).copied().unwrap_or_default();
        say(&format!(
            "{fault}: {count} times, {} ms at most until all were ready; a client waited {} ms at most, {} refusals for now",
            longest.as_millis(),
            wait.as_millis(),
            refusals.get(fault).copied().unwrap_or(0),
        ));
    }
    say(&format!(
        "{} faults; {} messages acknowledged; {} attempts in doubt, of which {} are there; {} messages in mailboxes, \
         {} at the other server, {} steps",
        struck.values().map(|(count, _)| count).sum::<usize>(),
        counts.promised,
        counts.doubtful,
        counts.doubtful_there,
        counts.messages,
        counts.far,
        world.steps(),
    ));
}

fn say(text: &str) {
    tell(&format!("zero loss: {text}"));
}
