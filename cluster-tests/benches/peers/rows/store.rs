//! STORE of one flag: message by message, all at once, and from four connections in one mailbox. Sterna syncs each
//! before it answers; Dovecot does not sync flags at all.

use std::time::Instant;

use anyhow::{Result, bail};
use rand::seq::IndexedRandom as _;

use super::Stage;
use super::stage::HOARDER;
use crate::client::crew::crew;
use crate::client::text::random;

/// Times that all messages are marked and unmarked in one run.
const ROUNDS: usize = 2;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    let mut session = stage.imap(HOARDER)?;
    session.select("INBOX")?;
    session.command("STORE 1:* -FLAGS.SILENT (\\Flagged)")?;
    stage.runs(|stage| one_by_one(stage, 1, "store-one"))?;
    stage.runs(all_at_once)?;
    stage.runs(|stage| one_by_one(stage, 4, "store-four"))
}

fn one_by_one(stage: &mut Stage<'_>, connections: usize, key: &'static str) -> Result<()> {
    let mut sessions = Vec::new();
    for _ in 0..connections {
        let mut session = stage.imap(HOARDER)?;
        session.select("INBOX")?;
        let uids = session.search("ALL")?;
        sessions.push((session, uids));
    }
    let time = stage.time() / 2;
    let meter = stage.meter();
    let shift = crew(sessions, |number, (mut session, uids)| {
        let (mut random, before) = (random(number as u64), session.fetched);
        let (deadline, mut stored) = (Instant::now() + time, 0_u64);
        while Instant::now() < deadline {
            let uid = uids.choose(&mut random).copied().unwrap_or(1);
            for sign in ['+', '-'] {
                session.command(&format!("UID STORE {uid} {sign}FLAGS (\\Flagged)"))?;
                stored += 1;
            }
        }
        let ended = Instant::now();
        // Where others work too, some change is one that another has made already.
        if connections == 1 && session.fetched - before < stored {
            bail!("{stored} changes were told {} times", session.fetched - before);
        }
        Ok((stored, ended))
    })?;
    let load = meter.read();
    let stored: u64 = shift.told.iter().map(|told| told.0).sum();
    let ended = shift.told.iter().map(|told| told.1).max().unwrap_or(shift.began);
    stage.record(key, stored as f64 / (ended - shift.began).as_secs_f64(), load);
    Ok(())
}

fn all_at_once(stage: &mut Stage<'_>) -> Result<()> {
    let mut session = stage.imap(HOARDER)?;
    let all = session.select("INBOX")?;
    session.command("STORE 1:* -FLAGS.SILENT (\\Flagged)")?;
    let meter = stage.meter();
    let mut took = 0.0;
    for _ in 0..ROUNDS {
        for (sign, due) in [('+', all), ('-', 0)] {
            let began = Instant::now();
            session.command(&format!("STORE 1:* {sign}FLAGS.SILENT (\\Flagged)"))?;
            took += began.elapsed().as_secs_f64();
            let flagged = session.search("FLAGGED")?.len() as u64;
            if flagged != due {
                bail!("{flagged} messages are flagged instead of {due}");
            }
        }
    }
    stage.record("store-all", (2 * ROUNDS) as f64 * all as f64 / took, meter.read());
    Ok(())
}
