//! The checks, one promise of the interface each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::copies;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction, Version, Versionstamp};
use crate::types::OperationId;
use crate::{Error, limits};

/// Of the engine that [`old_transactions_are_refused`] is given.
pub(super) const SHORT_LIFE: Duration = Duration::from_millis(200);

type Check = fn(Database) -> BoxFuture<'static, ()>;

/// All that run on an engine with the usual life of read versions.
pub(super) const ALL: &[(&str, Check)] = &[
    ("order and limits", |database| ranges_in_order(database).boxed()),
    ("chunks", |database| ranges_of_many_chunks(database).boxed()),
    ("own writes", |database| own_writes_are_seen(database).boxed()),
    ("own writes in ranges", |database| own_writes_merge_into_ranges(database).boxed()),
    ("one version", |database| reads_are_of_one_version(database).boxed()),
    ("conflicts", |database| reads_conflict_with_writes(database).boxed()),
    ("range conflicts", |database| range_reads_conflict_as_far_as_they_went(database).boxed()),
    ("explicit conflicts", |database| explicit_conflicts_count(database).boxed()),
    ("atomic operations", |database| atomic_operations_fold(database).boxed()),
    ("order of writes", |database| the_last_write_of_a_transaction_wins(database).boxed()),
    ("versionstamps", |database| versionstamps_ascend(database).boxed()),
    ("watch", |database| watches_end_on_change(database).boxed()),
    ("operation ids", |database| operations_take_effect_once(database).boxed()),
    ("budgets", |database| budgets_are_told(database).boxed()),
    ("large values", |database| large_values_read_back(database).boxed()),
    ("copy", |database| copies::are_states_that_were(database).boxed()),
    ("closed", |database| a_closed_engine_refuses(database).boxed()),
];

async fn write(database: &Database, pairs: &[(&'static str, &'static str)]) -> Version {
    let set = async |tx: &mut Transaction| {
        pairs.iter().for_each(|(key, value)| tx.set(*key, *value));
        Ok(())
    };
    database.run_stamped(set).await.expect("commits").1.version
}

async fn keys(tx: &mut Transaction, range: KeyRange, limit: Option<usize>, reverse: bool) -> Vec<String> {
    let options = RangeOptions { limit, reverse, snapshot: false };
    let pairs = tx.range(range, options).collect().await.expect("reads");
    pairs.into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect()
}

fn number(value: Option<Bytes>) -> u64 {
    u64::from_le_bytes(value.expect("there").as_ref().try_into().expect("eight octets"))
}

async fn ranges_in_order(database: Database) {
    write(&database, &[("b", "2"), ("a", "1"), ("d", "4"), ("c", "3"), ("a\0", "5"), ("e", "6")]).await;
    let mut tx = database.begin();
    assert_eq!(keys(&mut tx, KeyRange::new("a", "e"), None, false).await, ["a", "a\0", "b", "c", "d"]);
    assert_eq!(keys(&mut tx, KeyRange::new("a", "e"), None, true).await, ["d", "c", "b", "a\0", "a"]);
    assert_eq!(keys(&mut tx, KeyRange::new("a", "e"), Some(2), false).await, ["a", "a\0"]);
    assert_eq!(keys(&mut tx, KeyRange::new("a", "e"), Some(2), true).await, ["d", "c"]);
    assert_eq!(keys(&mut tx, KeyRange::key(b"a"), None, false).await, ["a"]);
    assert_eq!(keys(&mut tx, KeyRange::prefix(b"a"), None, false).await, ["a", "a\0"]);
    assert!(keys(&mut tx, KeyRange::new("c", "c"), None, false).await.is_empty());
    assert!(keys(&mut tx, KeyRange::new("d", "b"), None, true).await.is_empty());
}

async fn ranges_of_many_chunks(database: Database) {
    let count = limits::RANGE_CHUNK_PAIRS * 2 + 7;
    let fill = async |tx: &mut Transaction| {
        (0..count).for_each(|number| tx.set(format!("k{number:06}"), "v"));
        Ok(())
    };
    database.run(fill).await.expect("commits");
    let mut tx = database.begin();
    for reverse in [false, true] {
        let found = keys(&mut tx, KeyRange::prefix(b"k"), None, reverse).await;
        let mut expected: Vec<String> = (0..count).map(|number| format!("k{number:06}")).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }
}

