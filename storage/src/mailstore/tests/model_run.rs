//! Random commands of clients on two nodes, one after another and two at once, on real stores and on naive ones; and
//! of what was thrown away nothing is left.

use std::sync::Arc;

use proptest::prelude::*;

use super::model::*;
use super::*;
use crate::kv::unsteady::Unsteady;
use crate::types::ModSeq;
use crate::{Error, Result};

struct Run {
    house: House,
    second: MailStore,
    // Where commits may end in the dark, while commands run.
    engine: Option<Arc<Unsteady>>,
    ids: [MailboxId; 3],
    naive: Mailboxes,
    // What the mailboxes were after each step, since they were made.
    past: [Vec<Naive>; 3],
    summary_octets: usize,
    size: u64,
    views: Vec<(usize, Arc<View>)>,
}

const TEXT: &str = "a message of the model";
// Turns that others may take while an engine does one thing, and doubtful commits in a hundred.
const TURNS: u32 = 3;
const DOUBTFUL: u32 = 15;

impl Run {
    async fn new(house: House, summary_octets: usize) -> Self {
        let other = house.store.create_mailbox(ACCOUNT, &last(), None).await.expect("creates").id;
        let (second, ids) = (house.other_node(), [house.inbox, house.archive, other]);
        let size = house.message(TEXT, Flags::default()).await.size_octets();
        let (naive, past, views) = (Mailboxes::default(), Default::default(), Vec::new());
        let mut run = Self { house, second, engine: None, ids, naive, past, summary_octets, size, views };
        run.settle(&[]).await;
        run
    }

    fn node(&self, second: bool) -> &MailStore {
        if second { &self.second } else { &self.house.store }
    }

    async fn message(&self, flags: Flags) -> NewMessage {
        let message = self.house.message(TEXT, flags).await;
        NewMessage { summary: Bytes::from(vec![b's'; self.summary_octets]), ..message }
    }

    fn limits(&self, room: Option<u64>) -> Limits {
        let kept = self.naive.iter().flat_map(|naive| naive.messages.values());
        let used: u64 = kept.map(|kept| kept.size).sum();
        Limits { account_octets: room.map(|room| used + room), domain_octets: None }
    }

