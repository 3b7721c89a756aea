//! The queue against a naive model, and what a model of one node cannot show: takeover, signals, long payloads.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Claim, Counts, Entry, Listed, Queue, QueueConfig};
use crate::Error;
use crate::bodies::{Bodies, BodiesConfig, Owner};
use crate::kv::unsteady::{End, Unsteady};
use crate::kv::{Database, Memory};
use crate::types::{DomainId, QueueId, Secret, Timestamp};

struct House {
    db: Database,
    bodies: Bodies,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::over(Database::new(Memory::new())).await
    }

    async fn over(db: Database) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = Bodies::local_folder(folder.path()).await.expect("a folder");
        let key = Secret::new([1; 32]);
        let bodies = Bodies::open(db.clone(), objects, key, BodiesConfig::default()).await.expect("opens");
        Self { db, bodies, _folder: folder }
    }

    async fn queue(&self, exclusive: bool) -> Queue {
        let config = QueueConfig { exclusive, ..QueueConfig::default() };
        Queue::open(self.db.clone(), self.bodies.clone(), config).await.expect("opens")
    }

    async fn put(&self, queue: &Queue, created: i64, due: i64, payload: Bytes) -> Entry {
        let staged = self.bodies.write(DomainId(1), b"a message").await.expect("taken in");
        let created = Timestamp::from_millis(created);
        let entry = Entry {
            id: QueueId::new(created),
            created,
            due: Timestamp::from_millis(due),
            body: staged.id,
            body_size: staged.size,
            payload,
            held: false,
        };
        let put = self.db.run(async |tx| {
            staged.commit_into(tx, Owner::Queue(entry.id)).await?;
            queue.put(tx, &entry)
        });
        put.await.expect("committed");
        entry
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[derive(Debug, Clone)]
enum Step {
    Put { due: i64 },
    Due { now: i64, limit: usize },
    Update { claim: prop::sample::Index, payload: u8 },
    Reschedule { claim: prop::sample::Index, due: i64, payload: u8 },
    Remove { claim: prop::sample::Index },
    Hold { entry: prop::sample::Index },
    Release { entry: prop::sample::Index },
    TryNow { entry: prop::sample::Index, now: i64 },
    Cancel { entry: prop::sample::Index },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..20i64).prop_map(|due| Step::Put { due }),
        3 => (0..20i64, 1..5usize).prop_map(|(now, limit)| Step::Due { now, limit }),
        2 => (index(), any::<u8>()).prop_map(|(claim, payload)| Step::Update { claim, payload }),
        2 => (index(), 0..20i64, any::<u8>())
            .prop_map(|(claim, due, payload)| Step::Reschedule { claim, due, payload }),
        2 => index().prop_map(|claim| Step::Remove { claim }),
        1 => index().prop_map(|entry| Step::Hold { entry }),
        1 => index().prop_map(|entry| Step::Release { entry }),
        1 => (index(), 0..20i64).prop_map(|(entry, now)| Step::TryNow { entry, now }),
        1 => index().prop_map(|entry| Step::Cancel { entry }),
        1 => Just(Step::Restart),
    ]
}

/// What should be in the queue; which claim (by its place among all ever made) holds an entry.
#[derive(Default)]
struct Model {
    entries: BTreeMap<QueueId, (Entry, Option<usize>)>,
    claims: Vec<Claim>,
}

