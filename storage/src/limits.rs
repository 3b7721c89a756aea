//! The bounds of this floor: the number, its unit, and why it is what it is.

use std::time::Duration;

/// Longest key, in octets. FoundationDB's own bound.
pub const KEY_OCTETS: usize = 10_000;
/// Longest value, in octets. FoundationDB's own bound.
pub const VALUE_OCTETS: usize = 100_000;
/// Most that one transaction may write (keys, values and conflict ranges), in octets. FoundationDB's own bound.
pub const TRANSACTION_OCTETS: usize = 10_000_000;
/// Longest life of a transaction from its read version to its commit. FoundationDB's own bound.
pub const TRANSACTION_LIFE: Duration = Duration::from_secs(5);
/// Most reruns of one closure after conflicts before the caller is told `Overloaded`.
pub const TRANSACTION_ATTEMPTS: u32 = 64;
/// How long the result of an operation is kept under its id: longer than anything can retry.
pub const OPERATION_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most pairs that one step of a range read asks the engine for: a step stays short, so that it can run
/// inline, and a caller that stops early has wasted little.
pub const RANGE_CHUNK_PAIRS: usize = 512;
/// Octets of keys and values after which a step of a range read ends.
pub const RANGE_CHUNK_OCTETS: usize = 128 * 1024;
/// Most keys watched at once in one engine; each costs some 200 octets.
pub const WATCHED_KEYS: usize = 100_000;
/// Longest wait before a rerun after a conflict; the wait doubles up to it and is jittered.
pub const RERUN_WAIT_MAX: Duration = Duration::from_millis(50);
