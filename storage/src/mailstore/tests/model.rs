//! Random commands against a naive mailbox in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Error;

/// What a naive server would keep.
#[derive(Debug, Clone, Default)]
struct Naive {
    uid_next: u32,
    messages: BTreeMap<u32, Flags>,
}

#[derive(Debug, Clone)]
enum Command {
    Deliver,
    Append { mailbox: usize, count: usize, flags: u8 },
    Store { mailbox: usize, first: u32, count: u32, kind: u8, flags: u8 },
    Expunge { mailbox: usize, range: Option<(u32, u32)> },
    Copy { from: usize, to: usize, first: u32, count: u32 },
    Move { from: usize, to: usize, first: u32, count: u32 },
    Open { mailbox: usize },
    Outline { mailbox: usize },
    Work,
}

fn command() -> impl Strategy<Value = Command> {
    let (mailbox, first, count) = (0usize..3, 1u32..30, 0u32..12);
    let flags = any::<u8>();
    prop_oneof![
        2 => Just(Command::Deliver),
        2 => (mailbox.clone(), 1usize..5, flags)
            .prop_map(|(mailbox, count, flags)| Command::Append { mailbox, count, flags }),
        4 => (mailbox.clone(), first.clone(), count.clone(), 0u8..3, any::<u8>())
            .prop_map(|(mailbox, first, count, kind, flags)| Command::Store { mailbox, first, count, kind, flags }),
        2 => (mailbox.clone(), prop::option::of((first.clone(), count.clone())))
            .prop_map(|(mailbox, range)| Command::Expunge { mailbox, range }),
        1 => (mailbox.clone(), mailbox.clone(), first.clone(), count.clone())
            .prop_map(|(from, to, first, count)| Command::Copy { from, to, first, count }),
        1 => (mailbox.clone(), mailbox.clone(), first, count)
            .prop_map(|(from, to, first, count)| Command::Move { from, to, first, count }),
        1 => mailbox.clone().prop_map(|mailbox| Command::Open { mailbox }),
        2 => mailbox.prop_map(|mailbox| Command::Outline { mailbox }),
        1 => Just(Command::Work),
    ]
}

// Three keywords and the five system flags.
fn flags_of(bits: u8) -> Flags {
    let keywords = (5..8).filter(|bit| bits & (1 << bit) != 0);
    let keywords = keywords.map(|bit| format!("$Key{bit}").parse().expect("an atom"));
    Flags { system: crate::types::SystemFlags::from_bits(bits), keywords: keywords.collect() }
}

fn set_of(first: u32, count: u32) -> UidSet {
    let mut set = UidSet::new();
    set.insert_range(uid(first)..=uid(first + count));
    set
}

struct Run {
    house: House,
    ids: [MailboxId; 3],
    naive: [Naive; 3],
    views: Vec<std::sync::Arc<View>>,
}

impl Naive {
    fn add(&mut self, flags: Flags) -> u32 {
        self.uid_next += 1;
        self.messages.insert(self.uid_next, flags);
        self.uid_next
    }

    fn pick(&self, first: u32, count: u32) -> Vec<(u32, Flags)> {
        self.messages.range(first..=first + count).map(|(uid, flags)| (*uid, flags.clone())).collect()
    }

    fn change(&mut self, first: u32, count: u32, change: &FlagChange) {
        for flags in self.messages.range_mut(first..=first + count).map(|(_, flags)| flags) {
            match change {
                FlagChange::Replace(new) => *flags = new.clone(),
                FlagChange::Add(more) => {
                    flags.system = flags.system.union(more.system);
                    flags.keywords.extend(more.keywords.iter().cloned());
                }
                FlagChange::Remove(less) => {
                    flags.system = flags.system.minus(less.system);
                    flags.keywords.retain(|keyword| !less.keywords.contains(keyword));
                }
            }
        }
    }
}

fn numbers(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.get()).collect()
}

impl Run {
    async fn new(house: House) -> Self {
        let other = house.store.create_mailbox(ACCOUNT, &named("other/one"), None).await.expect("creates").id;
        Self { ids: [house.inbox, house.archive, other], house, naive: Default::default(), views: Vec::new() }
    }