impl Model {
    fn picked(&self, index: prop::sample::Index) -> Option<QueueId> {
        let ids: Vec<_> = self.entries.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[index.index(ids.len())])
    }

    /// A claim ever made, and whether it holds.
    fn claim(&self, index: prop::sample::Index) -> Option<(usize, Claim, bool)> {
        let at = (!self.claims.is_empty()).then(|| index.index(self.claims.len()))?;
        let claim = self.claims[at].clone();
        let holds = self.entries.get(&claim.entry.id).is_some_and(|(_, holder)| *holder == Some(at));
        Some((at, claim, holds))
    }

    fn listed(&self) -> Vec<Listed> {
        let listed = |(entry, holder): &(Entry, Option<usize>)| Listed {
            entry: entry.clone(),
            claimed: holder.is_some(),
        };
        self.entries.values().map(listed).collect()
    }

    async fn run(&mut self, house: &House, queue: &mut Queue, step: Step) {
        match step {
            Step::Put { due } => {
                let entry = house.put(queue, self.claims.len() as i64, due, Bytes::from_static(b"new")).await;
                self.entries.insert(entry.id, (entry, None));
            }
            Step::Due { now, limit } => self.due(queue, at(now), limit).await,
            Step::Update { claim, payload } => {
                let Some((_, claim, holds)) = self.claim(claim) else { return };
                let payload = Bytes::from(vec![payload]);
                expect(holds, queue.update(&claim, &payload).await);
                if holds {
                    self.entries.get_mut(&claim.entry.id).expect("held").0.payload = payload;
                }
            }
            Step::Reschedule { claim, due, payload } => {
                let Some((_, claim, holds)) = self.claim(claim) else { return };
                let payload = Bytes::from(vec![payload]);
                expect(holds, queue.check(&claim).await);
                expect(holds, queue.reschedule(&claim, at(due), &payload).await);
                if holds {
                    let (entry, holder) = self.entries.get_mut(&claim.entry.id).expect("held");
                    (entry.due, entry.payload, *holder) = (at(due), payload, None);
                }
            }
            Step::Remove { claim } => {
                let Some((_, claim, holds)) = self.claim(claim) else { return };
                expect(holds, queue.remove(&claim).await);
                if holds {
                    self.entries.remove(&claim.entry.id);
                }
            }
            Step::Restart => {
                *queue = house.queue(true).await;
                self.entries.values_mut().for_each(|(_, holder)| *holder = None);
            }
            by_administrator => self.administer(queue, by_administrator).await,
        }
    }

    async fn administer(&mut self, queue: &Queue, step: Step) {
        match step {
            Step::Hold { entry } => {
                let Some(id) = self.picked(entry) else { return };
                queue.hold(id).await.expect("is there");
                self.entries.get_mut(&id).expect("picked").0.held = true;
            }
            Step::Release { entry } => {
                let Some(id) = self.picked(entry) else { return };
                queue.release(id).await.expect("is there");
                self.entries.get_mut(&id).expect("picked").0.held = false;
            }
            Step::TryNow { entry, now } => {
                let Some(id) = self.picked(entry) else { return };
                queue.try_now(id, at(now)).await.expect("is there");
                let (entry, holder) = self.entries.get_mut(&id).expect("picked");
                if holder.is_none() {
                    entry.due = entry.due.min(at(now));
                }
            }
            Step::Cancel { entry } => {
                let Some(id) = self.picked(entry) else { return };
                queue.cancel(id).await.expect("is there");
                assert!(matches!(queue.cancel(id).await, Err(Error::NotFound(_))));
                self.entries.remove(&id);
            }
            other => unreachable!("{other:?} is a worker's"),
        }
    }

    async fn due(&mut self, queue: &Queue, now: Timestamp, limit: usize) {
        let claims = queue.due(now, limit).await.expect("reads");
        let due = self
            .entries
            .values()
            .filter(|(entry, holder)| holder.is_none() && !entry.held && entry.due <= now);
        assert_eq!(claims.len(), due.count().min(limit));
        for claim in claims {
            let (entry, holder) = self.entries.get_mut(&claim.entry.id).expect("known");
            assert!(holder.is_none() && !entry.held && entry.due <= now);
            assert_eq!(claim.entry, *entry);
            *holder = Some(self.claims.len());
            self.claims.push(claim);
        }
    }
}

fn expect(holds: bool, outcome: crate::Result<()>) {
    match outcome {
        Ok(()) => assert!(holds, "a claim that is gone was honoured"),
        Err(Error::NotFound(_)) => assert!(!holds, "a claim that holds was refused"),
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_queue_does_as_its_model(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let house = House::new().await;
            let (mut queue, mut model) = (house.queue(true).await, Model::default());
            for step in steps {
                model.run(&house, &mut queue, step).await;
                assert_eq!(queue.list(None, 1000).await.expect("reads"), model.listed());
            }
            let counts = queue.counts().await.expect("reads");
            let listed = model.listed();
            assert_eq!(counts, Counts {
                entries: listed.len() as u64,
                claimed: listed.iter().filter(|listed| listed.claimed).count() as u64,
                held: listed.iter().filter(|listed| listed.entry.held).count() as u64,
                oldest: listed.iter().map(|listed| listed.entry.created).min(),
            });
        });
    }
}

