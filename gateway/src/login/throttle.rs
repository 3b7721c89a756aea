//! Who may still try a password. Failures are counted per login and source, and per source over all
//! logins; everything is bounded, and time is given by the caller.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::limits;

/// A login name and source, or a source, under a keyed hash.
pub(super) type Key = [u8; 16];

/// One try of a password.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// Login and source.
    pub(super) pair: Key,
    /// The source; `None` for one that is exempt from the count over all logins.
    pub(super) source: Option<Key>,
    /// Of login and password, keyed.
    pub(super) fingerprint: u64,
}

/// Whether a try may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Check the password, then call [`Throttle::finish`].
    Go,
    /// The very same try failed a moment ago: it fails again, and does not count again.
    KnownWrong,
    /// Not before this time has passed, whatever the password.
    Locked(Duration),
}

/// How a try that could go on ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The password was right.
    Right,
    /// The password was wrong.
    Wrong,
    /// It was not checked after all.
    Unchecked,
}

#[derive(Debug, Clone, Copy)]
struct Tried {
    fingerprint: u64,
    at: Instant,
    wrong: bool,
}

#[derive(Debug, Default)]
struct Pair {
    /// Different passwords tried lately. Those under way count: many at once gain nothing.
    tried: SmallVec<[Tried; limits::LOGIN_FAILURES]>,
    locked_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Source {
    failures: usize,
}

/// The counts.
pub(super) struct Throttle {
    pairs: Recent<Pair>,
    sources: Recent<Source>,
    /// Pairs that succeeded lately.
    known: Recent<()>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            pairs: Recent::new(limits::FAILING_PAIRS),
            sources: Recent::new(limits::FAILING_SOURCES),
            known: Recent::new(limits::KNOWN_SOURCES),
        }
    }

    /// Asks, and counts the try as failed until it is known to have succeeded.
    pub(super) fn begin(&mut self, attempt: Attempt, now: Instant) -> Verdict {
        let known = self.known.live(&attempt.pair, now).is_some();
        let most = most_failures(known);
        if let Some(pair) = self.pairs.live(&attempt.pair, now) {
            if let Some(until) = pair.locked_until.filter(|until| *until > now) {
                return Verdict::Locked(until - now);
            }
            pair.tried.retain(|tried| now < tried.at + limits::LOGIN_LOCK);
            if let Some(tried) = pair.tried.iter().find(|tried| tried.fingerprint == attempt.fingerprint) {
                return if tried.wrong { Verdict::KnownWrong } else { Verdict::Go };
            }
            if pair.tried.len() >= most {
                return Verdict::Locked(Duration::from_secs(1));
            }
        }
        if let Some(wait) = self.source_lock(attempt, now).filter(|_| !known) {
            return Verdict::Locked(wait);
        }
        let pair = self.pairs.entry(attempt.pair, now + limits::LOGIN_LOCK, now);
        pair.tried.push(Tried { fingerprint: attempt.fingerprint, at: now, wrong: false });
        if let Some(source) = attempt.source {
            // The first failure opens the window, and the one that fills it renews it.
            let fills = |source: &mut Source| source.failures + 1 == limits::SOURCE_FAILURES;
            let renewed = self.sources.live(&source, now).is_some_and(fills);
            let open = self.sources.expiry(&source, now).filter(|_| !renewed);
            self.sources.entry(source, open.unwrap_or(now + limits::LOGIN_LOCK), now).failures += 1;
        }
        Verdict::Go
    }

    /// Whether the login has succeeded from that source lately.
    pub(super) fn is_known(&self, attempt: Attempt, now: Instant) -> bool {
        self.known.expiry(&attempt.pair, now).is_some()
    }

    /// How many pairs with failures are remembered.
    #[cfg(test)]
    pub(super) fn failing_pairs(&self) -> usize {
        self.pairs.entries.len()
    }

    /// Tells how a try ended that could go on.
    pub(super) fn finish(&mut self, attempt: Attempt, outcome: Outcome, now: Instant) {
        let known = self.known.live(&attempt.pair, now).is_some();
        match outcome {
            Outcome::Wrong => self.failed(attempt, most_failures(known), now),
            Outcome::Right => {
                self.forgive(attempt, now);
                self.pairs.end(&attempt.pair, now);
                self.known.entry(attempt.pair, now + limits::SOURCE_KNOWN, now);
            }
            Outcome::Unchecked => self.forgive(attempt, now),
        }
    }

    fn failed(&mut self, attempt: Attempt, most: usize, now: Instant) {
        let Some(pair) = self.pairs.live(&attempt.pair, now) else { return };
        for tried in pair.tried.iter_mut().filter(|tried| tried.fingerprint == attempt.fingerprint) {
            tried.wrong = true;
        }
        if pair.tried.iter().filter(|tried| tried.wrong).count() >= most {
            pair.locked_until = Some(now + limits::LOGIN_LOCK);
        }
        self.pairs.entry(attempt.pair, now + limits::LOGIN_LOCK, now);
    }

    /// Takes back what [`Throttle::begin`] counted.
    fn forgive(&mut self, attempt: Attempt, now: Instant) {
        let Some(pair) = self.pairs.live(&attempt.pair, now) else { return };
        let before = pair.tried.len();
        pair.tried.retain(|tried| tried.wrong || tried.fingerprint != attempt.fingerprint);
        let source = attempt.source.and_then(|source| self.sources.live(&source, now));
        if let Some(source) = source.filter(|_| pair.tried.len() < before) {
            source.failures = source.failures.saturating_sub(1);
        }
    }

    fn source_lock(&mut self, attempt: Attempt, now: Instant) -> Option<Duration> {
        let source = attempt.source?;
        let failures = self.sources.live(&source, now)?.failures;
        let end = self.sources.expiry(&source, now)?;
        (failures >= limits::SOURCE_FAILURES).then(|| end.saturating_duration_since(now))
    }
}