async fn own_writes_are_seen(database: Database) {
    write(&database, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let mut tx = database.begin();
    tx.set("a", "new");
    tx.clear("b");
    tx.clear_range(KeyRange::new("c", "d"));
    for (key, value) in [("a", Some("new")), ("b", None), ("c", None)] {
        let seen = tx.get(key.as_bytes()).await.expect("reads");
        assert_eq!(seen.as_deref(), value.map(str::as_bytes), "{key}");
    }
    drop(tx);
    let seen = database.begin().get(b"a").await.expect("reads");
    assert_eq!(seen.as_deref(), Some(&b"1"[..]), "a transaction that is dropped changes nothing");
}

async fn own_writes_merge_into_ranges(database: Database) {
    write(&database, &[("a", "1"), ("c", "3"), ("e", "5"), ("g", "7"), ("i", "9")]).await;
    let mut tx = database.begin();
    tx.clear_range(KeyRange::new("b", "f"));
    tx.set("d", "own");
    tx.clear("g");
    tx.set("z", "own");
    tx.add("h", 1);
    let all = KeyRange::new("a", "zz");
    assert_eq!(keys(&mut tx, all.clone(), None, false).await, ["a", "d", "h", "i", "z"]);
    assert_eq!(keys(&mut tx, all.clone(), None, true).await, ["z", "i", "h", "d", "a"]);
    assert_eq!(keys(&mut tx, all.clone(), Some(2), false).await, ["a", "d"]);
    assert_eq!(keys(&mut tx, all.clone(), Some(3), true).await, ["z", "i", "h"]);
    tx.commit().await.expect("commits");
    assert_eq!(keys(&mut database.begin(), all, None, false).await, ["a", "d", "h", "i", "z"]);
}

async fn reads_are_of_one_version(database: Database) {
    let first = write(&database, &[("a", "1"), ("b", "1")]).await;
    let mut tx = database.begin();
    assert!(tx.read_version().await.expect("reads") >= first);
    let second = write(&database, &[("a", "2"), ("b", "2"), ("c", "2")]).await;
    assert!(second > first);
    let clear = async |tx: &mut Transaction| {
        tx.clear_range(KeyRange::new("a", "z"));
        Ok(())
    };
    database.run(clear).await.expect("commits");
    assert_eq!(tx.get(b"a").await.expect("reads").as_deref(), Some(&b"1"[..]));
    assert_eq!(keys(&mut tx, KeyRange::new("a", "z"), None, false).await, ["a", "b"]);
    tx.commit().await.expect("a transaction that wrote nothing always commits");
    assert!(keys(&mut database.begin(), KeyRange::new("a", "z"), None, false).await.is_empty());
}

/// Commits what `read` read and a write of `out`, with a write of `meanwhile` between.
async fn interleave(
    database: &Database,
    meanwhile: &'static str,
    read: impl AsyncFn(&mut Transaction),
) -> Result<(), Error> {
    let mut tx = database.begin();
    tx.read_version().await.expect("reads");
    read(&mut tx).await;
    write(database, &[(meanwhile, "other")]).await;
    tx.set("out", "x");
    tx.commit().await.map(|_| ())
}

fn assert_conflict(outcome: Result<(), Error>) {
    assert!(matches!(outcome, Err(Error::Conflict)), "{outcome:?}");
}

async fn reads_conflict_with_writes(database: Database) {
    let get = async |tx: &mut Transaction| drop(tx.get(b"a").await.expect("reads"));
    assert_conflict(interleave(&database, "a", get).await);
    interleave(&database, "b", get).await.expect("another key");
    let snapshot = async |tx: &mut Transaction| drop(tx.get_snapshot(b"a").await.expect("reads"));
    interleave(&database, "a", snapshot).await.expect("a snapshot read has no conflict");
    let own = async |tx: &mut Transaction| {
        tx.set("a", "own");
        tx.get(b"a").await.expect("reads");
    };
    interleave(&database, "a", own).await.expect("what was written here is not read from there");
    let blind = async |tx: &mut Transaction| tx.add("a", 1);
    interleave(&database, "a", blind).await.expect("a blind write has no conflict");
}

async fn range_reads_conflict_as_far_as_they_went(database: Database) {
    write(&database, &[("b", "1"), ("d", "1"), ("f", "1")]).await;
    let whole = async |tx: &mut Transaction| drop(keys(tx, KeyRange::new("a", "h"), None, false).await);
    assert_conflict(interleave(&database, "e", whole).await);
    assert_conflict(interleave(&database, "g", whole).await);
    interleave(&database, "h", whole).await.expect("behind the range");
    let first = async |tx: &mut Transaction| drop(keys(tx, KeyRange::new("a", "h"), Some(1), false).await);
    assert_conflict(interleave(&database, "a", first).await);
    interleave(&database, "c", first).await.expect("behind what was given");
    let last = async |tx: &mut Transaction| drop(keys(tx, KeyRange::new("a", "f\0"), Some(1), true).await);
    assert_conflict(interleave(&database, "f", last).await);
    interleave(&database, "c", last).await.expect("before what was given");
    let snapshot = async |tx: &mut Transaction| {
        let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
        tx.range(KeyRange::new("a", "h"), options).collect().await.expect("reads");
    };
    interleave(&database, "e", snapshot).await.expect("a snapshot read has no conflict");
    let mut tx = database.begin();
    tx.get(b"m").await.expect("reads");
    let clear = async |tx: &mut Transaction| {
        tx.clear_range(KeyRange::new("k", "o"));
        Ok(())
    };
    database.run(clear).await.expect("commits");
    tx.set("out", "x");
    assert_conflict(tx.commit().await.map(|_| ()));
}

async fn explicit_conflicts_count(database: Database) {
    let read = async |tx: &mut Transaction| tx.add_read_conflict(KeyRange::new("a", "c"));
    assert_conflict(interleave(&database, "b", read).await);
    let mut reader = database.begin();
    reader.get(b"b").await.expect("reads");
    let mut writer = database.begin();
    writer.add_write_conflict(KeyRange::new("a", "c"));
    writer.commit().await.expect("commits");
    reader.set("out", "x");
    assert_conflict(reader.commit().await.map(|_| ()));
}

async fn atomic_operations_fold(database: Database) {
    let tasks = (0..20).map(|task: i64| {
        let database = database.clone();
        tokio::spawn(async move {
            let add = async |tx: &mut Transaction| {
                tx.add("sum", task);
                tx.add("sum", -1);
                tx.max("max", task as u64);
                tx.min("min", 100 + task as u64);
                Ok(())
            };
            database.run(add).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("joins").expect("commits");
    }
    let mut tx = database.begin();
    assert_eq!(number(tx.get(b"sum").await.expect("reads")), 190 - 20);
    assert_eq!(number(tx.get(b"max").await.expect("reads")), 19);
    assert_eq!(number(tx.get(b"min").await.expect("reads")), 100);
    tx.add("sum", 30);
    assert_eq!(
        number(tx.get(b"sum").await.expect("reads")),
        200,
        "an operation is seen over what is beneath"
    );
    tx.commit().await.expect("commits");
    assert_eq!(number(database.begin().get(b"sum").await.expect("reads")), 200);
}

async fn the_last_write_of_a_transaction_wins(database: Database) {
    write(&database, &[("a", "0"), ("b", "0"), ("c", "0")]).await;
    let mix = async |tx: &mut Transaction| {
        tx.set("a", "1");
        tx.clear("a");
        tx.clear("b");
        tx.set("b", "1");
        tx.clear_range(KeyRange::new("c", "e"));
        tx.set("d", "1");
        tx.set("n", 5u64.to_le_bytes().to_vec());
        tx.add("n", 2);
        tx.add("n", 3);
        Ok(())
    };
    database.run(mix).await.expect("commits");
    let mut tx = database.begin();
    assert_eq!(keys(&mut tx, KeyRange::new("a", "z"), None, false).await, ["b", "d", "n"]);
    assert_eq!(number(tx.get(b"n").await.expect("reads")), 10);
}

async fn versionstamps_ascend(database: Database) {
    let mut stamps = Vec::new();
    for number in 0..5 {
        let append = async |tx: &mut Transaction| {
            let mut key = b"log/".to_vec();
            key.extend_from_slice(&[0xff; 10]);
            tx.set_versionstamped_key(key, 4, vec![number]);
            tx.set_versionstamped_value("last", vec![0; 12], 1);
            Ok(())
        };
        let ((), committed) = database.run_stamped(append).await.expect("commits");
        assert_eq!(committed.versionstamp.0[..8], committed.version.0.to_be_bytes());
        stamps.push(committed.versionstamp);
    }
    let mut tx = database.begin();
    let pairs = tx.range(KeyRange::prefix(b"log/"), RangeOptions::default()).collect().await.expect("reads");
    let stamp = |key: &[u8]| Versionstamp(key.try_into().expect("ten octets"));
    assert_eq!(pairs.iter().map(|(key, _)| stamp(&key[4..])).collect::<Vec<_>>(), stamps);
    assert_eq!(pairs.iter().map(|(_, value)| value[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let last = tx.get(b"last").await.expect("reads").expect("there");
    assert_eq!(stamp(&last[1..11]), stamps[4]);
}

async fn watches_end_on_change(database: Database) {
    write(&database, &[("a", "1")]).await;
    let mut tx = database.begin();
    let mut watch = tx.watch(b"a").await.expect("watches");
    write(&database, &[("b", "1")]).await;
    assert!((&mut watch).now_or_never().is_none(), "another key");
    let waiting = tokio::spawn(watch);
    write(&database, &[("a", "2")]).await;
    waiting.await.expect("joins").expect("ends");
    tx.watch(b"a").await.expect("watches").await.expect("what changed before counts");
    let mut tx = database.begin();
    let absent = tokio::spawn(tx.watch(b"c").await.expect("watches"));
    write(&database, &[("c", "1")]).await;
    absent.await.expect("joins").expect("ends");
}

async fn operations_take_effect_once(database: Database) {
    let operation = OperationId::derived(&[b"once"]);
    let append = async || {
        let append = async |tx: &mut Transaction| {
            tx.add("count", 1);
            Ok(number(tx.get(b"count").await?))
        };
        database.run_once(operation, append).await.expect("commits")
    };
    let (first, second) = tokio::join!(append(), append());
    assert_eq!((first, second, append().await), (1, 1, 1));
}

async fn budgets_are_told(database: Database) {
    let commit = async |fill: &(dyn Fn(&mut Transaction) + Sync)| {
        let mut tx = database.begin();
        fill(&mut tx);
        tx.commit().await.map(|_| ())
    };
    let too_large =
        |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::TooLarge(_))), "{outcome:?}");
    too_large(commit(&|tx| tx.set("a", vec![0; limits::VALUE_OCTETS + 1])).await);
    too_large(commit(&|tx| tx.set(vec![1; limits::KEY_OCTETS + 1], "a")).await);
    let fill = |tx: &mut Transaction| {
        for number in 0..=limits::TRANSACTION_OCTETS / limits::VALUE_OCTETS {
            tx.set(format!("k{number}"), vec![0; limits::VALUE_OCTETS]);
        }
    };
    too_large(commit(&fill).await);
    let longest = |tx: &mut Transaction| tx.set(vec![1; limits::KEY_OCTETS], vec![0; limits::VALUE_OCTETS]);
    commit(&longest).await.expect("the longest key and value fit");
    for invalid in [&b""[..], b"\xff\x01"] {
        let outcome = commit(&|tx| tx.set(invalid.to_vec(), "a")).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    }
    let whole = commit(&|tx| tx.clear_range(KeyRange::new([0].to_vec(), [0xff].to_vec()))).await;
    whole.expect("all keys can be cleared");
}

async fn large_values_read_back(database: Database) {
    let value = |seed: u8, length: usize| -> Vec<u8> {
        (0..length).map(|at| (at as u8).wrapping_mul(seed)).collect()
    };
    let lengths = [0, 1, 2047, 2048, 4096, 65_536, limits::VALUE_OCTETS];
    let fill = async |tx: &mut Transaction| {
        for (seed, length) in (1..).zip(lengths) {
            tx.set(format!("v{seed}"), value(seed, length));
        }
        Ok(())
    };
    database.run(fill).await.expect("commits");
    let mut tx = database.begin();
    for (seed, length) in (1..).zip(lengths) {
        let read = tx.get(format!("v{seed}").as_bytes()).await.expect("reads").expect("there");
        assert!(read == value(seed, length), "value of {length} octets");
    }
    let pairs = tx.range(KeyRange::prefix(b"v"), RangeOptions::default()).collect().await.expect("reads");
    assert_eq!(pairs.iter().map(|(_, value)| value.len()).collect::<Vec<_>>(), lengths);
}

async fn a_closed_engine_refuses(database: Database) {
    write(&database, &[("a", "1")]).await;
    database.close().await;
    let mut tx = database.begin();
    tx.set("a", "2");
    assert!(matches!(tx.commit().await, Err(Error::Closed)));
}

/// On an engine whose read versions live that long.
pub(super) async fn old_transactions_are_refused(database: Database, life: Duration) {
    write(&database, &[("a", "1")]).await;
    let mut tx = database.begin();
    tx.get(b"a").await.expect("reads");
    let begun = Instant::now();
    while begun.elapsed() <= life {
        write(&database, &[("b", "1")]).await;
    }
    tx.set("c", "1");
    assert!(matches!(tx.get(b"b").await, Err(Error::TooOld)));
    assert!(matches!(tx.commit().await, Err(Error::TooOld)));
    let seen = database.begin().get(b"c").await.expect("reads");
    assert_eq!(seen, None, "what is refused changes nothing");
}
