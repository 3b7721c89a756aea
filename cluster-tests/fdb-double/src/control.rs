//! The cluster file: which database it names, and what goes wrong on purpose, in a line such as
//!
//! ```text
//! # double: seed=7 conflict=5 unknown-applied=3 unknown-lost=3 behind=2
//! mail:test1@127.0.0.1:4500
//! ```
//!
//! | setting | what it does |
//! | --- | --- |
//! | `seed=N` | draws other faults |
//! | `life=MS` | versions are kept that long, 5000 unless set |
//! | `conflict`, `old`, `unknown-applied`, `unknown-lost`, `busy` `=P` | so many of 100 commits end so |
//! | `behind=P` | so many of 100 reads meet a storage server that lags |
//! | `commits=WORD,…` | the outcomes of the next commits, in order, before any chance: a word above, `ok`, `too-large`, `hangs-applied`, `hangs-lost` |
//! | `away` | nothing is answered |
//! | `blind` | commits are not checked for conflicts: the bug that a suite has to find |

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::errors::{self, Code};

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it takes place, conflicts allowing.
    pub(crate) applied: bool,
    /// What the client is told: nothing special, an error, or nothing ever.
    pub(crate) told: Told,
}

/// What a client hears of its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// What happened.
    Truth,
    /// This error.
    Error(Code),
    /// Nothing.
    Nothing,
}

impl Outcome {
    const OK: Self = Self { applied: true, told: Told::Truth };

    fn named(word: &str) -> Option<Self> {
        let lost = |code| Some(Self { applied: false, told: Told::Error(code) });
        match word {
            "ok" => Some(Self::OK),
            "conflict" => lost(errors::NOT_COMMITTED),
            "old" => lost(errors::TRANSACTION_TOO_OLD),
            "busy" => lost(errors::COMMIT_PROXY_MEMORY),
            "too-large" => lost(errors::TRANSACTION_TOO_LARGE),
            "unknown-lost" => lost(errors::COMMIT_UNKNOWN_RESULT),
            "unknown-applied" => {
                Some(Self { applied: true, told: Told::Error(errors::COMMIT_UNKNOWN_RESULT) })
            }
            "hangs-lost" => Some(Self { applied: false, told: Told::Nothing }),
            "hangs-applied" => Some(Self { applied: true, told: Told::Nothing }),
            _ => None,
        }
    }
}

/// What a cluster file says.
#[derive(Debug)]
pub(crate) struct Control {
    /// `description:id`.
    pub(crate) database: String,
    /// How long versions are kept.
    pub(crate) life: Duration,
    /// Nothing is answered.
    pub(crate) away: bool,
    /// Conflicts are overlooked.
    pub(crate) blind: bool,
    behind: f64,
    chances: Vec<(Outcome, f64)>,
    script: VecDeque<Outcome>,
    random: StdRng,
}

impl Control {
    /// What the file's text says.
    pub(crate) fn parse(text: &str) -> Result<Self, Code> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let connection =
            lines().find(|line| !line.starts_with('#')).ok_or(errors::CONNECTION_STRING_INVALID)?;
        let (database, _) = connection.split_once('@').ok_or(errors::CONNECTION_STRING_INVALID)?;
        let mut control = Self {
            database: database.to_owned(),
            life: Duration::from_secs(5),
            away: false,
            blind: false,
            behind: 0.0,
            chances: Vec::new(),
            script: VecDeque::new(),
            random: StdRng::seed_from_u64(1),
        };
        let settings = lines().filter_map(|line| line.strip_prefix("# double:"));
        for setting in settings.flat_map(str::split_whitespace) {
            control.set(setting).ok_or(errors::CONNECTION_STRING_INVALID)?;
        }
        Ok(control)
    }

    fn set(&mut self, setting: &str) -> Option<()> {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "away" => self.away = true,
            "blind" => self.blind = true,
            "seed" => self.random = StdRng::seed_from_u64(value.parse().ok()?),
            "life" => self.life = Duration::from_millis(value.parse().ok()?),
            "behind" => self.behind = percent(value)?,
            "commits" => self.script = value.split(',').map(Outcome::named).collect::<Option<_>>()?,
            name => self.chances.push((Outcome::named(name)?, percent(value)?)),
        }
        Some(())
    }

    /// How the next commit ends.
    pub(crate) fn next_commit(&mut self) -> Outcome {
        if let Some(outcome) = self.script.pop_front() {
            return outcome;
        }
        let random = &mut self.random;
        let drawn = self.chances.iter().find(|(_, chance)| random.random_bool(*chance));
        drawn.map_or(Outcome::OK, |(outcome, _)| *outcome)
    }

    /// Whether the next read fails.
    pub(crate) fn next_read_is_behind(&mut self) -> bool {
        self.random.random_bool(self.behind)
    }
}

fn percent(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_file_names_a_database_and_its_faults() {
        let text = "# double: away commits=ok,unknown-lost conflict=100\n\nmail:one@127.0.0.1:4500\n";
        let mut control = Control::parse(text).expect("valid");
        assert_eq!((control.database.as_str(), control.away), ("mail:one", true));
        assert_eq!(control.next_commit(), Outcome::OK);
        assert_eq!(control.next_commit().told, Told::Error(errors::COMMIT_UNKNOWN_RESULT));
        assert_eq!(control.next_commit().told, Told::Error(errors::NOT_COMMITTED));
        for wrong in ["", "mail:one", "# double: conflict=101\na:b@c", "# double: commits=none\na:b@c"] {
            assert_eq!(Control::parse(wrong).err(), Some(errors::CONNECTION_STRING_INVALID), "{wrong}");
        }
    }
}