#[tokio::test]
async fn a_stopped_node_is_taken_over_and_a_living_one_is_not() {
    let house = House::new().await;
    let (one, two) = (house.queue(false).await, house.queue(false).await);
    house.put(&one, 1, 0, Bytes::new()).await;
    let claim = one.due(at(0), 10).await.expect("reads").remove(0);
    let start = Instant::now();
    let after = |secs| start + Duration::from_secs(secs);
    assert_eq!(two.tend(|| start).await.expect("reads"), 0);
    assert_eq!(two.tend(|| after(29)).await.expect("reads"), 0);
    one.tend(|| after(29)).await.expect("beats");
    assert_eq!(two.tend(|| after(31)).await.expect("reads"), 0, "it has moved");
    assert_eq!(two.tend(|| after(60)).await.expect("reads"), 0);
    assert_eq!(two.tend(|| after(61)).await.expect("reads"), 1);
    assert!(matches!(one.check(&claim).await, Err(Error::NotFound(_))));
    let taken = two.due(at(0), 10).await.expect("reads").remove(0);
    assert!(matches!(one.remove(&claim).await, Err(Error::NotFound(_))));
    two.remove(&taken).await.expect("holds");
}

#[tokio::test]
async fn a_node_that_was_given_up_works_on() {
    let house = House::new().await;
    let (one, two) = (house.queue(false).await, house.queue(false).await);
    let start = Instant::now();
    two.tend(|| start).await.expect("reads");
    two.tend(|| start + Duration::from_secs(31)).await.expect("forgets the first");
    house.put(&one, 1, 0, Bytes::new()).await;
    let claim = one.due(at(0), 10).await.expect("reads").remove(0);
    assert_eq!(two.tend(|| start + Duration::from_secs(32)).await.expect("reads"), 0);
    one.remove(&claim).await.expect("holds");
}

#[tokio::test]
async fn who_resigns_gives_back() {
    let house = House::new().await;
    let (one, two) = (house.queue(false).await, house.queue(false).await);
    for number in 0..40 {
        house.put(&one, number, 0, Bytes::new()).await;
    }
    assert_eq!(one.due(at(0), 100).await.expect("reads").len(), 40);
    assert_eq!(two.due(at(0), 100).await.expect("reads").len(), 0);
    one.resign().await.expect("commits");
    assert_eq!(two.due(at(0), 100).await.expect("reads").len(), 40);
}

#[tokio::test]
async fn two_nodes_never_claim_the_same() {
    let house = House::new().await;
    let (one, two) = (house.queue(false).await, house.queue(false).await);
    for number in 0..100 {
        house.put(&one, number, 0, Bytes::new()).await;
    }
    let (first, second) = tokio::join!(one.due(at(0), 100), two.due(at(0), 100));
    let mut ids: Vec<_> = first.expect("reads").into_iter().chain(second.expect("reads")).collect();
    ids.sort_by_key(|claim| claim.entry.id);
    ids.dedup_by_key(|claim| claim.entry.id);
    assert_eq!(ids.len(), 100);
}

/// An entry that is claimed, and in nobody's hands, would wait for the end of its node.
#[tokio::test]
async fn what_a_node_was_not_told_that_it_claimed_is_not_lost() {
    let engine = Unsteady::new(1);
    let house = House::over(Database::new(engine.clone())).await;
    let queue = house.queue(false).await;
    let mut entries = Vec::new();
    for number in 0..30 {
        entries.push(house.put(&queue, number, 0, Bytes::new()).await.id);
    }
    let mut claims = Vec::new();
    // One claim's end is told with delay; then one is claimed before the engine goes away.
    engine.end_next([End::Unknown { done: true }, End::Told], 1);
    claims.extend(queue.due(at(0), 10).await.expect("reads"));
    assert!(!claims.is_empty() && claims.len() < 10, "some of them: {}", claims.len());
    // One claim's end is not told in time.
    engine.end_next([End::Unknown { done: true }], u32::MAX);
    assert!(matches!(queue.due(at(0), 10).await, Err(Error::CommitUnknown)));
    engine.end_next([], 0);
    claims.extend(queue.due(at(0), 100).await.expect("reads"));
    let mut claimed: Vec<_> = claims.iter().map(|claim| claim.entry.id).collect();
    claimed.sort_unstable();
    entries.sort_unstable();
    assert_eq!(claimed, entries);
    for claim in &claims {
        queue.remove(claim).await.expect("holds");
    }
}

