//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::rows::GROUPS;
use crate::server::PeerKind;

/// How to call it.
pub(crate) const USAGE: &str = "\
cargo bench -p sterna-cluster-tests --bench peers -- [options]
  --rows A,B      of: disk smtp append fetch store search idle memory cluster config written rss million
                  directory (default: all but million and directory)
  --runs N        runs of each figure (default 3)
  --peers A,B     of: maildir sdbox hibernating none (default: those that the rows are compared with)
  --seconds S     length of a run that has no end of its own (default 4)
  --accounts N    accounts of the directory (default 1000000)
  --quick         a second's work for each row: shows that it works, not how fast
  --folder PATH   where all data goes, on the disk to be measured (default: the temporary folder)
  --report PATH   the machine-readable report (default: target/bench/peers.json)
The server: STERNA_BIN, or the binary of this build.";

/// What to measure, and how.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Names of groups of rows.
    pub(crate) rows: Vec<&'static str>,
    /// Runs of each figure.
    pub(crate) runs: usize,
    /// The peers to compare with.
    pub(crate) peers: Vec<PeerKind>,
    /// Length of a run without an end of its own.
    pub(crate) seconds: f64,
    /// Whether speed does not matter.
    pub(crate) is_quick: bool,
    /// Where all data goes.
    pub(crate) folder: PathBuf,
    /// Where the report goes; `None`: into the target folder.
    pub(crate) report: Option<PathBuf>,
    /// The sizes of things.
    pub(crate) sizes: Sizes,
}

/// How large things are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Messages in the smaller mailbox.
    pub(crate) small: usize,
    /// Messages in the larger one: a multiple of the smaller.
    pub(crate) big: usize,
    /// Users.
    pub(crate) users: usize,
    /// Users that mail is spread over.
    pub(crate) spread: usize,
    /// Idle connections.
    pub(crate) idle: usize,
    /// Messages in each mailbox of the million.
    pub(crate) million_each: usize,
    /// Accounts of the large directory.
    pub(crate) accounts: usize,
}

const FULL: Sizes = Sizes {
    small: 10_000,
    big: 100_000,
    users: 1_000,
    spread: 200,
    idle: 2_000,
    million_each: 1_000,
    accounts: 1_000_000,
};
const QUICK: Sizes =
    Sizes { small: 200, big: 600, users: 40, spread: 20, idle: 40, million_each: 10, accounts: 1_000 };

/// What is measured only where it is asked for: it takes long.
const ON_REQUEST: [&str; 2] = ["million", "directory"];

impl Options {
    /// From the program's arguments.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            rows: GROUPS.iter().map(|group| group.name).filter(|name| !ON_REQUEST.contains(name)).collect(),
            runs: 3,
            peers: vec![PeerKind::Maildir, PeerKind::Sdbox, PeerKind::Hibernating],
            seconds: 4.0,
            is_quick: false,
            folder: std::env::temp_dir(),
            report: None,
            sizes: FULL,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                // Cargo says so to every benchmark.
                "--bench" => {}
                "--rows" => options.rows = value()?.split(',').map(group_named).collect::<Result<_>>()?,
                "--runs" => options.runs = value()?.parse()?,
                "--peers" => options.peers = peers_named(&value()?)?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--accounts" => options.sizes.accounts = value()?.parse()?,
                "--folder" => options.folder = value()?.into(),
                "--report" => options.report = Some(value()?.into()),
                "--quick" => {
                    options.is_quick = true;
                    (options.runs, options.seconds, options.sizes) = (1, 0.3, QUICK);
                }
                _ => bail!("{argument}?\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn group_named(name: &str) -> Result<&'static str> {
    let found = GROUPS.iter().find(|group| group.name == name);
    Ok(found.with_context(|| format!("no rows are called {name:?}\n{USAGE}"))?.name)
}

fn peers_named(names: &str) -> Result<Vec<PeerKind>> {
    let named = |name: &str| match name {
        "maildir" => Ok(PeerKind::Maildir),
        "sdbox" => Ok(PeerKind::Sdbox),
        "hibernating" => Ok(PeerKind::Hibernating),
        _ => bail!("no peer is called {name:?}\n{USAGE}"),
    };
    if names == "none" { Ok(Vec::new()) } else { names.split(',').map(named).collect() }
}
