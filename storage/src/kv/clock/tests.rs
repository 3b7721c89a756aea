//! The clock against what it promises: whatever befalls those who keep it, and while nobody does.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::kv::Memory;
use crate::kv::unsteady::{End, Unsteady};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn stored(database: &Database) -> Timestamp {
    database.run(async |tx| read(tx).await).await.expect("reads").expect("founded")
}

/// What may happen, some time after what happened before.
#[derive(Debug, Clone)]
enum Step {
    /// A node keeps the clock.
    Keep(usize),
    /// A node keeps it, and is not told how its commit ended.
    Doubt(usize, bool),
    /// A node's process ends, and another begins.
    Restart(usize),
    /// A node's wall clock leaps to this many seconds from the epoch.
    Leap(usize, i64),
    /// A node's monotonic clock counts nothing of the time until its next step: its machine is suspended.
    Suspend(usize),
}

const NODES: usize = 3;

fn step() -> impl Strategy<Value = (u64, Step)> {
    let node = 0..NODES;
    let what = prop_oneof![
        8 => node.clone().prop_map(Step::Keep),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, done)| Step::Doubt(node, done)),
        1 => node.clone().prop_map(Step::Restart),
        2 => (node.clone(), 0..4_000_000_000i64).prop_map(|(node, to)| Step::Leap(node, to)),
        1 => node.prop_map(Step::Suspend),
    ];
    (prop_oneof![0..15_000u64, 0..15_000u64, 0..500_000u64], what)
}

/// One of those who keep the clock, with clocks of its own.
struct Node {
    wall: Timestamp,
    // How many thousandths of each second its monotonic clock counts.
    rate: u32,
    counted: Duration,
    is_suspended: bool,
    clock: Option<Clock>,
    shown: Option<Timestamp>,
}

struct World {
    engine: Arc<Unsteady>,
    start: Instant,
    passed: Duration,
    nodes: Vec<Node>,
    // What the clock was founded to show, and after how long.
    founded: Option<(Timestamp, Duration)>,
    stored: Option<Timestamp>,
}

/// The fastest of the monotonic clocks that are taken for honest.
const FASTEST: u32 = 1_001;

impl World {
    fn new() -> Self {
        let node = |rate| Node {
            wall: Timestamp::from_secs(1_800_000_000),
            rate,
            counted: Duration::ZERO,
            is_suspended: false,
            clock: None,
            shown: None,
        };
        let nodes = [999, 1_000, FASTEST].map(node).into();
        let (start, passed) = (Instant::now(), Duration::ZERO);
        Self { engine: Unsteady::new(0), start, passed, nodes, founded: None, stored: None }
    }

    fn pass(&mut self, time: Duration) {
        self.passed += time;
        for node in &mut self.nodes {
            if !node.is_suspended {
                node.counted += time * node.rate / 1_000;
            }
        }
    }

    async fn run(&mut self, step: Step) {
        let at = match step {
            Step::Keep(at) | Step::Doubt(at, _) => at,
            Step::Restart(at) => {
                (self.nodes[at].clock, self.nodes[at].shown) = (None, None);
                return;
            }
            Step::Leap(at, to) => return self.nodes[at].wall = Timestamp::from_secs(to),
            Step::Suspend(at) => return self.nodes[at].is_suspended = true,
        };
        let node = &mut self.nodes[at];
        node.is_suspended = false;
        let (wall, monotonic) = (node.wall, self.start + node.counted);
        if let Step::Doubt(_, done) = step {
            self.engine.end_next([End::Unknown { done }], 0);
        }
        match &node.clock {
            Some(clock) => clock.meet(|| monotonic).await.expect("met"),
            None => {
                let opened = Clock::open_at(self.engine.clone(), || wall, || monotonic).await;
                node.clock = Some(opened.expect("opened"));
            }
        }
        self.founded.get_or_insert((wall, self.passed));
    }

    /// Never back, and never ahead of what an honest clock has counted since it was founded.
    async fn check(&mut self) {
        let Some((founded, when)) = self.founded else { return };
        self.engine.end_next([], 0);
        let stored = stored(&Database::new(self.engine.clone())).await;
        let most = founded.plus((self.passed - when) * FASTEST / 1_000);
        assert!(self.stored.is_none_or(|before| before <= stored) && stored <= most);
        self.stored = Some(stored);
        for node in &mut self.nodes {
            let Some(clock) = &node.clock else { continue };
            let shown = clock.inner.known.lock().shows(self.start + node.counted);
            assert!(node.shown.is_none_or(|before| before <= shown) && shown <= most);
            node.shown = Some(shown);
        }
    }
}

proptest! {
    #[test]
    fn whatever_befalls_its_keepers_it_never_goes_back_nor_fast(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new();
            for (millis, step) in steps {
                world.pass(Duration::from_millis(millis));
                world.run(step).await;
                world.check().await;
            }
        });
    }
}

/// Another process that has the store open, with a monotonic clock that starts now.
async fn opened(engine: &Arc<Memory>, start: Instant) -> Clock {
    let wall = || Timestamp::from_secs(1_800_000_000);
    Clock::open_at(engine.clone(), wall, || start).await.expect("opened")
}

#[tokio::test]
async fn a_clock_that_is_kept_loses_nothing_and_one_that_is_not_stands() {
    let (engine, start) = (Memory::new(), Instant::now());
    let clock = opened(&engine, start).await;
    let shown_after = |time: Duration| clock.inner.known.lock().shows(start + time);
    let founded = shown_after(Duration::ZERO);
    assert_eq!(shown_after(seconds(59)), founded.plus(seconds(59)));
    let stands = founded.plus(CLOCK_UNKEPT);
    assert_eq!((shown_after(seconds(60)), shown_after(seconds(3600))), (stands, stands));
    for kept in 0..=1000 {
        clock.meet(|| start + seconds(3600) + CLOCK_KEPT_EVERY * kept).await.expect("kept");
    }
    let time = CLOCK_KEPT_EVERY * 1000;
    assert_eq!(shown_after(seconds(3600) + time), stands.plus(time));
    let stored = stored(&Database::new(engine)).await;
    assert!(stands.plus(time).since(stored) <= CLOCK_STEP, "who comes later finds it so");
}

#[tokio::test]
async fn who_asks_a_clock_that_stands_asks_the_store() {
    let (engine, start) = (Memory::new(), Instant::now());
    let (one, other) = (opened(&engine, start).await, opened(&engine, start).await);
    let founded = other.current(|| start).await.expect("in memory");
    for minute in 1..=10 {
        one.current(|| start + seconds(60 * minute)).await.expect("moved on");
    }
    let later = start + seconds(600);
    assert_eq!(other.current(|| later).await.expect("read"), founded.plus(seconds(600)), "one counted that");
    engine.close().await;
    assert!(other.current(|| later + seconds(59)).await.is_ok(), "in memory");
    assert!(matches!(other.current(|| later + seconds(60)).await, Err(Error::Closed)));
}