fn most_failures(known: bool) -> usize {
    if known { limits::LOGIN_FAILURES_KNOWN_SOURCE } else { limits::LOGIN_FAILURES }
}

/// Entries that end by themselves; the oldest goes when there are too many.
struct Recent<V> {
    entries: HashMap<Key, (Instant, V)>,
    /// One element per entry, with the end that was known when it was put here.
    order: VecDeque<(Instant, Key)>,
    most: usize,
}

impl<V: Default> Recent<V> {
    fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    fn live(&mut self, key: &Key, now: Instant) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|(end, _)| *end > now).map(|(_, value)| value)
    }

    fn expiry(&self, key: &Key, now: Instant) -> Option<Instant> {
        self.entries.get(key).map(|(end, _)| *end).filter(|end| *end > now)
    }

    /// The entry, new if there is none, which ends at `end`.
    fn entry(&mut self, key: Key, end: Instant, now: Instant) -> &mut V {
        self.sweep(now);
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= self.most
                && let Some((_, oldest)) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back((end, key));
        }
        let (known_end, value) = self.entries.entry(key).or_insert_with(|| (end, V::default()));
        if *known_end <= now {
            *value = V::default();
        }
        *known_end = end;
        value
    }

    /// Ends the entry. Its place in the order goes when its time comes.
    fn end(&mut self, key: &Key, now: Instant) {
        if let Some((end, value)) = self.entries.get_mut(key) {
            *end = now;
            *value = V::default();
        }
    }

    /// Removes entries that have ended. One that was prolonged goes to the back of the order.
    fn sweep(&mut self, now: Instant) {
        while let Some((end, key)) = self.order.front().copied() {
            if end > now {
                return;
            }
            self.order.pop_front();
            match self.entries.get(&key) {
                Some((end, _)) if *end > now => self.order.push_back((*end, key)),
                _ => {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(number: u64) -> Key {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn attempt(login: u64, source: u64, password: u64) -> Attempt {
        Attempt {
            pair: key(login << 32 | source),
            source: Some(key(source)),
            fingerprint: login << 32 | password,
        }
    }

    fn fail(throttle: &mut Throttle, attempt: Attempt, now: Instant) -> Verdict {
        let verdict = throttle.begin(attempt, now);
        if verdict == Verdict::Go {
            throttle.finish(attempt, Outcome::Wrong, now);
        }
        verdict
    }

    #[test]
    fn five_failures_lock_that_login_from_that_source_for_fifteen_minutes() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for password in 0..5 {
            assert_eq!(fail(&mut throttle, attempt(1, 1, password), now), Verdict::Go);
        }
        assert_eq!(fail(&mut throttle, attempt(1, 1, 9), now + MINUTE), Verdict::Locked(14 * MINUTE));
        assert_eq!(throttle.begin(attempt(1, 2, 9), now), Verdict::Go, "another source");
        assert_eq!(throttle.begin(attempt(2, 1, 9), now), Verdict::Go, "another login");
        assert_eq!(throttle.begin(attempt(1, 1, 9), now + 15 * MINUTE), Verdict::Go, "after the lock");
    }

    #[test]
    fn a_wrong_password_counts_once_and_old_failures_not_at_all() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        assert_eq!(fail(&mut throttle, attempt(1, 1, 0), now), Verdict::Go);
        for _ in 0..100 {
            assert_eq!(fail(&mut throttle, attempt(1, 1, 0), now), Verdict::KnownWrong);
        }
        for password in 1..4 {
            assert_eq!(fail(&mut throttle, attempt(1, 1, password), now + MINUTE), Verdict::Go);
        }
        assert_eq!(
            fail(&mut throttle, attempt(1, 1, 4), now + 15 * MINUTE),
            Verdict::Go,
            "the first is over"
        );
        assert_eq!(fail(&mut throttle, attempt(1, 1, 5), now + 15 * MINUTE), Verdict::Go);
        assert!(matches!(fail(&mut throttle, attempt(1, 1, 6), now + 15 * MINUTE), Verdict::Locked(_)));
    }

    #[test]
    fn many_at_once_gain_nothing() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let verdicts = (0..8).map(|password| throttle.begin(attempt(1, 1, password), now));
        let admitted = verdicts.filter(|verdict| *verdict == Verdict::Go).count();
        assert_eq!(admitted, limits::LOGIN_FAILURES);
        throttle.finish(attempt(1, 1, 0), Outcome::Unchecked, now);
        assert_eq!(throttle.begin(attempt(1, 1, 9), now), Verdict::Go, "a place became free");
    }

    #[test]
    fn a_known_source_has_patience() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        assert_eq!(throttle.begin(attempt(1, 1, 0), now), Verdict::Go);
        throttle.finish(attempt(1, 1, 0), Outcome::Right, now);
        for password in 1..=limits::LOGIN_FAILURES_KNOWN_SOURCE as u64 {
            assert_eq!(fail(&mut throttle, attempt(1, 1, password), now), Verdict::Go);
        }
        assert!(matches!(throttle.begin(attempt(1, 1, 0), now), Verdict::Locked(_)), "yet not endless");
    }

    #[test]
    fn spraying_locks_the_source_but_not_whom_it_is_known_to() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        assert_eq!(throttle.begin(attempt(1000, 1, 0), now), Verdict::Go);
        throttle.finish(attempt(1000, 1, 0), Outcome::Right, now);
        for login in 0..limits::SOURCE_FAILURES as u64 {
            assert_eq!(fail(&mut throttle, attempt(login, 1, 0), now), Verdict::Go);
        }
        assert_eq!(throttle.begin(attempt(2000, 1, 0), now), Verdict::Locked(15 * MINUTE));
        assert_eq!(throttle.begin(attempt(1000, 1, 0), now), Verdict::Go, "known from there");
        assert_eq!(throttle.begin(attempt(2000, 2, 0), now), Verdict::Go, "another source");
        let exempt = Attempt { source: None, ..attempt(2000, 1, 0) };
        assert_eq!(throttle.begin(exempt, now), Verdict::Go);
        assert_eq!(throttle.begin(attempt(3000, 1, 0), now + 15 * MINUTE), Verdict::Go);
    }

    #[test]
    fn successes_cost_a_source_nothing() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for login in 0..10 * limits::SOURCE_FAILURES as u64 {
            assert_eq!(throttle.begin(attempt(login, 1, 0), now), Verdict::Go);
            throttle.finish(attempt(login, 1, 0), Outcome::Right, now);
        }
    }

    #[test]
    fn half_a_million_failures_an_hour_stay_within_bounds() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for number in 0..500_000u64 {
            let now = start + Duration::from_millis(number * 3_600_000 / 500_000);
            fail(&mut throttle, attempt(number, number, 0), now);
        }
        assert!(throttle.pairs.entries.len() <= 126_000, "what is over is gone");
        assert_eq!(throttle.pairs.entries.len(), throttle.pairs.order.len());
        assert!(throttle.sources.entries.len() <= limits::FAILING_SOURCES);
        for number in 0..2 * limits::FAILING_PAIRS as u64 {
            fail(&mut throttle, attempt(number, number, 1), start + 60 * MINUTE);
        }
        assert!(throttle.pairs.entries.len() <= limits::FAILING_PAIRS);
        assert_eq!(throttle.pairs.entries.len(), throttle.pairs.order.len());
    }
}
