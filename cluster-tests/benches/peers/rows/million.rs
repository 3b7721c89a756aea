//! A million messages in a thousand mailboxes: how fast they come in, what disk and memory they take.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Stage;
use super::memory::record_resident;
use crate::client::crew::crew;
use crate::client::smtp::Smtp;
use crate::client::text::{Kind, Order, random};
use crate::host::disk::taken_octets;
use crate::server::address;

/// Connections that deliver.
const CONNECTIONS: usize = 64;
/// Recipients of each message, every one a mailbox of the thousand: one body for so many messages.
const RECIPIENTS: usize = 10;
const OCTETS: usize = 1_024;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let (users, each) = (stage.options.sizes.users, stage.options.sizes.million_each);
    let before = taken_octets(stage.server.data());
    let counts_before = count_all(stage)?;
    let port = stage.server.ports().lmtp;
    let senders = (0..CONNECTIONS).map(|_| Smtp::connect_lmtp(port)).collect::<Result<Vec<_>>>()?;
    let library = stage.library;
    let meter = stage.meter();
    let shift = crew(senders, |number, mut sender| {
        let (mut random, mut message) = (random(number as u64), Vec::new());
        // Every connection has some users' mailboxes to itself in each round.
        let groups: Vec<Vec<usize>> =
            (0..users).collect::<Vec<_>>().chunks(RECIPIENTS).map(<[usize]>::to_vec).collect();
        for round in 0..each {
            for group in groups.iter().skip((number + round) % CONNECTIONS).step_by(CONNECTIONS) {
                let recipients: Vec<String> = group.iter().copied().map(address).collect();
                let order =
                    Order { kind: Kind::Text, octets: OCTETS, to: &recipients[0], number: round as u64 };
                library.write(&order, &mut random, &mut message);
                sender.send(&recipients, &message)?;
            }
        }
        sender.quit()
    })?;
    let sent = (users * each) as u64;
    stage.record("million-rate", sent as f64 / shift.took.as_secs_f64(), meter.read());
    let found = count_all(stage)? - counts_before;
    if found != sent {
        bail!("{sent} messages were accepted, {found} are there");
    }
    stage.settle_fully();
    record_resident(stage, "million-rss");
    let meter = stage.meter();
    let taken = taken_octets(stage.server.data()).saturating_sub(before);
    stage.record("million-disk", taken as f64 / sent as f64, meter.read());
    stage.record("million-octets", OCTETS as f64, meter.read());
    let began = Instant::now();
    stage.server.restart()?;
    let took = began.elapsed().as_secs_f64();
    let load = stage.meter().read();
    stage.record("million-restart", took * 1_000.0, load);
    record_resident(stage, "million-rss-restarted");
    Ok(())
}

fn count_all(stage: &Stage<'_>) -> Result<u64> {
    (0..stage.options.sizes.users).map(|user| stage.imap(user)?.count("INBOX")).sum()
}
