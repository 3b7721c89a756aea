//! What three voters cost: deliveries beside one server alone, octets written to each voter's disk, writes to the bucket;
//! and bodies read from the bucket beside those in the cache.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Stage;
use super::deliver::{Parcel, deliver};
use super::fetch::BODIES;
use super::stage::SPREAD;
use crate::client::text::Kind;
use crate::host::process::written_octets;

const SMALL: Parcel = Parcel { kind: Kind::Text, octets: 4_096, connections: 64 };
const LARGE: Parcel = Parcel { kind: Kind::Text, octets: 20_000, connections: 64 };

/// Users whose mail is read; it fits into the cache.
const READ: usize = 5;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let users: Vec<usize> = (SPREAD..SPREAD + stage.options.sizes.spread).collect();
    deliver_to(stage, &users)?;
    // All of it is packed by now.
    stage.runs(|stage| {
        stage.server.restart()?;
        stage.settle();
        read(stage, &users[..READ], "cluster-read-first")?;
        read(stage, &users[..READ], "cluster-read-again")
    })
}

fn deliver_to(stage: &mut Stage<'_>, users: &[usize]) -> Result<()> {
    stage.settle();
    stage.runs(|stage| {
        let meter = stage.meter();
        let delivered = deliver(stage, users, SMALL)?;
        stage.record("cluster-smtp", delivered.messages as f64 / delivered.visible_s, meter.read());
        stage.settle();
        Ok(())
    })?;
    let (roots, voters) = (stage.server.roots(), stage.server.ports_of_nodes().len());
    stage.settle_fully();
    rustix::fs::sync();
    let (meter, puts) = (stage.meter(), stage.server.puts());
    let mut written = -(written_octets(&roots) as f64);
    let (mut octets, mut messages) = (0, 0);
    stage.runs(|stage| {
        let delivered = deliver(stage, users, LARGE)?;
        octets += delivered.octets;
        messages += delivered.messages;
        Ok(())
    })?;
    stage.settle_fully();
    rustix::fs::sync();
    written += written_octets(&roots) as f64;
    let load = meter.read();
    stage.record("cluster-written", written / octets as f64 / voters as f64, load);
    if let (Some(before), Some(after)) = (puts, stage.server.puts()) {
        stage.record("cluster-puts", (after - before) as f64 * 1_000.0 / messages as f64, load);
    }
    Ok(())
}

/// Reads all that these users have, one after the other.
fn read(stage: &mut Stage<'_>, users: &[usize], key: &'static str) -> Result<()> {
    let mut sessions = users.iter().map(|user| stage.imap(*user)).collect::<Result<Vec<_>>>()?;
    for session in &mut sessions {
        session.select("INBOX")?;
    }
    let (meter, began) = (stage.meter(), Instant::now());
    for session in &mut sessions {
        session.command(&format!("FETCH 1:* {BODIES}"))?;
        if session.fetched != session.exists {
            bail!("{} messages came instead of {}", session.fetched, session.exists);
        }
    }
    let (took, fetched) = (began.elapsed(), sessions.iter().map(|session| session.fetched).sum::<u64>());
    stage.record(key, fetched as f64 / took.as_secs_f64(), meter.read());
    Ok(())
}
