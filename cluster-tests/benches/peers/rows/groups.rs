//! Which groups there are, of which servers, and in which order.

use anyhow::Result;

use super::{
    Stage, append, cluster, cold, config, directory, disk, fetch, fill, idle, memory, million, search, smtp,
    store, written,
};

/// Rows that are measured together.
pub(crate) struct Group {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The servers that it is measured of.
    pub(crate) servers: &'static [&'static str],
    /// Whether it needs the mailboxes of 10 k and 100 k.
    pub(crate) needs_mailboxes: bool,
    /// The measurement.
    pub(crate) measure: fn(&mut Stage<'_>) -> Result<()>,
}

const BOTH: &[&str] = &["maildir", "sdbox", "sterna"];

/// All groups, in the order in which they are measured: what restarts the server stands before what loads it, so
/// that the memory at the end is that of a process that has done everything since.
pub(crate) const GROUPS: [Group; 14] = [
    group("disk", &["maildir", "sdbox", "sterna"], disk::measure),
    group("memory", &["hibernating", "sterna"], memory::measure),
    Group { needs_mailboxes: true, ..group("fetch", BOTH, measure_fetch) },
    Group { needs_mailboxes: true, ..group("store", BOTH, store::measure) },
    Group { needs_mailboxes: true, ..group("search", BOTH, search::measure) },
    group("idle", &["maildir", "sterna"], idle::measure),
    group("append", &["sdbox", "sterna"], append::measure),
    group("smtp", BOTH, smtp::measure),
    group("cluster", &["cluster", "sterna"], cluster::measure),
    group("config", &["cluster"], config::measure),
    group("written", &["sdbox", "sterna"], written::measure),
    group("rss", &["sterna"], memory::measure_loaded),
    group("million", &["sterna"], million::measure),
    group("directory", &["sterna"], directory::measure),
];

const fn group(
    name: &'static str,
    servers: &'static [&'static str],
    measure: fn(&mut Stage<'_>) -> Result<()>,
) -> Group {
    Group { name, servers, needs_mailboxes: false, measure }
}

fn measure_fetch(stage: &mut Stage<'_>) -> Result<()> {
    cold::measure(stage)?;
    fetch::measure(stage)
}

/// Everything that is asked for of one server.
pub(crate) fn measure_all(stage: &mut Stage<'_>) {
    let server = stage.server.name();
    let wanted = |group: &&Group| stage.options.rows.contains(&group.name) && group.servers.contains(&server);
    let groups: Vec<&Group> = GROUPS.iter().filter(wanted).collect();
    if stage.options.rows.contains(&"rss") && server == "sterna" {
        stage.attempt("rss", memory::measure_fresh);
    }
    if groups.iter().any(|group| group.needs_mailboxes) {
        stage.attempt("fill", fill::measure);
    }
    for group in groups {
        stage.attempt(group.name, group.measure);
    }
    stage.attempt("verify", |stage| stage.server.verify());
}
