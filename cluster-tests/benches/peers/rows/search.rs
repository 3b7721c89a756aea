//! SEARCH TEXT for a word that one message of 10 k holds.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Stage;
use super::stage::HOARDER;
use crate::client::text::RARE_WORD;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    let mut session = stage.imap(HOARDER)?;
    session.select("INBOX")?;
    stage.runs(|stage| {
        let meter = stage.meter();
        let began = Instant::now();
        let found = session.search(&format!("TEXT {RARE_WORD}"))?;
        let took = began.elapsed().as_secs_f64();
        if found.len() != 1 {
            bail!("the word was found in {} messages", found.len());
        }
        stage.record("search", took * 1_000.0, meter.read());
        Ok(())
    })
}
