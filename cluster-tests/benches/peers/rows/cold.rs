//! What a server does first after a restart: SELECT of a large mailbox, envelopes, bodies, with the page cache as it
//! is; and SELECT once more with all that was read forgotten.

use anyhow::{Result, bail};

use super::Stage;
use super::fetch::{BODIES, ENVELOPES, fetch};
use super::stage::{BIG_MAILBOX, HOARDER};
use crate::host::disk::drop_caches;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.runs(|stage| {
        stage.server.restart()?;
        stage.settle();
        select(stage, "select")?;
        fetch(stage, (1, "INBOX"), ENVELOPES, "envelope-first")?;
        fetch(stage, (1, "INBOX"), BODIES, "bodies-first")
    })?;
    stage.runs(|stage| {
        stage.server.restart()?;
        stage.settle();
        if !drop_caches() {
            return Ok(());
        }
        select(stage, "select-disk")
    })
}

/// The login, which starts processes at the peers, is not counted.
fn select(stage: &mut Stage<'_>, key: &'static str) -> Result<()> {
    let mut session = stage.imap(HOARDER)?;
    let meter = stage.meter();
    let began = std::time::Instant::now();
    let found = session.select(BIG_MAILBOX)?;
    let took = began.elapsed().as_secs_f64();
    if found != stage.options.sizes.big as u64 {
        bail!("{BIG_MAILBOX} has {found} messages");
    }
    stage.record(key, took * 1_000.0, meter.read());
    Ok(())
}
