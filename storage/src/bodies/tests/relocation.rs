//! Objects move to another place: all of them, once, whatever cuts a run off, and never over what is another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::House;
use super::faults::{Faulty, Switch};
use crate::Error;
use crate::bodies::{Bodies, Bucket, Relocated, Relocation, Stock, identity};
use crate::kv::{Database, Memory};
use crate::migrate::Side;

const NOBODY: &(dyn Fn(&Relocated) + Send + Sync) = &|_| {};

/// Where objects are to go, and what keeps the notes.
struct Target {
    folder: tempfile::TempDir,
    switch: Arc<Switch>,
    notes: Database,
}

impl Target {
    fn new() -> Self {
        let (folder, notes) = (tempfile::tempdir().expect("a folder"), Database::new(Memory::new()));
        Self { folder, switch: Arc::default(), notes }
    }

    async fn objects(&self) -> Arc<dyn ObjectStore> {
        let inner = Bodies::local_folder(self.folder.path()).await.expect("a folder");
        Arc::new(Faulty { inner, switch: self.switch.clone() })
    }

    /// A run; `is_known`: the metadata can be read, so that it is known whose mail it is.
    async fn run(&self, house: &House, is_known: bool) -> Relocation {
        let target = Bucket::shared_folder(self.objects().await, "the new folder".into());
        let whose = if is_known { identity(&house.db).await.expect("reads") } else { None };
        Relocation::new(house.objects.clone().into(), target, self.notes.clone(), whose)
    }

    fn file(&self, path: &Path) -> std::path::PathBuf {
        self.folder.path().join(path.as_ref())
    }
}

fn segment(number: u8) -> Path {
    Path::from(format!("segments/{:032x}", number))
}

/// A house with so many objects of some octets, one of them longer than a part.
async fn house(objects: u8) -> House {
    let house = House::new().await;
    for number in 1..=objects {
        let octets = if number == 1 { 11 << 20 } else { 1000 + usize::from(number) };
        house.objects.put(&segment(number), vec![number; octets].into()).await.expect("written");
    }
    house
}

async fn same(house: &House, target: &Target) {
    let relocation = target.run(house, true).await;
    let there = relocation.stock(Side::Source).await.expect("lists");
    assert_eq!(relocation.stock(Side::Target).await.expect("lists"), there);
    for number in 1..=there.objects as u8 {
        let moved = std::fs::read(target.file(&segment(number))).expect("there");
        assert!(moved.iter().all(|octet| *octet == number), "{number}");
    }
}

#[tokio::test]
async fn objects_are_copied_once_and_read_back() {
    let (house, target) = (house(20).await, Target::new());
    let ahead = target.run(&house, false).await;
    ahead.prepare(true).await.expect("empty");
    let done = ahead.run(NOBODY).await.expect("copies");
    let octets = (11 << 20) + (2..=20).map(|number| 1000 + number).sum::<u64>();
    assert_eq!(
        done,
        Relocated { seen: Stock { objects: 20, octets }, copied: Stock { objects: 20, octets } }
    );
    // A server has written and collected since.
    house.objects.put(&segment(21), vec![21; 10].into()).await.expect("written");
    let last = target.run(&house, true).await;
    last.prepare(false).await.expect("its own");
    assert_eq!(last.run(NOBODY).await.expect("copies").copied, Stock { objects: 1, octets: 10 });
    house.objects.delete(&segment(21)).await.expect("deleted");
    assert_eq!(last.run(NOBODY).await.expect("copies").copied, Stock::default());
    assert!(!target.file(&segment(21)).exists(), "what is gone there goes here");
    same(&house, &target).await;
    let mark = std::fs::read_to_string(target.folder.path().join("cluster")).expect("marked");
    assert!(mark.starts_with("sterna cluster "), "{mark}");
}

#[tokio::test]
async fn a_run_that_is_cut_off_is_gone_on_with() {
    let (house, target) = (house(40).await, Target::new());
    for kill_after in [0, 3, 9, 17] {
        let relocation = target.run(&house, true).await;
        relocation.prepare(kill_after == 0).await.expect("its own");
        let (count, kill) = (AtomicU64::new(0), tokio::sync::Notify::new());
        let watcher = |_: &Relocated| {
            if count.fetch_add(1, Ordering::Relaxed) == kill_after {
                kill.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = kill.notified() => {}
            done = relocation.run(&watcher) => panic!("it was to be cut off: {done:?}"),
        }
    }
    let relocation = target.run(&house, true).await;
    relocation.prepare(false).await.expect("its own");
    let done = relocation.run(NOBODY).await.expect("copies");
    assert!(done.seen.objects == 40 && done.copied.objects < 30, "{done:?}");
    same(&house, &target).await;
}

#[tokio::test]
async fn what_was_cut_short_unseen_is_copied_again() {
    let (house, target) = (house(3).await, Target::new());
    let relocation = target.run(&house, true).await;
    relocation.prepare(true).await.expect("empty");
    // As a run leaves it that was killed between writing and reading back.
    std::fs::write(target.file(&segment(2)), b"other octets").expect("written");
    relocation.run(NOBODY).await.expect("copies");
    same(&house, &target).await;
}

#[tokio::test]
async fn a_place_that_is_anothers_is_refused() {
    let (house, target) = (house(2).await, Target::new());
    target.objects().await.put(&segment(9), vec![9].into()).await.expect("written");
    for is_known in [true, false] {
        let refused = target.run(&house, is_known).await.prepare(true).await;
        assert!(
            matches!(&refused, Err(Error::Invalid(text)) if text.contains("is not empty")),
            "{refused:?}"
        );
    }
    let target = Target::new();
    std::fs::write(target.folder.path().join("cluster"), format!("sterna cluster {:032x}\n", 5))
        .expect("written");
    for is_known in [true, false] {
        let refused = target.run(&house, is_known).await.prepare(true).await;
        assert!(matches!(&refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_place_that_is_away_ends_the_run_and_is_gone_on_with() {
    let (house, target) = (house(5).await, Target::new());
    let relocation = target.run(&house, true).await;
    relocation.prepare(true).await.expect("empty");
    target.switch.away.store(true, Ordering::SeqCst);
    let away = relocation.run(NOBODY).await;
    let is_told = |error: &Error| error.to_string().contains("the new installation");
    assert!(matches!(&away, Err(error @ Error::Unavailable(_)) if is_told(error)), "{away:?}");
    target.switch.away.store(false, Ordering::SeqCst);
    target.run(&house, true).await.run(NOBODY).await.expect("copies");
    same(&house, &target).await;
}