    async fn step(&mut self, command: &Command) {
        match command.clone() {
            Command::Deliver => {
                let delivered = self.house.deliver("delivered").await;
                assert_eq!(delivered.uid.get(), self.naive[0].add(Flags::default()));
            }
            Command::Append { mailbox, count, flags } => {
                let flags = flags_of(flags);
                let filed = self.house.append(self.ids[mailbox], count, &flags).await;
                let expected: Vec<_> = (0..count).map(|_| self.naive[mailbox].add(flags.clone())).collect();
                assert_eq!(numbers(&filed), expected);
            }
            Command::Store { mailbox, first, count, kind, flags } => {
                let kinds = [FlagChange::Add, FlagChange::Remove, FlagChange::Replace];
                let change = kinds[usize::from(kind)](flags_of(flags));
                let set = set_of(first, count);
                let store = &self.house.store;
                store.store_flags(ACCOUNT, self.ids[mailbox], &set, &change, None).await.expect("stores");
                self.naive[mailbox].change(first, count, &change);
            }
            Command::Expunge { mailbox, range } => self.expunge(mailbox, range).await,
            Command::Copy { from, to, first, count } => {
                let (set, between) = (set_of(first, count), (self.ids[from], self.ids[to]));
                let copied = self.house.store.copy(ACCOUNT, between, &set, Limits::default()).await;
                self.transferred(copied, (from, to), (first, count), false);
            }
            Command::Move { from, to, first, count } => {
                let (set, between) = (set_of(first, count), (self.ids[from], self.ids[to]));
                let moved = self.house.store.move_messages(ACCOUNT, between, &set).await;
                self.transferred(moved, (from, to), (first, count), true);
            }
            Command::Open { mailbox } => {
                self.views.push(self.house.store.open(ACCOUNT, self.ids[mailbox]).await.expect("opens"));
            }
            Command::Outline { mailbox } => self.house.outline(self.ids[mailbox]).await,
            Command::Work => {
                let later = Timestamp::now().plus(Duration::from_secs(2 * 86_400));
                self.house.store.work_once(later).await.expect("works");
            }
        }
    }

    async fn expunge(&mut self, mailbox: usize, range: Option<(u32, u32)>) {
        let set = range.map(|(first, count)| set_of(first, count));
        let gone =
            self.house.store.expunge(ACCOUNT, self.ids[mailbox], set.as_ref()).await.expect("expunges");
        let mut expected = UidSet::new();
        self.naive[mailbox].messages.retain(|number, flags| {
            let wanted = set.as_ref().is_none_or(|set| set.contains(uid(*number)));
            let goes = wanted && flags.contains(SystemFlag::Deleted);
            expected.extend(goes.then(|| uid(*number)));
            !goes
        });
        assert_eq!(gone, expected);
    }

    fn transferred(
        &mut self,
        copied: Result<Copied, Error>,
        (from, to): (usize, usize),
        (first, count): (u32, u32),
        moved: bool,
    ) {
        let copied = copied.expect("copies");
        let picked = self.naive[from].pick(first, count);
        let target: Vec<_> = picked.iter().map(|(_, flags)| self.naive[to].add(flags.clone())).collect();
        if moved {
            picked.iter().for_each(|(uid, _)| drop(self.naive[from].messages.remove(uid)));
        }
        assert_eq!(numbers(&copied.source), picked.iter().map(|(uid, _)| *uid).collect::<Vec<_>>());
        assert_eq!(numbers(&copied.target), target);
    }

    async fn check(&self) {
        for (id, naive) in self.ids.iter().zip(&self.naive) {
            let view = self.house.store.open(ACCOUNT, *id).await.expect("opens").snapshot();
            let messages = view.messages().map(|message| (message.uid.get(), Flags::clone(message.flags)));
            assert_eq!(messages.collect::<BTreeMap<_, _>>(), naive.messages);
            assert_eq!(view.uid_next, naive.uid_next + 1);
            // A message's last change is never reused for a later one.
            assert!(view.messages().all(|message| message.modseq <= view.highest_modseq));
        }
        self.house.check().await;
    }
}

async fn run(house: House, commands: &[Command]) {
    let mut run = Run::new(house).await;
    for command in commands {
        run.step(command).await;
    }
    run.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_a_naive_mailbox(commands in prop::collection::vec(command(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async { run(House::new().await, &commands).await });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn agrees_with_a_naive_mailbox_on_the_durable_engine(commands in prop::collection::vec(command(), 20..40)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async { run(House::on_disk().await, &commands).await });
    }
}
