//! SMTP: from acceptance to INBOX, spread over users and into one mailbox; and what it costs the server.

use anyhow::Result;

use super::Stage;
use super::deliver::{Parcel, deliver};
use super::stage::{POPULAR, SPREAD};
use crate::book::OWN;
use crate::client::text::Kind;
use crate::host::process::cpu_seconds;

const PARCEL: Parcel = Parcel { kind: Kind::Text, octets: 4_096, connections: 64 };

/// CPU is counted from the first octet until the server is quiet; what it puts off until later (it packs bodies, for
/// example) is shared out over all messages of the group.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let users: Vec<usize> = (SPREAD..SPREAD + stage.options.sizes.spread).collect();
    stage.settle();
    let mut costs = Vec::new();
    let mut messages = 0;
    stage.runs(|stage| {
        let before = cpu_seconds(&stage.server.roots());
        let meter = stage.meter();
        let delivered = deliver(stage, &users, PARCEL)?;
        let load = meter.read();
        stage.record("smtp", delivered.messages as f64 / delivered.visible_s, load);
        stage.record("smtp-accepted", delivered.messages as f64 / delivered.accepted_s, load);
        stage.settle();
        let cpu = cpu_seconds(&stage.server.roots()) - before;
        costs.push((cpu / delivered.messages as f64, load));
        messages += delivered.messages;
        Ok(())
    })?;
    let roots = stage.server.roots();
    let mut put_off = -cpu_seconds(&roots);
    if stage.server.name() == OWN {
        let before = cpu_seconds(&roots);
        stage.runs(|stage| {
            let meter = stage.meter();
            let delivered = deliver(stage, &[POPULAR], PARCEL)?;
            stage.record("smtp-one", delivered.messages as f64 / delivered.visible_s, meter.read());
            messages += delivered.messages;
            Ok(())
        })?;
        stage.settle();
        put_off -= cpu_seconds(&roots) - before;
    }
    stage.settle_fully();
    put_off += cpu_seconds(&roots);
    for (cost, load) in costs {
        stage.record("smtp-cpu", (cost + put_off / messages as f64) * 1_000.0, load);
    }
    Ok(())
}
