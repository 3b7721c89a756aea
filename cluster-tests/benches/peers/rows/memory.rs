//! Memory: of a fresh server, of each connection that idles on its INBOX, and after all loads.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Stage;
use super::stage::HOARDER;
use crate::book::OWN;
use crate::client::imap::Imap;
use crate::client::smtp::Smtp;
use crate::client::text::{Kind, Order, random};
use crate::client::wire::{Stream, trusting};
use crate::host::meter::pause;
use crate::host::process::memory;
use crate::server::address;

/// Recipients of one message when each user gets one.
const RECIPIENTS: usize = 50;

/// Right after a start, all users there.
pub(super) fn measure_fresh(stage: &mut Stage<'_>) -> Result<()> {
    stage.runs(|stage| {
        stage.server.restart()?;
        record_resident(stage, "rss-fresh");
        Ok(())
    })
}

/// After whatever the server has done.
pub(super) fn measure_loaded(stage: &mut Stage<'_>) -> Result<()> {
    record_resident(stage, "rss-loaded");
    Ok(())
}

/// Once it has settled.
pub(super) fn record_resident(stage: &mut Stage<'_>, key: &'static str) {
    let meter = stage.meter();
    settled(stage);
    let resident = memory(&stage.server.roots()).resident;
    stage.record(key, resident as f64 / 1e6, meter.read());
}

/// Per connection: the difference of the IMAP processes' proportional memory, over so many connections.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    one_message_each(stage)?;
    for (key, is_tls) in [("memory-plain", false), ("memory-tls", true)] {
        stage.runs(|stage| {
            stage.server.restart()?;
            let before = settled(stage);
            let meter = stage.meter();
            let connections = idle_connections(stage, is_tls)?;
            let after = settled(stage);
            let each = (after - before) / connections.len() as f64;
            stage.record(key, each / 1024.0, meter.read());
            drop(connections);
            Ok(())
        })?;
    }
    Ok(())
}

/// So that no INBOX is empty.
fn one_message_each(stage: &Stage<'_>) -> Result<()> {
    let mut sender = Smtp::connect_lmtp(stage.server.ports().lmtp)?;
    let (mut random, mut message) = (random(0), Vec::new());
    let users: Vec<String> = idlers(stage).into_iter().map(address).collect();
    for recipients in users.chunks(RECIPIENTS) {
        let order = Order { kind: Kind::Text, octets: 4_096, to: &recipients[0], number: 0 };
        stage.library.write(&order, &mut random, &mut message);
        sender.send(recipients, &message)?;
    }
    sender.quit()
}

/// All users but the one whose messages are counted.
fn idlers(stage: &Stage<'_>) -> Vec<usize> {
    (0..stage.options.sizes.users).filter(|user| *user != HOARDER).collect()
}

fn idle_connections(stage: &Stage<'_>, is_tls: bool) -> Result<Vec<Stream>> {
    let (ports, sizes) = (stage.server.ports(), stage.options.sizes);
    let tls = is_tls.then(|| trusting(stage.server.authority())).transpose()?;
    let port = if is_tls { ports.imaps } else { ports.imap };
    let idlers = idlers(stage);
    let connect = |number: usize| {
        let user = idlers[number % idlers.len()];
        let mut session = Imap::log_in(port, tls.as_ref(), user)?;
        if session.select("INBOX")? == 0 {
            bail!("INBOX of user {user} is empty");
        }
        session.idle()?;
        Ok(session.into_stream())
    };
    // Each is a process of its own at first where connections hibernate; fewer tell as much.
    let connections = if stage.server.name() == OWN { sizes.idle } else { sizes.idle / 4 };
    (0..connections).map(connect).collect()
}

/// Octets that the IMAP processes hold once that changes no more; after half a minute at the latest.
fn settled(stage: &Stage<'_>) -> f64 {
    const STEP: Duration = Duration::from_secs(1);
    const STEADY_STEPS: u32 = 4;
    let longest = if stage.options.is_quick { Duration::from_secs(2) } else { Duration::from_secs(30) };
    let deadline = Instant::now() + longest;
    let roots = stage.server.imap_roots();
    let read = || memory(&roots).proportional as f64;
    let (mut before, mut steady) = (read(), 0);
    while steady < STEADY_STEPS && Instant::now() < deadline {
        pause(STEP);
        let now = read();
        steady = if (now - before).abs() < before * 0.005 { steady + 1 } else { 0 };
        before = now;
    }
    before
}