    /// The command's answer. Who is told to come again later does so.
    async fn perform(&self, (command, second): Given) -> Done {
        let since = command.since(&self.naive);
        let mut tries = 0;
        let answered = loop {
            match self.ask(self.node(second), &command, since).await {
                Err(Error::Overloaded(reason)) if tries == 10_000 => panic!("{command:?}: still {reason}"),
                Err(Error::Overloaded(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                answered => break answered,
            }
            tries += 1;
        };
        let outcome = match answered {
            Err(Error::OverQuota(_)) => Outcome::OverQuota,
            Err(Error::NotFound(_)) => Outcome::NotFound,
            answered => answered.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        };
        Done { command, since, outcome }
    }

    async fn ask(&self, store: &MailStore, command: &Command, since: Option<u64>) -> Result<Outcome> {
        match command {
            Command::Deliver { room } => {
                let message = self.message(Flags::default()).await;
                let limits = self.limits(*room);
                let delivery = Delivery { limits, ..delivery(message) };
                store.deliver(delivery).await.map(|delivered| Outcome::Filed(vec![delivered.uid.get()]))
            }
            Command::Append { mailbox, count, flags, room } => {
                let message = self.message(flags_of(*flags)).await;
                let messages = vec![message; *count];
                let filed = store.append(ACCOUNT, self.ids[*mailbox], messages, self.limits(*room)).await?;
                Ok(Outcome::Filed(numbers(filed.uids)))
            }
            Command::Store { mailbox, set, .. } => {
                let (mailbox, set, since) = (self.ids[*mailbox], set_of(*set), since.map(ModSeq));
                let stored = store.store_flags(ACCOUNT, mailbox, &set, &command.change(), since).await?;
                let changed = stored.changed.iter().map(|(uid, _)| *uid);
                Ok(Outcome::Stored(numbers(changed), numbers(stored.failed.iter())))
            }
            Command::Expunge { mailbox, set } => {
                let set = set.map(set_of);
                let gone = store.expunge(ACCOUNT, self.ids[*mailbox], set.as_ref()).await?;
                Ok(Outcome::Expunged(numbers(gone.iter())))
            }
            Command::Copy { from, to, set, room } => {
                let (set, between) = (set_of(*set), (self.ids[*from], self.ids[*to]));
                store.copy(ACCOUNT, between, &set, self.limits(*room)).await.map(copied)
            }
            Command::Move { from, to, set } => {
                let (set, between) = (set_of(*set), (self.ids[*from], self.ids[*to]));
                store.move_messages(ACCOUNT, between, &set).await.map(copied)
            }
            Command::Delete => store.delete_mailbox(ACCOUNT, &last()).await.map(|()| Outcome::Deleted),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::One(given) => self.give(vec![given]).await,
            Step::Two(one, other) => {
                let beside = |(command, second): Given| (command.beside_another(&self.naive), second);
                let given = vec![beside(one), beside(other)];
                self.give(given).await;
            }
            Step::Open { mailbox, second } => {
                let opened = self.node(second).open(ACCOUNT, self.ids[mailbox]).await;
                self.views.push((mailbox, opened.expect("opens")));
            }
            Step::Return { mailbox, ago } => self.come_back(mailbox, ago).await,
            Step::Outline { mailbox } => {
                self.house.outline(self.ids[mailbox]).await;
                self.settle(&[]).await;
            }
            Step::Work => {
                self.house.store.work_once(House::in_two_days()).await.expect("works");
                self.settle(&[]).await;
            }
        }
    }

    async fn give(&mut self, given: Vec<Given>) {
        self.waver(DOUBTFUL);
        let done = futures::future::join_all(given.into_iter().map(|given| self.perform(given))).await;
        self.waver(0);
        self.settle(&done).await;
        if self.naive[LAST].is_deleted {
            let (gone, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.views).into_iter().partition(|(mailbox, _)| *mailbox == LAST);
            self.views = kept;
            for (_, view) in gone {
                assert!(matches!(view.refresh().await, Err(Error::NotFound(_))));
            }
            let made = self.house.store.create_mailbox(ACCOUNT, &last(), None).await.expect("creates");
            self.ids[LAST] = made.id;
            self.naive[LAST] = Naive::default();
            self.past[LAST].clear();
            self.settle(&[]).await;
        }
    }

    fn waver(&self, doubtful: u32) {
        if let Some(engine) = &self.engine {
            engine.doubt(doubtful, 50);
        }
    }

    /// What is there, and what was answered, is what the commands make of what was there, in one order or the other.
    async fn settle(&mut self, done: &[Done]) {
        let found = self.look().await;
        let (forth, back): (Vec<_>, Vec<_>) = (done.iter().collect(), done.iter().rev().collect());
        let explained = self.explains(&forth, &found) || self.explains(&back, &found);
        assert!(explained, "{done:?}\nof {:?}\nleft {found:?}", self.naive);
        for (before, now) in self.naive.iter().zip(&found).filter(|(_, now)| !now.is_deleted) {
            check_versions(before, now, done.len() < 2);
        }
        for (past, now) in self.past.iter_mut().zip(&found) {
            past.push(now.clone());
        }
        self.naive = found;
    }

    fn explains(&self, order: &[&Done], found: &Mailboxes) -> bool {
        let mut mailboxes = self.naive.clone();
        for (at, done) in order.iter().enumerate() {
            let is_block = first_of_block(&mailboxes, done);
            if let Some((to, first)) = is_block {
                mailboxes[to].last_uid = first - 1;
            }
            let mut after = mailboxes.clone();
            if expected(&mut after, done, self.size) == done.outcome {
                mailboxes = after;
                continue;
            }
            let Some(other) = order.get(1 - at).filter(|_| is_block.is_some()) else { return false };
            let mut late = self.naive.clone();
            expected(&mut late, other, self.size);
            if !copied_between(&mut mailboxes, done, (&self.naive, &late), found) {
                return false;
            }
        }
        mailboxes.iter().zip(found).all(|(naive, found)| naive.is_like(found))
    }

    /// All mailboxes, as both nodes and all open views see them.
    async fn look(&self) -> Mailboxes {
        let mut mailboxes = Mailboxes::default();
        for (at, id) in self.ids.iter().enumerate() {
            let view = match self.house.store.open(ACCOUNT, *id).await {
                Err(Error::NotFound(_)) => {
                    mailboxes[at].is_deleted = true;
                    continue;
                }
                opened => opened.expect("opens").snapshot(),
            };
            let other = self.second.open(ACCOUNT, *id).await.expect("opens").snapshot();
            assert_eq!(
                (flat(&view), view.uid_next),
                (flat(&other), other.uid_next),
                "two nodes see the same"
            );
            for (_, held) in self.views.iter().filter(|(mailbox, _)| *mailbox == at) {
                assert_eq!(flat(&held.refresh().await.expect("is open")), flat(&view));
            }
            let kept = |message: Message<'_>| {
                let (flags, modseq) = (Flags::clone(message.flags), message.modseq.0);
                (message.uid.get(), Kept { flags, size: self.size, modseq })
            };
            mailboxes[at].messages = view.messages().map(kept).collect();
            mailboxes[at].last_uid = view.uid_next - 1;
            mailboxes[at].highest_modseq = view.highest_modseq.0;
        }
        mailboxes
    }

    /// Who is told what vanished and what changed since then knows the mailbox as it is (RFC 7162 §3.2.5).
    async fn come_back(&self, mailbox: usize, ago: usize) {
        let past = &self.past[mailbox];
        let known = &past[past.len().saturating_sub(1 + ago)];
        let (since, id) = (ModSeq(known.highest_modseq), self.ids[mailbox]);
        let (vanished, is_complete) = self.second.vanished(ACCOUNT, id, since).await.expect("reads");
        let now = self.second.open(ACCOUNT, id).await.expect("opens").snapshot();
        let mut client = known.messages.clone();
        client.retain(|number, _| !vanished.contains(uid(*number)));
        for message in now.changed_since(since) {
            let (flags, modseq) = (Flags::clone(message.flags), message.modseq.0);
            client.insert(message.uid.get(), Kept { flags, size: self.size, modseq });
        }
        assert!(is_complete);
        assert_eq!(client, self.naive[mailbox].messages, "since {known:?}");
    }

    /// The counters are a recount, and once all that was thrown away is let go, only what is there is held.
    async fn end(self) {
        self.house.check().await;
        for _ in 0..2 {
            self.house.store.work_once(House::in_two_days()).await.expect("works");
        }
        let there: usize = self.naive.iter().map(|naive| naive.messages.len()).sum();
        for (space, keys) in [(b'M', there), (b'E', there), (b'R', there), (b'Y', 0), (b'Z', 0)] {
            assert_eq!(self.house.keys_in(space).await, keys, "{}", char::from(space));
        }
    }
}

/// A change has a version above all earlier ones, and what did not change keeps its own.
fn check_versions(before: &Naive, now: &Naive, alone: bool) {
    let is_changed = !before.is_like(now);
    assert!(now.highest_modseq >= before.highest_modseq + u64::from(is_changed), "{before:?}, {now:?}");
    for (uid, kept) in &now.messages {
        assert!(kept.modseq <= now.highest_modseq);
        match before.messages.get(uid) {
            Some(old) if old == kept => {}
            // With two commands one may have undone the other's change.
            Some(old) if old.flags == kept.flags && alone => panic!("{uid}: {old:?} became {kept:?}"),
            _ => assert!(kept.modseq > before.highest_modseq, "{uid}: {kept:?}, {before:?}"),
        }
    }
}

fn last() -> MailboxName {
    named("other/one")
}

fn set_of((first, more): (u32, u32)) -> UidSet {
    let mut set = UidSet::new();
    set.insert_range(uid(first)..=uid(first + more));
    set
}

fn copied(copied: Copied) -> Outcome {
    Outcome::Copied(numbers(copied.source), numbers(copied.target))
}

fn numbers(uids: impl IntoIterator<Item = Uid>) -> Vec<u32> {
    uids.into_iter().map(Uid::get).collect()
}

/// On an engine that takes its turns by the seed: the same steps cross in the same way again.
fn unsteadily(seed: u64, summary_octets: usize, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let engine = Unsteady::new(seed);
        let house = House::over(Database::new(engine.clone()), config()).await;
        let mut run = Run::new(house, summary_octets).await;
        engine.linger(TURNS);
        run.engine = Some(engine);
        for step in steps {
            run.step(step).await;
        }
        run.end().await;
    });
}

fn durably(steps: Vec<Step>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut run = Run::new(House::on_disk().await, 10).await;
        for step in steps {
            run.step(step).await;
        }
        let db = run.house.db.clone();
        run.end().await;
        db.close().await;
    });
}

/// `PROPTEST_CASES` asks for more than the usual ones.
fn cases(usual: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(usual),
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn agrees_with_a_naive_mailbox(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..40)) {
        unsteadily(seed, 10, steps);
    }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn agrees_with_a_naive_mailbox_on_the_durable_engine(steps in prop::collection::vec(step(), 20..40)) {
        durably(steps);
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn agrees_with_a_naive_mailbox_about_hidden_blocks(
        seed in any::<u64>(),
        filled in 0usize..2,
        steps in prop::collection::vec(large_step(), 1..6),
    ) {
        let first = Command::Append { mailbox: filled, count: LARGE, flags: 0, room: None };
        let steps = std::iter::once(Step::One((first, false))).chain(steps);
        unsteadily(seed, LARGE_SUMMARY_OCTETS, steps.collect());
    }
}
