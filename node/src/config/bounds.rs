//! What the types of the configuration cannot say: bounds of numbers, and settings that go together.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sterna_gateway::limits::{PASSWORD_HASH_MEMORY_KIB, PASSWORD_HASH_PASSES};

use super::{Config, MetadataEngine, StoreKind};

/// A key by its path, and what is wrong with its value.
pub(super) type Wrong = (&'static str, String);

/// Everything that is wrong.
pub(super) fn check(config: &Config) -> Vec<Wrong> {
    let mut wrong: Vec<Wrong> = numbers(config)
        .into_iter()
        .filter(|(_, value, bounds)| !bounds.contains(value))
        .map(|(key, value, bounds)| {
            (key, format!("{value} is not within {} and {}", bounds.start(), bounds.end()))
        })
        .collect();
    wrong.extend(together(config));
    wrong.extend(twice(config));
    wrong
}

/// Shortest time-outs of sessions in which a client is silent.
const IMAP_SILENCE_SECONDS: u64 = 30 * 60;
const POP3_SILENCE_SECONDS: u64 = 10 * 60;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY_SECONDS: u64 = 24 * 60 * 60;

fn numbers(config: &Config) -> Vec<(&'static str, u64, RangeInclusive<u64>)> {
    let (smtp, imap, pop3) = (&config.smtp, &config.imap, &config.pop3);
    let (login, queue, bodies, limits) = (&config.login, &config.queue, &config.bodies, &config.limits);
    let connections = 1..=1_000_000;
    vec![
        ("server.shutdown_grace_seconds", config.server.shutdown_grace_seconds, 0..=3600),
        ("smtp.message_octets", smtp.message_octets, 64 * KIB..=GIB),
        // RFC 5321 §4.5.3.1.8 asks for 100.
        ("smtp.recipients", smtp.recipients as u64, 100..=10_000),
        ("smtp.connections", smtp.connections as u64, connections.clone()),
        ("smtp.connections_per_source", smtp.connections_per_source as u64, connections.clone()),
        ("imap.connections", imap.connections as u64, connections.clone()),
        ("imap.connections_per_source", imap.connections_per_source as u64, connections.clone()),
        ("pop3.connections", pop3.connections as u64, connections.clone()),
        ("pop3.connections_per_source", pop3.connections_per_source as u64, connections),
        ("login.hash_memory_kib", login.hash_memory_kib.into(), 8 * KIB..=PASSWORD_HASH_MEMORY_KIB.into()),
        ("login.hash_passes", login.hash_passes.into(), 1..=PASSWORD_HASH_PASSES.into()),
        ("login.hash_threads", login.hash_threads as u64, 1..=1024),
        ("login.password_characters", login.password_characters as u64, 8..=128),
        ("login.cut_off_seconds", login.cut_off_seconds, 0..=7 * DAY_SECONDS),
        ("outbound.port", config.outbound.port.into(), 1..=65_535),
        ("outbound.connections", config.outbound.connections as u64, 1..=10_000),
        (
            "outbound.connections_per_destination",
            config.outbound.connections_per_destination as u64,
            1..=1000,
        ),
        ("queue.first_retry_seconds", queue.first_retry_seconds, 1..=DAY_SECONDS),
        ("queue.longest_retry_seconds", queue.longest_retry_seconds, 1..=DAY_SECONDS),
        ("queue.delay_notice_seconds", queue.delay_notice_seconds, 1..=30 * DAY_SECONDS),
        ("queue.lifetime_seconds", queue.lifetime_seconds, 1..=30 * DAY_SECONDS),
        ("queue.entries", queue.entries as u64, 1..=100_000),
        ("bodies.connect_timeout_seconds", bodies.connect_timeout_seconds, 1..=60),
        ("bodies.timeout_seconds", bodies.timeout_seconds, 1..=300),
        ("bodies.requests", bodies.requests as u64, 1..=1000),
        ("bodies.away_octets", bodies.away_octets, 0..=1024 * GIB),
        ("bodies.staging_octets", bodies.staging_octets as u64, 4 * KIB..=MIB),
        ("bodies.segment_octets", bodies.segment_octets as u64, MIB..=256 * MIB),
        ("bodies.segment_age_seconds", bodies.segment_age_seconds, 1..=DAY_SECONDS),
        ("bodies.cache_octets", bodies.cache_octets, MIB..=1024 * GIB),
        ("bodies.grace_seconds", bodies.grace_seconds, 60..=365 * DAY_SECONDS),
        ("limits.session_octets", limits.session_octets as u64, 64 * MIB..=1024 * GIB),
        ("limits.command_timeout_seconds", limits.command_timeout_seconds, 1..=DAY_SECONDS),
        ("limits.login_timeout_seconds", limits.login_timeout_seconds, 1..=3600),
        ("limits.write_timeout_seconds", limits.write_timeout_seconds, 1..=3600),
    ]
}

/// What is allowed, and breaks somebody's standard or does nothing.
pub(super) fn doubtful(config: &Config) -> Vec<String> {
    let given = config.limits.command_timeout_seconds;
    let demands = [
        (
            "IMAP",
            !(config.imap.imap.is_empty() && config.imap.imaps.is_empty()),
            IMAP_SILENCE_SECONDS,
            "RFC 9051 §5.4",
        ),
        (
            "POP3",
            !(config.pop3.pop3.is_empty() && config.pop3.pop3s.is_empty()),
            POP3_SILENCE_SECONDS,
            "RFC 1939 §3",
        ),
    ];
    let broken = demands.into_iter().filter(|(_, is_served, least, _)| *is_served && given < *least);
    let silences = broken.map(|(protocol, _, least, source)| {
        format!("limits.command_timeout_seconds is {given}, and {protocol} must allow {least} ({source})")
    });
    silences.chain(config.bodies.unused()).chain(config.metadata.unused()).collect()
}

fn together(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if let Err(error) = config.metadata.foundationdb().check_prefix() {
        wrong.push(("metadata.prefix", error.to_string()));
    }
    match (&config.tls.certificate, &config.tls.key) {
        (Some(_), None) => wrong.push(("tls.certificate", "needs tls.key beside it".into())),
        (None, Some(_)) => wrong.push(("tls.key", "needs tls.certificate beside it".into())),
        _ => {}
    }
    let (message, budget) = (config.smtp.message_octets, config.limits.session_octets as u64);
    if message > budget / 2 {
        let text = format!("a message of {message} octets needs limits.session_octets of twice as many");
        wrong.push(("smtp.message_octets", text));
    }
    if config.queue.first_retry_seconds > config.queue.longest_retry_seconds {
        let longest = config.queue.longest_retry_seconds;
        wrong.push(("queue.first_retry_seconds", format!("is more than longest_retry_seconds, {longest}")));
    }
    wrong.extend(config.bodies.wrong());
    wrong.extend(level(&config.log.level));
    wrong.extend(cluster(config));
    wrong.extend(shared_bodies(config));
    wrong
}

fn cluster(config: &Config) -> Option<Wrong> {
    let is_needed = config.metadata.engine == MetadataEngine::Raft;
    match (config.cluster.listen.is_empty(), is_needed) {
        (true, true) => Some(("metadata.engine", "\"raft\" needs cluster.listen".into())),
        (false, false) => {
            Some(("cluster.listen", "is of no use where metadata.engine is not \"raft\"".into()))
        }
        (false, true) if config.cluster.address.is_none() => {
            Some(("cluster.listen", "needs cluster.address: where other nodes find this one".into()))
        }
        _ => None,
    }
}

/// Nodes that share the metadata need one place for bodies.
fn shared_bodies(config: &Config) -> Option<Wrong> {
    let name = match config.metadata.engine {
        MetadataEngine::Local => return None,
        MetadataEngine::Raft => "raft",
        MetadataEngine::FoundationDb => "foundationdb",
    };
    let is_own = config.bodies.store == StoreKind::Folder && config.bodies.folder.is_none();
    let text = || format!("{name:?} needs a bucket, or a bodies.folder that all nodes reach");
    is_own.then(|| ("metadata.engine", text()))
}

/// Whether a text says what is logged. A lone word must be a level: that of a module would need one.
fn level(text: &str) -> Option<Wrong> {
    let lone_word = |part: &&str| !part.contains(['=', '[']) && part.parse::<tracing::Level>().is_err();
    if let Some(word) = text.split(',').map(str::trim).find(lone_word).filter(|word| *word != "off") {
        return Some(("log.level", format!("{word:?} is none of error, warn, info, debug, trace, off")));
    }
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed.err().map(|error| ("log.level", format!("{text:?}: {error}")))
}

/// Addresses at which two things would listen.
fn twice(config: &Config) -> Vec<Wrong> {
    let all = [
        ("smtp.mx", &config.smtp.mx),
        ("smtp.submission", &config.smtp.submission),
        ("smtp.submissions", &config.smtp.submissions),
        ("smtp.lmtp", &config.smtp.lmtp),
        ("imap.imap", &config.imap.imap),
        ("imap.imaps", &config.imap.imaps),
        ("pop3.pop3", &config.pop3.pop3),
        ("pop3.pop3s", &config.pop3.pop3s),
        ("http.listen", &config.http.listen),
        ("cluster.listen", &config.cluster.listen),
    ];
    let mut seen = HashSet::new();
    let mut wrong = Vec::new();
    for (key, addresses) in all {
        for address in addresses.iter().filter(|address| address.port() != 0) {
            if !seen.insert(address) {
                wrong.push((key, format!("{address} is used twice")));
            }
        }
    }
    wrong
}
