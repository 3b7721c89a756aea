//! Measures Sterna beside Postfix and Dovecot: starts them in turn, loads each in the same way from the same client,
//! checks that all of it arrived, and prints each figure with its ratio. `docs/performance.md` says how to read it.

mod book;
mod client;
mod figure;
mod host;
mod options;
mod report;
mod rows;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::book::Book;
use crate::client::text::Library;
use crate::options::Options;
use crate::rows::{GROUPS, Stage};
use crate::server::{Cluster, Peer, PeerKind, Server, SternaServer, missing_packages};

fn main() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    let missing = missing_packages();
    if !options.peers.is_empty() && !missing.is_empty() {
        bail!("to compare, install {} (or ask for --peers none)", missing.join(" "));
    }
    let folder = tempfile::Builder::new().prefix("sterna-bench-").tempdir_in(&options.folder)?;
    // Postfix and Dovecot have users of their own.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let began = Instant::now();
    let (library, mut book) = (Library::new(), Book::default());
    let path = options.report.clone().unwrap_or_else(default_report);
    for start in servers(&options) {
        // What a server leaves behind is deleted at the end: that takes a while and would disturb the next one.
        let server = start(folder.path(), options.sizes.users)?;
        let mut stage =
            Stage { server, options: &options, library: &library, book: &mut book, began, small_octets: 0 };
        rows::measure_all(&mut stage);
        // It ends here.
        drop(stage);
        // After each server, so that little is lost if the next ones do not come to an end.
        report::write(&book, &about(&options, began), &path)?;
    }
    report::print(&book);
    report::progress(began, &format!("written to {}", path.display()));
    Ok(if book.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Start = Box<dyn Fn(&std::path::Path, usize) -> Result<Box<dyn Server>>>;

/// Those that any of the wanted rows is measured of, Sterna last.
fn servers(options: &Options) -> Vec<Start> {
    let wanted = |name: &str| {
        GROUPS.iter().any(|group| options.rows.contains(&group.name) && group.servers.contains(&name))
    };
    let mut servers: Vec<Start> = Vec::new();
    for (kind, name) in
        [(PeerKind::Maildir, "maildir"), (PeerKind::Sdbox, "sdbox"), (PeerKind::Hibernating, "hibernating")]
    {
        if options.peers.contains(&kind) && wanted(name) {
            servers.push(Box::new(move |folder, users| Ok(Box::new(Peer::start(folder, kind, users)?))));
        }
    }
    if wanted("cluster") {
        servers.push(Box::new(|folder, users| Ok(Box::new(Cluster::start(folder, users)?))));
    }
    servers.push(Box::new(|folder, users| Ok(Box::new(SternaServer::start(folder, users)?))));
    servers
}

/// What a reader of the machine-readable report must know.
fn about(options: &Options, began: Instant) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "unix_time": now,
        "took_seconds": began.elapsed().as_secs(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": kernel.trim(),
        "rows": options.rows,
        "runs": options.runs,
        "seconds": options.seconds,
        "quick": options.is_quick,
        "ratio": "median of Sterna through median of the peer named beside it",
    })
}

/// `target/bench/peers.json`: the program stands in `target/<profile>/deps`.
fn default_report() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(3).map_or_else(PathBuf::new, PathBuf::from);
    target.join("bench/peers.json")
}
