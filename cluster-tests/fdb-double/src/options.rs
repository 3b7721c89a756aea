//! The options of transactions that change what a client sees; the others of the header are accepted and do
//! nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::errors::{self, Code};

/// Most octets that a transaction may hold.
pub(crate) const TRANSACTION_OCTETS: i64 = 10_000_000;

/// What holds for a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry_limit: Option<u64>,
    pub(crate) longest_delay: Duration,
    pub(crate) size_limit: i64,
    pub(crate) own_writes_unseen: bool,
    pub(crate) own_writes_unseen_by_snapshots: bool,
    pub(crate) system_keys: bool,
    pub(crate) next_write_without_conflict: bool,
    pub(crate) most_watches: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: None,
            retry_limit: None,
            longest_delay: Duration::from_secs(1),
            size_limit: TRANSACTION_OCTETS,
            own_writes_unseen: false,
            own_writes_unseen_by_snapshots: false,
            system_keys: false,
            next_write_without_conflict: false,
            most_watches: 10_000,
        }
    }
}

impl Options {
    /// One of a transaction, by its number.
    pub(crate) fn set(&mut self, option: u32, value: &[u8]) -> Result<(), Code> {
        match option {
            30 => self.next_write_without_conflict = true,
            51 => self.own_writes_unseen = true,
            301 | 302 => self.system_keys = true,
            500 => self.timeout = Some(number(value, 0..=i64::MAX)?).filter(|ms| *ms > 0).map(milliseconds),
            501 => self.retry_limit = u64::try_from(number(value, -1..=i64::MAX)?).ok(),
            502 => self.longest_delay = milliseconds(number(value, 0..=i64::MAX)?),
            503 => self.size_limit = number(value, 32..=TRANSACTION_OCTETS)?,
            600 => self.own_writes_unseen_by_snapshots = false,
            601 => self.own_writes_unseen_by_snapshots = true,
            10 | 20 | 21 | 23 | 40 | 50 | 52 | 110 | 120 | 130 | 200 | 201 | 300 | 303 | 304 => {}
            400..=406 | 504 | 505 | 507..=511 | 700..=702 | 710..=714 | 800 | 801 | 900 | 1000 => {}
            1100..=1102 | 2000 => {}
            _ => return Err(errors::INVALID_OPTION),
        }
        Ok(())
    }

    /// One of a database: what its transactions begin with.
    pub(crate) fn set_default(&mut self, option: u32, value: &[u8]) -> Result<(), Code> {
        match option {
            20 => self.most_watches = number(value, 0..=1_000_000)? as usize,
            26 => self.own_writes_unseen_by_snapshots = false,
            27 => self.own_writes_unseen_by_snapshots = true,
            500..=503 => self.set(option, value)?,
            10 | 21 | 22 | 405 | 504..=506 | 700..=702 | 800 | 900 => {}
            _ => return Err(errors::INVALID_OPTION),
        }
        Ok(())
    }

    /// What is left of them when a transaction starts over, given what the database says.
    pub(crate) fn kept(&self, default: &Self) -> Self {
        let Self { timeout, retry_limit, longest_delay, size_limit, .. } = *self;
        Self { timeout, retry_limit, longest_delay, size_limit, ..default.clone() }
    }
}

fn milliseconds(value: i64) -> Duration {
    Duration::from_millis(value as u64)
}

fn number(value: &[u8], bounds: RangeInclusive<i64>) -> Result<i64, Code> {
    let octets = value.try_into().map_err(|_| errors::INVALID_OPTION_VALUE)?;
    let value = i64::from_le_bytes(octets);
    if bounds.contains(&value) { Ok(value) } else { Err(errors::INVALID_OPTION_VALUE) }
}
