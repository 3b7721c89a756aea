//! `sterna migrate`: carried out here, with the two configurations; no server is asked.

use std::time::Instant;

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sterna_storage::migrate::Sum;

use super::arguments::Migrating;
use super::bar::Bar;
use super::output::{Column, Output, cell};
use super::quantity::Octets;
use crate::config::Config;
use crate::migrate::{Arrival, Journey, Sight, go_back};

const SUM_COLUMNS: &[Column] = &[
    ("KEYS", |item| cell(item, "subspace")),
    ("OLD", |item| cell(item, "old")),
    ("NEW", |item| cell(item, "new")),
    ("SIZE", |item| cell(item, "octets")),
    ("HASH OF BOTH", |item| cell(item, "hash")),
];

/// `sterna migrate`
pub(super) async fn run(old: &Config, migrating: &Migrating, output: &Output) -> anyhow::Result<()> {
    let Some(to) = &migrating.to else {
        go_back(old).await?;
        return told(output, "undone", "This installation may serve again.");
    };
    let new = Config::load(to)?;
    let begun = Instant::now();
    let view = Mutex::new(View { bar: Bar::new(), stage: None });
    // If even that cannot be written there is nobody to tell.
    let watcher = |sight| drop(view.lock().show(sight));
    let journey = Journey { old, new: &new, new_file: to.display().to_string(), is_ahead: migrating.ahead };
    let arrival = journey.run(&watcher).await;
    view.lock().bar.end()?;
    match arrival? {
        Arrival::Ahead => {
            told(output, "ahead", "Copied ahead. Stop the old servers, and run this again without --ahead.")
        }
        Arrival::Before => told(output, "before", "All was moved before; nothing was left to do."),
        Arrival::Now { sums, objects } => {
            let sums = sums.map(|(old, new)| rows(&old, &new)).unwrap_or_default();
            if output.json {
                let objects = objects.map(|stock| json!({ "count": stock.objects, "octets": stock.octets }));
                return Ok(output.value(&json!({ "outcome": "moved", "keys": sums, "objects": objects }))?);
            }
            if !sums.is_empty() {
                output.table(&sums, SUM_COLUMNS)?;
            }
            if let Some(stock) = objects {
                output.say(format!(
                    "{} objects, {}, in both places.",
                    stock.objects,
                    Octets(stock.octets)
                ))?;
            }
            output.say(format!(
                "Moved in {} s. The old installation is marked, and does not serve any more. Start the server with {}.",
                begun.elapsed().as_secs(),
                to.display()
            ))?;
            Ok(())
        }
    }
}

fn told(output: &Output, outcome: &str, words: &str) -> anyhow::Result<()> {
    output.say(words)?;
    if output.json { output.value(&json!({ "outcome": outcome })).context("writing") } else { Ok(()) }
}

/// Both sides beside each other; they hold the same subspaces.
fn rows(old: &[Sum], new: &[Sum]) -> Vec<Value> {
    let row = |(old, new): (&Sum, &Sum)| {
        let hash: String = old.hash[..8].iter().map(|octet| format!("{octet:02x}")).collect();
        json!({
            "subspace": char::from(old.subspace).to_string(),
            "old": old.pairs,
            "new": new.pairs,
            "octets": old.octets,
            "hash": hash,
        })
    };
    old.iter().zip(new).map(row).collect()
}

/// What the terminal shows.
struct View {
    bar: Bar,
    // What the bar is of, and since when.
    stage: Option<(String, Instant)>,
}

impl View {
    fn show(&mut self, sight: Sight) -> std::io::Result<()> {
        let stage = match sight {
            Sight::Objects(..) => "bodies".to_owned(),
            Sight::Keys(stand, _) => format!("metadata, pass {}", stand.pass),
            Sight::Bodies(_) => "looking for each body".to_owned(),
            Sight::Listening => "listening for servers that still run".to_owned(),
        };
        if self.stage.as_ref().is_none_or(|(known, _)| *known != stage) {
            self.bar.end()?;
            self.stage = Some((stage.clone(), Instant::now()));
        }
        let begun = self.stage.as_ref().map_or_else(Instant::now, |(_, begun)| *begun);
        let (part, words) = words(sight, begun.elapsed().as_secs_f64().max(0.001));
        self.bar.draw(&stage, part, &words)
    }
}

/// What is done of what, and in words, after so many seconds.
fn words(sight: Sight, seconds: f64) -> (Option<(u64, u64)>, String) {
    let rate = |count: u64| Octets((count as f64 / seconds) as u64);
    match sight {
        Sight::Objects(done, all) => {
            let text = format!(
                "{} of {} objects, {} of {}, {}/s copied",
                done.seen.objects,
                all.objects,
                Octets(done.seen.octets),
                Octets(all.octets),
                rate(done.copied.octets)
            );
            (Some((done.seen.octets, all.octets)), text)
        }
        Sight::Keys(stand, all) => {
            let text = format!(
                "{} pairs, {}, {} written, {} cleared, {} pairs/s",
                stand.pairs,
                Octets(stand.octets),
                stand.set,
                stand.cleared,
                (stand.pairs as f64 / seconds) as u64
            );
            (all.map(|all| (stand.pairs, all)), text)
        }
        Sight::Bodies(count) => (None, format!("{count} bodies")),
        Sight::Listening => (None, format!("{} s", seconds as u64)),
    }
}
