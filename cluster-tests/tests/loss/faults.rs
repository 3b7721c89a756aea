//! What befalls a cluster of three nodes, one thing at a time, and how it ends.

use std::thread;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use sterna_cluster_tests::faulty_disk::Disk;
use sterna_cluster_tests::network::{Network, Trouble};
use sterna_cluster_tests::s3::{Fault as OfBucket, S3Server};
use sterna_cluster_tests::sterna::Sterna;
use sterna_cluster_tests::trio::Trio;
use sterna_cluster_tests::wall_clock::WallClock;

/// A kind of fault. `Leader` is the node that leads the mailboxes' group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    LeaderKilled,
    FollowerKilled,
    AllKilled,
    MajorityLosesPower,
    AllLosePower,
    LeaderPaused,
    FollowerPaused,
    LeaderPausedForAMinute,
    LeaderCutOff,
    FollowerCutOff,
    LeaderDeaf,
    LeaderMute,
    AllSlow,
    ConnectionsReset,
    LeadMoved,
    LeaderStopped,
    VoterReplaced,
    BucketAway,
    BucketInTrouble,
    LeaderAhead,
    LeaderBehind,
    FollowerAhead,
    AllAhead,
    ClocksLeap,
}

impl Fault {
    /// All kinds.
    pub(super) const ALL: [Self; 24] = [
        Self::LeaderKilled,
        Self::FollowerKilled,
        Self::AllKilled,
        Self::MajorityLosesPower,
        Self::AllLosePower,
        Self::LeaderPaused,
        Self::FollowerPaused,
        Self::LeaderPausedForAMinute,
        Self::LeaderCutOff,
        Self::FollowerCutOff,
        Self::LeaderDeaf,
        Self::LeaderMute,
        Self::AllSlow,
        Self::ConnectionsReset,
        Self::LeadMoved,
        Self::LeaderStopped,
        Self::VoterReplaced,
        Self::BucketAway,
        Self::BucketInTrouble,
        Self::LeaderAhead,
        Self::LeaderBehind,
        Self::FollowerAhead,
        Self::AllAhead,
        Self::ClocksLeap,
    ];

    /// Its name in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "leader killed",
            Self::FollowerKilled => "follower killed",
            Self::AllKilled => "all killed at once",
            Self::MajorityLosesPower => "majority loses its power at once",
            Self::AllLosePower => "all lose their power at once",
            Self::LeaderPaused => "leader paused",
            Self::FollowerPaused => "follower paused",
            Self::LeaderPausedForAMinute => "leader paused for a minute",
            Self::LeaderCutOff => "leader cut off",
            Self::FollowerCutOff => "follower cut off",
            Self::LeaderDeaf => "leader hears nobody",
            Self::LeaderMute => "leader heard by nobody",
            Self::AllSlow => "all slow",
            Self::ConnectionsReset => "connections reset",
            Self::LeadMoved => "lead moved",
            Self::LeaderStopped => "leader stopped",
            Self::VoterReplaced => "voter replaced",
            Self::BucketAway => "bucket away",
            Self::BucketInTrouble => "bucket in trouble",
            Self::LeaderAhead => "leader's clock days ahead",
            Self::LeaderBehind => "leader's clock days back",
            Self::FollowerAhead => "follower's clock days ahead",
            Self::AllAhead => "all clocks days ahead",
            Self::ClocksLeap => "clocks leap to and fro",
        }
    }
}

/// Faults without end: all these kinds in a random order, and again. The long pause comes once; disks are needed to lose
/// power.
pub(super) fn without_end(
    mut round: Vec<Fault>,
    mut random: StdRng,
    has_disks: bool,
) -> impl Iterator<Item = Fault> {
    round.retain(|fault| has_disks || !matches!(fault, Fault::MajorityLosesPower | Fault::AllLosePower));
    round.shuffle(&mut random);
    let first = round.clone();
    let later = std::iter::repeat_with(move || {
        round.shuffle(&mut random);
        round.clone()
    });
    let later = later.flatten().filter(|fault| *fault != Fault::LeaderPausedForAMinute);
    first.into_iter().chain(later)
}

/// Where faults strike.
pub(super) struct Scene {
    pub(super) trio: Trio,
    /// Under the nodes' data, where mounting is allowed.
    pub(super) disks: Vec<Disk>,
    pub(super) network: Network,
    pub(super) s3: S3Server,
    /// The nodes' wall clocks.
    pub(super) clocks: [WallClock; 3],
}

