//! FETCH of everything in a mailbox, when it was fetched before.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Stage;
use super::stage::{BIG_MAILBOX, HOARDER};
use crate::client::crew::crew;

/// Items that ask for the messages themselves.
pub(super) const BODIES: &str = "BODY.PEEK[]";
/// Items that ask for what a list of messages shows.
pub(super) const ENVELOPES: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
/// Items that ask for flags.
const FLAGS: &str = "(UID FLAGS)";

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    // Once before it counts.
    let mut session = stage.imap(HOARDER)?;
    for mailbox in [BIG_MAILBOX, "INBOX"] {
        session.select(mailbox)?;
        session.command(&format!("FETCH 1:* {FLAGS}"))?;
    }
    session.command(&format!("FETCH 1:* {ENVELOPES}"))?;
    session.command(&format!("FETCH 1:* {BODIES}"))?;
    stage.settle();
    stage.runs(|stage| {
        fetch(stage, (1, "INBOX"), FLAGS, "flags-small")?;
        fetch(stage, (1, BIG_MAILBOX), FLAGS, "flags-big")?;
        fetch(stage, (1, "INBOX"), ENVELOPES, "envelope")?;
        fetch(stage, (1, "INBOX"), BODIES, "bodies-1")?;
        fetch(stage, (4, "INBOX"), BODIES, "bodies-4")
    })
}

/// Fetches all messages of a mailbox in each of so many connections at once, again and again for a second if that
/// takes no time (flags), and checks that all came.
pub(super) fn fetch(
    stage: &mut Stage<'_>,
    (connections, mailbox): (usize, &str),
    items: &str,
    key: &'static str,
) -> Result<()> {
    let mut sessions = (0..connections).map(|_| stage.imap(HOARDER)).collect::<Result<Vec<_>>>()?;
    for session in &mut sessions {
        session.select(mailbox)?;
    }
    let rounds = if items == FLAGS { 10 } else { 1 };
    let octets = if items == BODIES { stage.small_octets } else { 0 };
    let meter = stage.meter();
    let shift = crew(sessions, |_, mut session| {
        for _ in 0..rounds {
            let before = (session.fetched, session.literal_octets);
            session.command(&format!("FETCH 1:* {items}"))?;
            let came = (session.fetched - before.0, session.literal_octets - before.1);
            if came.0 != session.exists || octets > 0 && came.1 != octets {
                bail!("{came:?} messages and octets came instead of {:?}", (session.exists, octets));
            }
        }
        Ok((session.exists * rounds, Instant::now()))
    })?;
    let load = meter.read();
    let fetched: u64 = shift.told.iter().map(|told| told.0).sum();
    let ended = shift.told.iter().map(|told| told.1).max().unwrap_or(shift.began);
    stage.record(key, fetched as f64 / (ended - shift.began).as_secs_f64(), load);
    Ok(())
}
