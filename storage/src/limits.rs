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

/// Most octets that a node remembers of the directory: some 100,000 accounts and their addresses.
pub const DIRECTORY_CACHE_OCTETS: u64 = 64 << 20;
/// How often a node looks for directory changes although nothing woke it: a watch is only a hint.
pub const DIRECTORY_FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// How long a node waits before it reads the directory's change log again after a failure.
pub const DIRECTORY_FOLLOW_RETRY: Duration = Duration::from_millis(200);
/// How long entries of the directory's change log are kept: longer than any node lags behind. A node
/// that does forgets everything it remembers.
pub const DIRECTORY_LOG_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often old entries of the directory's change log are removed.
pub const DIRECTORY_TRIM_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Most entries of the directory's change log that one step removes.
pub const DIRECTORY_TRIM_ENTRIES: usize = 1000;
/// Ids that a node takes at once, so that makers of accounts do not wait for each other.
pub const DIRECTORY_IDS_TAKEN: u64 = 64;
/// Most targets of one alias, and most addresses that one account forwards to. Larger lists are a
/// mailing list's matter.
pub const ALIAS_TARGETS: usize = 500;
/// Most octets of one directory record: a value's bound with room to spare.
pub const DIRECTORY_RECORD_OCTETS: usize = 64 << 10;
/// Most recipients that one address expands to, over all nested aliases.
pub const EXPANSION_RECIPIENTS: usize = 2000;
/// Deepest nesting of aliases and forwards.
pub const EXPANSION_DEPTH: usize = 16;
/// Most items of one page of a directory listing.
pub const DIRECTORY_PAGE_ITEMS: usize = 1000;
/// Longest name of a person, in octets.
pub const ACCOUNT_NAME_OCTETS: usize = 1000;
/// Most DKIM keys of a domain: two algorithms, current and former, and room for a rotation.
pub const DKIM_KEYS: usize = 8;
/// Most further names of one domain: they are all removed with it in one transaction.
pub const FURTHER_NAMES: usize = 1000;