impl Scene {
    /// Lets it happen, lets it last, and puts it right; the nodes may need a while then.
    pub(super) fn strike(&mut self, fault: Fault, random: &mut StdRng) {
        let leader = self.leader();
        let follower = (leader + random.random_range(1..3)) % 3;
        let moment = Duration::from_millis(random.random_range(500..5_000));
        match fault {
            Fault::LeaderKilled => self.kill(&[leader], moment),
            Fault::FollowerKilled => self.kill(&[follower], moment),
            Fault::AllKilled => self.kill(&[0, 1, 2], Duration::ZERO),
            Fault::MajorityLosesPower => self.cut_power(&[leader, follower]),
            Fault::AllLosePower => self.cut_power(&[0, 1, 2]),
            Fault::LeaderPaused => self.pause(leader, 2 * moment),
            Fault::FollowerPaused => self.pause(follower, 2 * moment),
            Fault::LeaderPausedForAMinute => self.pause(leader, Duration::from_secs(61)),
            Fault::LeaderCutOff => self.cut(leader, [true, true], 2 * moment),
            Fault::FollowerCutOff => self.cut(follower, [true, true], 2 * moment),
            Fault::LeaderDeaf => self.cut(leader, [true, false], 2 * moment),
            Fault::LeaderMute => self.cut(leader, [false, true], 2 * moment),
            Fault::AllSlow => self.slow_down(Duration::from_millis(random.random_range(5..60)), moment),
            Fault::ConnectionsReset => self.network.reset(leader),
            Fault::LeadMoved => {
                let to = self.trio.numbers[follower].to_string();
                self.trio.nodes[follower].cli(&["cluster", "transfer", &to]);
            }
            Fault::LeaderStopped => self.stop(leader, moment),
            Fault::VoterReplaced => self.replace(follower, leader),
            Fault::BucketAway => {
                self.s3.plan().set_away(true);
                lasts(2 * moment);
                self.s3.plan().calm();
            }
            Fault::BucketInTrouble => {
                let kinds = OfBucket::storm(Duration::from_millis(300));
                self.s3.plan().chance(random.random(), 0.3, &kinds);
                lasts(2 * moment);
                self.s3.plan().calm();
            }
            Fault::LeaderAhead => self.set_clocks(&[leader], days(random), 2 * moment),
            Fault::LeaderBehind => self.set_clocks(&[leader], -days(random), 2 * moment),
            Fault::FollowerAhead => self.set_clocks(&[follower], days(random), 2 * moment),
            Fault::AllAhead => self.set_clocks(&[0, 1, 2], days(random), 2 * moment),
            Fault::ClocksLeap => self.let_clocks_leap(random, moment),
        }
        self.trio.nodes.iter_mut().for_each(Sterna::await_ready);
    }

    /// The place of the node that leads the mailboxes.
    fn leader(&self) -> usize {
        self.trio.leader("mail", 0)
    }

    fn launch(&mut self, place: usize) {
        self.trio.nodes[place].launch();
        self.network.set_process(place, self.trio.nodes[place].pid());
    }

    fn kill(&mut self, places: &[usize], moment: Duration) {
        places.iter().for_each(|place| self.trio.nodes[*place].kill());
        lasts(moment);
        places.iter().for_each(|place| self.launch(*place));
    }

    /// All at once: none has heard of the others' end. What they had not synced is gone, or part of it.
    fn cut_power(&mut self, places: &[usize]) {
        places.iter().for_each(|place| self.trio.nodes[*place].kill());
        places.iter().for_each(|place| self.disks[*place].lose_power());
        places.iter().for_each(|place| self.launch(*place));
    }

    fn stop(&mut self, place: usize, moment: Duration) {
        self.trio.nodes[place].terminate();
        assert_eq!(self.trio.nodes[place].wait().code(), Some(0), "it did not end well");
        lasts(moment);
        self.launch(place);
    }

    fn pause(&self, place: usize, moment: Duration) {
        self.trio.nodes[place].pause();
        lasts(moment);
        self.trio.nodes[place].resume();
    }

    /// Nothing comes to the place, or nothing gets away from it, or both.
    fn cut(&self, place: usize, [to, from]: [bool; 2], moment: Duration) {
        for other in (0..3).filter(|other| *other != place) {
            if to {
                self.network.trouble(other, place, Trouble::Cut);
            }
            if from {
                self.network.trouble(place, other, Trouble::Cut);
            }
        }
        lasts(moment);
        self.network.heal();
    }

    fn slow_down(&self, delay: Duration, moment: Duration) {
        for (one, other) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            self.network.trouble(one, other, Trouble::Slow(delay));
        }
        lasts(moment);
        self.network.heal();
    }

    fn set_clocks(&self, places: &[usize], seconds: i64, moment: Duration) {
        places.iter().for_each(|place| self.clocks[*place].set(seconds));
        lasts(moment);
        places.iter().for_each(|place| self.clocks[*place].set(0));
    }

    /// Each for itself, again and again, by days to either side.
    fn let_clocks_leap(&self, random: &mut StdRng, moment: Duration) {
        const LEAPS: u32 = 30;
        for _ in 0..LEAPS {
            let sign = if random.random() { 1 } else { -1 };
            self.clocks[random.random_range(0..3)].set(sign * days(random));
            lasts(2 * moment / LEAPS);
        }
        self.clocks.iter().for_each(|clock| clock.set(0));
    }

    fn replace(&mut self, place: usize, by: usize) {
        self.trio.replace(place, by);
        self.launch(place);
        self.trio.nodes[place].await_ready();
        self.trio.admit(place, by);
    }
}

/// More than mail is kept from being done twice for, and at times more than it is tried for; in seconds.
fn days(random: &mut StdRng) -> i64 {
    random.random_range(2 * 86_400..8 * 86_400)
}

fn lasts(moment: Duration) {
    #[expect(clippy::disallowed_methods, reason = "not a wait for anything: how long the fault lasts")]
    thread::sleep(moment);
}
