//! APPEND from 16 connections, each to a mailbox of its own.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Stage;
use super::stage::APPENDERS;
use crate::client::crew::crew;
use crate::client::text::{Kind, Order, random};
use crate::server::address;

const CONNECTIONS: usize = 16;
const OCTETS: usize = 4_096;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    stage.runs(once)
}

fn once(stage: &mut Stage<'_>) -> Result<()> {
    let sessions = (0..CONNECTIONS).map(|number| stage.imap(APPENDERS + number));
    let sessions = sessions.collect::<Result<Vec<_>>>()?;
    let (library, time) = (stage.library, stage.time());
    let meter = stage.meter();
    let shift = crew(sessions, |number, mut session| {
        let before = session.count("INBOX")?;
        let to = address(APPENDERS + number);
        let (mut random, mut messages) = (random(number as u64), [Vec::new()]);
        let (deadline, mut appended) = (Instant::now() + time, 0);
        while Instant::now() < deadline {
            let order = Order { kind: Kind::Text, octets: OCTETS, to: &to, number: appended };
            library.write(&order, &mut random, &mut messages[0]);
            session.append("INBOX", &messages)?;
            appended += 1;
        }
        let ended = Instant::now();
        let after = session.count("INBOX")?;
        if after != before + appended {
            bail!("{appended} messages were appended to {before}, {after} are there");
        }
        Ok((appended, ended))
    })?;
    let load = meter.read();
    let appended: u64 = shift.told.iter().map(|told| told.0).sum();
    let ended = shift.told.iter().map(|told| told.1).max().unwrap_or(shift.began);
    stage.record("append", appended as f64 / (ended - shift.began).as_secs_f64(), load);
    Ok(())
}
