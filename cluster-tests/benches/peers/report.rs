//! Prints the figures, and writes them down for machines.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use crate::book::{Book, CLUSTER, OWN, Spread};
use crate::figure::{FIGURES, Figure, Goal};

/// Says what is being done.
pub(crate) fn progress(began: Instant, text: &str) {
    eprintln!("[{:>4} s] {text}", began.elapsed().as_secs());
}

/// Prints all figures that were measured.
pub(crate) fn print(book: &Book) {
    println!("{:<68} {:<12}{:>34}  {:>8}  to reach", "figure", "server", "least / median / most", "ratio");
    for figure in &FIGURES {
        for (place, server) in book.servers(figure.key).into_iter().enumerate() {
            let Some(spread) = book.spread(figure.key, server) else { continue };
            let title = if place == 0 { format!("{}, {}", figure.title, figure.unit) } else { String::new() };
            let is_judged = server == OWN || place == 0 && server == CLUSTER;
            let verdict = if is_judged { verdict(book, figure) } else { String::new() };
            println!("{title:<68} {server:<12}{:>34}{verdict}{}", numbers(&spread), load(&spread));
        }
    }
    for (server, group, error) in &book.failures {
        println!("FAILED  {server}: {group}: {error}");
    }
}

fn numbers(spread: &Spread) -> String {
    format!("{} / {} / {}", number(spread.least), number(spread.median), number(spread.most))
}

/// With three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn verdict(book: &Book, figure: &Figure) -> String {
    let ratio = book.ratio(figure).map_or(String::new(), |(ratio, _)| format!("{ratio:.2}×"));
    let reached = match book.is_reached(figure) {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None if figure.goal == Goal::Stated => "",
        None => "nothing to compare with",
    };
    format!("  {ratio:>8}  {} {reached}", figure.goal_text())
}

fn load(spread: &Spread) -> String {
    spread.load.map_or(String::new(), |load| {
        format!("  (others {:.0} %, stolen {:.0} %)", load.others * 100.0, load.stolen * 100.0)
    })
}

/// Writes all of it to `path`.
pub(crate) fn write(book: &Book, about: &Value, path: &Path) -> Result<()> {
    let figures: Vec<Value> = FIGURES.iter().filter_map(|figure| figure_value(book, figure)).collect();
    let failures: Vec<Value> = book
        .failures
        .iter()
        .map(|(server, rows, error)| json!({ "server": server, "rows": rows, "error": error }))
        .collect();
    let report = json!({ "about": about, "figures": figures, "failures": failures });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    Ok(())
}

fn figure_value(book: &Book, figure: &Figure) -> Option<Value> {
    let servers = book.servers(figure.key);
    let server_value = |server: &'static str| {
        let Spread { runs, least, median, most, load } = book.spread(figure.key, server)?;
        let value = json!({
            "min": least, "median": median, "max": most, "runs": runs, "share_used_by_others": load.map(|load| load.others), "share_stolen": load.map(|load| load.stolen),
        });
        Some((server.to_owned(), value))
    };
    let values: serde_json::Map<String, Value> =
        servers.iter().filter_map(|server| server_value(server)).collect();
    let (ratio, against) = book.ratio(figure).unzip();
    (!values.is_empty()).then(|| {
        json!({
            "figure": figure.key, "title": figure.title, "unit": figure.unit, "to_reach": figure.goal_text(),
            "servers": values, "ratio": ratio, "against": against, "reached": book.is_reached(figure),
        })
    })
}
