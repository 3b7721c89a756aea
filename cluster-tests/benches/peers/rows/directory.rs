//! A directory of a million accounts: how fast they come in, what memory they take, how long a start takes with them,
//! and how fast recipients are told from addresses that do not exist.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use serde_json::Value;
use sterna_cluster_tests::sterna::address;
use sterna_cluster_tests::tools::run_with;

use super::Stage;
use super::memory::record_resident;
use crate::book::percentile;
use crate::client::smtp::Smtp;
use crate::client::text::random;
use crate::host::disk::taken_octets;
use crate::server::PASSWORD_HASH;

/// Accounts that one command imports.
const IMPORTED_TOGETHER: usize = 50_000;
/// Recipients that are asked for in one run, and addresses that do not exist.
const LOOKUPS: usize = 20_000;
/// Recipients of one envelope: below `smtp.recipients`.
const ENVELOPE: usize = 500;
/// Unknown ones of one connection: below what it is closed after.
const UNKNOWN: usize = 50;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let accounts = stage.options.sizes.accounts;
    let before = taken_octets(stage.server.data());
    let (meter, began) = (stage.meter(), Instant::now());
    for first in (0..accounts).step_by(IMPORTED_TOGETHER) {
        import(stage, first, (first + IMPORTED_TOGETHER).min(accounts))?;
    }
    stage.record("directory-import", accounts as f64 / began.elapsed().as_secs_f64(), meter.read());
    stage.settle_fully();
    let meter = stage.meter();
    let taken = taken_octets(stage.server.data()).saturating_sub(before);
    stage.record("directory-disk", taken as f64 / accounts as f64, meter.read());
    stage.runs(|stage| {
        let meter = stage.meter();
        let took = stage.server.restart()?;
        stage.record("directory-start", took.as_secs_f64() * 1_000.0, meter.read());
        record_resident(stage, "directory-rss");
        Ok(())
    })?;
    let lookups = if stage.options.is_quick { LOOKUPS / 100 } else { LOOKUPS };
    let mut seed = 0;
    stage.runs(|stage| {
        seed += 1;
        let meter = stage.meter();
        let mut waits = known(stage, lookups, seed)?;
        record(stage, ["directory-known-p50", "directory-known-p99"], &mut waits, &meter)?;
        let meter = stage.meter();
        let mut waits = unknown(stage, lookups, seed)?;
        record(stage, ["directory-unknown-p50", "directory-unknown-p99"], &mut waits, &meter)
    })?;
    record_resident(stage, "directory-rss-asked");
    Ok(())
}

fn name(number: usize) -> String {
    address(&format!("person{number}"))
}

/// Makes those accounts by the command that is there for it.
fn import(stage: &Stage<'_>, first: usize, end: usize) -> Result<()> {
    let mut file = String::new();
    for number in first..end {
        let address = name(number);
        writeln!(
            file,
            "{{\"address\":\"{address}\",\"password_hash\":\"{PASSWORD_HASH}\",\"quota_octets\":5000000000}}"
        )?;
    }
    let server = stage.server.nodes().into_iter().next().context("it takes no accounts")?;
    let mut command = server.command(&["account", "import", "-", "--json"]);
    let told: Value = serde_json::from_str(&run_with(&mut command, file.as_bytes()).succeeded().stdout)?;
    if told["made"].as_u64() != Some((end - first) as u64) {
        bail!("accounts {first} to {end}: {told}");
    }
    Ok(())
}

/// How long each of so many recipients, drawn from all, takes to be accepted, in milliseconds.
fn known(stage: &Stage<'_>, lookups: usize, seed: u64) -> Result<Vec<f64>> {
    let (mut random, accounts) = (random(seed), stage.options.sizes.accounts);
    let mut client = Smtp::connect(stage.server.ports().smtp)?;
    let mut waits = Vec::with_capacity(lookups);
    while waits.len() < lookups {
        client.begin()?;
        for _ in 0..ENVELOPE.min(lookups - waits.len()) {
            let recipient = name(random.random_range(0..accounts));
            let asked = Instant::now();
            if !client.recipient(&recipient)? {
                bail!("{recipient} is refused");
            }
            waits.push(asked.elapsed().as_secs_f64() * 1_000.0);
        }
        client.reset()?;
    }
    client.quit()?;
    Ok(waits)
}

/// The same of addresses that do not exist.
fn unknown(stage: &Stage<'_>, lookups: usize, seed: u64) -> Result<Vec<f64>> {
    let mut random = random(seed);
    let mut waits = Vec::with_capacity(lookups);
    while waits.len() < lookups {
        let mut client = Smtp::connect(stage.server.ports().smtp)?;
        client.begin()?;
        for _ in 0..UNKNOWN.min(lookups - waits.len()) {
            let recipient = address(&format!("nobody{}", random.random_range(0..u64::MAX)));
            let asked = Instant::now();
            if client.recipient(&recipient)? {
                bail!("{recipient} is accepted");
            }
            waits.push(asked.elapsed().as_secs_f64() * 1_000.0);
        }
        client.quit()?;
    }
    Ok(waits)
}

fn record(
    stage: &mut Stage<'_>,
    keys: [&'static str; 2],
    waits: &mut [f64],
    meter: &crate::host::meter::Meter,
) -> Result<()> {
    let load = meter.read();
    for (key, part) in keys.into_iter().zip([0.5, 0.99]) {
        stage.record(key, percentile(waits, part).context("nobody was asked for")?, load);
    }
    Ok(())
}
