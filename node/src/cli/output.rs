//! What is printed: JSON as the API gave it, or tables for people. Progress goes to standard error.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::quantity::Octets;

/// Tells what went wrong, with its causes.
pub fn complain(error: &anyhow::Error) {
    // If even that cannot be written there is nobody to tell.
    let _ = writeln!(io::stderr(), "sterna: {error:#}");
}

/// Where it goes, and in which form.
pub(super) struct Output {
    pub(super) json: bool,
}

/// A column: its title, and what stands in it.
pub(super) type Column = (&'static str, fn(&Value) -> String);

impl Output {
    /// One line for people; nothing in JSON.
    pub(super) fn say(&self, text: impl AsRef<str>) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout(), "{}", text.as_ref()) }
    }

    /// One line on what is wrong, to standard error.
    pub(super) fn warn(&self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(io::stderr(), "{}", text.as_ref())
    }

    /// A value: as JSON, or one line per field.
    pub(super) fn value(&self, value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match (self.json, value) {
            (false, Value::Object(fields)) => {
                let width = fields.keys().map(String::len).max().unwrap_or(0);
                for (name, value) in fields {
                    writeln!(out, "{name:width$}  {}", plain(name, value))?;
                }
                Ok(())
            }
            _ => writeln!(out, "{value:#}"),
        }
    }

    /// A list: as one JSON array, or a table.
    pub(super) fn table(&self, items: &[Value], columns: &[Column]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{:#}", Value::Array(items.to_vec()));
        }
        let row = |item: &Value| columns.iter().map(|(_, cell)| cell(item)).collect::<Vec<_>>();
        let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
        rows.extend(items.iter().map(row));
        let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    /// How far long work is; a line that is written over on a terminal.
    pub(super) fn progress(&self, what: &str, done: u64) -> io::Result<()> {
        let mut out = io::stderr();
        match out.is_terminal() {
            true => write!(out, "\r{done} {what}"),
            false => writeln!(out, "{done} {what}"),
        }
    }

    /// The line of progress is over.
    pub(super) fn progress_ends(&self) -> io::Result<()> {
        let mut out = io::stderr();
        if out.is_terminal() { writeln!(out) } else { Ok(()) }
    }
}

/// A value as people read it, by the name of its field.
pub(super) fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(octets) if name.ends_with("octets") => Octets(octets).to_string(),
            Some(millis) if is_time(name) => time(millis as i64),
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(|item| plain(name, item)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| plain(name, value);
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
    }
}

fn is_time(name: &str) -> bool {
    matches!(
        name,
        "created" | "due" | "oldest" | "next_attempt" | "at" | "joined" | "certified_until" | "expires"
    )
}

/// `2026-11-22 03:04:05Z` of milliseconds since 1970.
fn time(millis: i64) -> String {
    let seconds = millis.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date in the proleptic Gregorian calendar: years that begin in March, eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The field of that name, for people.
pub(super) fn cell(item: &Value, name: &str) -> String {
    plain(name, &item[name])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(plain("quota_octets", &json!(2_000_000)), "2.0 MB");
        assert_eq!(plain("quota_octets", &Value::Null), "-");
        assert_eq!(plain("forward", &json!(["a@b.c", "d@e.f"])), "a@b.c, d@e.f");
        assert_eq!(plain("created", &json!(0)), "1970-01-01 00:00:00Z");
        assert_eq!(plain("created", &json!(951_868_799_000u64)), "2000-02-29 23:59:59Z");
        assert_eq!(plain("created", &json!(1_795_316_645_000u64)), "2026-11-22 03:04:05Z");
    }
}
