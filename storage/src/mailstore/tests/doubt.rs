//! Commits of which nobody is told how they ended: what was asked for happens, and happens once.

use proptest::prelude::*;

use super::unsteady::Unsteady;
use super::*;
use crate::Error;

/// Once told so, an engine does not tell how two in three commits ended.
const DOUBTFUL: u32 = 67;

fn in_doubt(seed: u64, test: impl AsyncFn(House, &Unsteady)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let engine = Unsteady::new(seed);
        let house = House::over(Database::new(engine.clone()), config()).await;
        test(house, &engine).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn flags_change_and_messages_go_once(seed in any::<u64>()) {
        in_doubt(seed, flags_and_expunges);
    }

    #[test]
    fn what_goes_through_a_hidden_block_is_there_once_or_not_at_all(seed in any::<u64>()) {
        in_doubt(seed, hidden_blocks);
    }
}

async fn flags_and_expunges(house: House, engine: &Unsteady) {
    house.append(house.inbox, 12, &Flags::default()).await;
    let some = uids(&[2, 3, 5, 7, 11]);
    engine.doubt(DOUBTFUL, 50);
    for round in 1..=6u32 {
        let before = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        let keyword = Flags { keywords: [format!("round{round}").parse().expect("valid")].into(), ..seen() };
        let change = FlagChange::Add(keyword);
        let store = house.store.store_flags(ACCOUNT, house.inbox, &some, &change, Some(before));
        let stored = store.await.expect("stores");
        assert_eq!(stored.changed.len(), 5);
        assert!(stored.failed.is_empty(), "its own first try is no other's change");
        let after = house.store.status(ACCOUNT, house.inbox).await.expect("exists").highest_modseq;
        assert_eq!(after.0, before.0 + 1);
    }
    for value in [2, 3, 5, 7, 11] {
        let marked = uids(&[value]);
        let change = FlagChange::Add(deleted());
        house.store.store_flags(ACCOUNT, house.inbox, &marked, &change, None).await.expect("stores");
        assert_eq!(house.store.expunge(ACCOUNT, house.inbox, None).await.expect("expunges"), marked);
    }
    house.check().await;
}

async fn hidden_blocks(house: House, engine: &Unsteady) {
    const COUNT: usize = 90;
    let summary = Bytes::from(vec![b's'; 60_000]);
    let message = NewMessage { summary, ..house.message("one of many", seen()).await };
    let (size, messages) = (message.size_octets(), vec![message; COUNT]);
    engine.doubt(DOUBTFUL, 50);
    let limits = |most: usize| Limits { account_octets: Some(most as u64 * size), domain_octets: None };
    let filed = house.store.append(ACCOUNT, house.inbox, messages, limits(COUNT)).await.expect("files");
    assert_eq!(filed.uids.len(), COUNT);
    let between = (house.inbox, house.archive);
    let copy = async |most| house.store.copy(ACCOUNT, between, &UidSet::all(), limits(most)).await;
    // What was refused leaves nothing behind, so that the next one can begin.
    assert!(matches!(copy(2 * COUNT - 1).await, Err(Error::OverQuota(_))));
    assert_eq!(copy(2 * COUNT).await.expect("copies").target.len(), COUNT);
    house.check().await;
    for space in [b'M', b'E', b'R'] {
        assert_eq!(house.keys_in(space).await, 2 * COUNT, "{}", char::from(space));
    }
}

#[tokio::test]
async fn what_stays_in_doubt_is_said_to_be() {
    let engine = Unsteady::new(1);
    let house = House::over(Database::new(engine.clone()), config()).await;
    let message = house.message("perhaps", seen()).await;
    engine.doubt(100, 100);
    let filed = house.store.append(ACCOUNT, house.inbox, vec![message], Limits::default()).await;
    assert!(matches!(filed, Err(Error::CommitUnknown)), "{filed:?}");
}