#[tokio::test]
async fn waiting_ends_when_an_entry_comes() {
    let house = House::new().await;
    let queue = house.queue(true).await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.wait_for_due(at(0)).await }
    });
    let entry = house.put(&queue, 1, 0, Bytes::new()).await;
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("woken")
        .expect("runs")
        .expect("reads");
    queue.wait_for_due(at(0)).await.expect("at once: it is due");
    queue.hold(entry.id).await.expect("is there");
    assert_eq!(queue.due(at(5), 1).await.expect("reads").len(), 0);
}

#[tokio::test]
async fn waiting_ends_when_the_time_comes() {
    let house = House::new().await;
    let queue = house.queue(true).await;
    house.put(&queue, 1, 10_000, Bytes::new()).await;
    let start = Instant::now();
    queue.wait_for_due(at(9_850)).await.expect("reads");
    assert!((150..60_000).contains(&start.elapsed().as_millis()));
}

#[tokio::test]
async fn long_payloads_are_kept_whole_and_replaced() {
    let house = House::new().await;
    let queue = house.queue(true).await;
    let long = Bytes::from((0..300_000u32).map(|at| at as u8).collect::<Vec<_>>());
    let entry = house.put(&queue, 1, 0, long.clone()).await;
    assert_eq!(queue.entry(entry.id).await.expect("is there").entry.payload, long);
    let claim = queue.due(at(0), 1).await.expect("reads").remove(0);
    queue.reschedule(&claim, at(1), &Bytes::from_static(b"short")).await.expect("holds");
    assert_eq!(queue.entry(entry.id).await.expect("is there").entry.payload, "short");
    let claim = queue.due(at(1), 1).await.expect("reads").remove(0);
    let endless = Bytes::from(vec![0; 3 << 20]);
    assert!(matches!(queue.update(&claim, &endless).await, Err(Error::TooLarge(_))));
}

#[tokio::test]
async fn an_entry_put_in_claimed_is_nobody_elses_until_its_node_is_gone() {
    let house = House::new().await;
    let queue = house.queue(true).await;
    let staged = house.bodies.write(DomainId(1), b"a message").await.expect("taken in");
    let entry = Entry {
        id: QueueId::new(at(1)),
        created: at(1),
        due: at(1),
        body: staged.id,
        body_size: staged.size,
        payload: Bytes::from_static(b"one"),
        held: false,
    };
    let put = house.db.run(async |tx| {
        staged.commit_into(tx, Owner::Queue(entry.id)).await?;
        queue.put_claimed(tx, &entry).await
    });
    put.await.expect("committed");
    let claim = queue.first_claim(entry.clone());
    assert!(queue.due(at(9), 9).await.expect("read").is_empty());
    queue.update(&claim, &Bytes::from_static(b"two")).await.expect("held");

    let restarted = house.queue(true).await;
    let claims = restarted.due(at(9), 9).await.expect("read");
    assert_eq!(claims.iter().map(|claim| &claim.entry.payload[..]).collect::<Vec<_>>(), [b"two"]);
    assert!(matches!(queue.check(&claim).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_queue_is_listed_in_bounded_pages() {
    let house = House::new().await;
    let queue = house.queue(true).await;
    for number in 0..8 {
        house.put(&queue, number, 0, Bytes::from(vec![0; 1 << 20])).await;
    }
    let (mut after, mut listed) = (None, 0);
    loop {
        let page = queue.list(after, 1000).await.expect("reads");
        let octets: usize = page.iter().map(|listed| listed.entry.payload.len()).sum();
        assert!(octets < crate::limits::QUEUE_LISTED_OCTETS + (1 << 20) + 1, "{octets} octets in one page");
        let Some(last) = page.last() else { break };
        (after, listed) = (Some(last.entry.id), listed + page.len());
    }
    assert_eq!(listed, 8);
}
