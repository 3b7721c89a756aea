//! File descriptors: a connection takes one, and so does every open file. What connections may take is less than what
//! the system allows, so that however many come, the stores can open their files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::limits::DESCRIPTORS_RESERVED;

/// Raises the process's own limit to what the system allows; how many descriptors it may have then.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // None: there is no limit.
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |now| usize::try_from(now).unwrap_or(usize::MAX))
}

/// How many connections of clients there may be in all.
pub(crate) fn connections(config: &Config) -> usize {
    let allowed = raise();
    let connections = left_for_connections(allowed, config.outbound.connections);
    let wanted = wanted(config);
    if wanted > connections {
        tracing::warn!(
            open_files = allowed,
            connections,
            wanted,
            "the limit of open files allows fewer connections than are configured"
        );
    }
    connections
}

/// What is left when the stores, deliveries to others, and the admin API have theirs.
fn left_for_connections(allowed: usize, outbound: usize) -> usize {
    // Under a very small limit nobody is served well; half of it keeps both sides alive.
    let reserved = DESCRIPTORS_RESERVED.saturating_add(outbound).min(allowed / 2);
    allowed - reserved
}

/// What the listeners would take together.
fn wanted(config: &Config) -> usize {
    let (smtp, imap, pop3) = (&config.smtp, &config.imap, &config.pop3);
    let listeners = [
        (smtp.connections, [&smtp.mx, &smtp.lmtp]),
        (smtp.connections, [&smtp.submission, &smtp.submissions]),
        (imap.connections, [&imap.imap, &imap.imaps]),
        (pop3.connections, [&pop3.pop3, &pop3.pop3s]),
    ];
    let of = |(each, addresses): (usize, [&Vec<_>; 2])| each * addresses.map(Vec::len).iter().sum::<usize>();
    listeners.into_iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_have_theirs_whatever_comes() {
        assert_eq!(left_for_connections(20_000, 200), 20_000 - 200 - DESCRIPTORS_RESERVED);
        assert_eq!(left_for_connections(1_000, 200), 500);
        assert_eq!(left_for_connections(usize::MAX, 10_000), usize::MAX - 10_000 - DESCRIPTORS_RESERVED);
        let config = Config::default();
        assert_eq!(wanted(&config), 3 * 2_000 + 2 * 50_000 + 2 * 5_000);
    }
}
