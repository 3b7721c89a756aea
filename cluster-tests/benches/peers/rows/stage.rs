//! A server and what is needed to measure it.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::book::Book;
use crate::client::imap::Imap;
use crate::client::text::Library;
use crate::host::meter::{Load, Meter, wait_until_quiet};
use crate::options::Options;
use crate::report;
use crate::server::Server;

/// The user that has the two large mailboxes.
pub(crate) const HOARDER: usize = 0;
/// The user whose INBOX is watched.
pub(crate) const WATCHER: usize = 1;
/// The user whom many write to at once.
pub(crate) const POPULAR: usize = 2;
/// The first of the users that mail is appended to.
pub(crate) const APPENDERS: usize = 3;
/// The first of the users that mail is spread over.
pub(crate) const SPREAD: usize = 20;
/// The larger mailbox; the smaller is INBOX.
pub(crate) const BIG_MAILBOX: &str = "Large";

/// The server with the means to measure it.
pub(crate) struct Stage<'a> {
    pub(crate) server: Box<dyn Server>,
    pub(crate) options: &'a Options,
    pub(crate) library: &'a Library,
    pub(crate) book: &'a mut Book,
    pub(crate) began: Instant,
    /// Octets of the messages in the smaller mailbox together, once it is filled.
    pub(crate) small_octets: u64,
}

impl Stage<'_> {
    /// Measures; an error becomes part of the report.
    pub(crate) fn attempt(&mut self, group: &'static str, measure: fn(&mut Self) -> Result<()>) {
        report::progress(self.began, &format!("{}: {group}", self.server.name()));
        if let Err(error) = measure(self) {
            report::progress(self.began, &format!("{}: {group}: {error:#}", self.server.name()));
            self.book.failures.push((self.server.name(), group, format!("{error:#}")));
        }
    }

    /// Runs `once` for each run that was asked for.
    pub(crate) fn runs(&mut self, mut once: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        (0..self.options.runs).try_for_each(|_| once(self))
    }

    /// Writes a figure down.
    pub(crate) fn record(&mut self, key: &'static str, value: f64, load: Load) {
        self.book.record(key, self.server.name(), value, Some(load));
    }

    /// Begins to measure.
    pub(crate) fn meter(&self) -> Meter {
        Meter::start(self.server.as_ref())
    }

    /// Waits until the server has nothing in hand.
    pub(crate) fn settle(&self) {
        let longest = if self.options.is_quick { Duration::from_secs(3) } else { Duration::from_secs(20) };
        wait_until_quiet(self.server.as_ref(), longest);
    }

    /// Waits until the server has done what it puts off.
    pub(crate) fn settle_fully(&self) {
        if !self.options.is_quick {
            crate::host::meter::pause(self.server.puts_off());
        }
        self.settle();
    }

    /// A session in the clear.
    pub(crate) fn imap(&self, user: usize) -> Result<Imap> {
        Imap::log_in(self.server.ports().imap, None, user)
    }

    /// The length of a run without an end of its own.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }
}
