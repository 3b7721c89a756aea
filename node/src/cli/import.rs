//! `sterna account import`: a file of accounts, one JSON object a line, made part by part.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sterna_storage::limits::ACCOUNTS_TOGETHER;

use super::run::Session;
use crate::admin::view::{Changed, ImportView, ImportedAccountView, InForceView};
use crate::limits;

/// What one request takes, and the lines that it stands in.
#[derive(Default)]
struct Part {
    lines: Vec<u64>,
    accounts: Vec<ImportedAccountView>,
    octets: usize,
}

/// What came of the parts so far.
#[derive(Default)]
struct Sum {
    made: u64,
    existed: u64,
    refused: u64,
    in_force: Option<InForceView>,
}

impl Part {
    fn push(&mut self, number: u64, octets: usize, account: ImportedAccountView) {
        self.lines.push(number);
        self.accounts.push(account);
        self.octets += octets;
    }

    /// Whether another line might be too much.
    fn is_full(&self) -> bool {
        self.accounts.len() == ACCOUNTS_TOGETHER || self.octets > limits::ADMIN_REQUEST_OCTETS / 2
    }
}

impl Session {
    /// Reads the file (`-`: standard input) to its end. Lines that are wrong are named, and the others made.
    pub(super) async fn import(&self, file: &Path) -> anyhow::Result<()> {
        let mut input: Box<dyn BufRead> = match file.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(BufReader::new(
                File::open(file).with_context(|| format!("opening {}", file.display()))?,
            )),
        };
        let (mut number, mut line, mut part, mut sum) = (0, Vec::new(), Part::default(), Sum::default());
        while next_line(&mut input, &mut line, number + 1)? {
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(account) => part.push(number, line.len(), account),
                Err(error) => self.refused(&mut sum, number, &error.to_string())?,
            }
            if part.is_full() {
                self.make(std::mem::take(&mut part), &mut sum).await?;
            }
        }
        self.make(part, &mut sum).await?;
        self.told(&sum)
    }

    async fn make(&self, part: Part, sum: &mut Sum) -> anyhow::Result<()> {
        let Some(first) = part.lines.first() else { return Ok(()) };
        let answer = self.client.call(Method::POST, "/accounts/import", Some(&part.accounts)).await;
        let answer = answer.with_context(|| {
            format!("from line {first} on nothing is known; once that is mended give the command again: what is made is passed over")
        })?;
        let Changed { what: ImportView { made, existed, refused }, in_force } = Changed::deserialize(answer)?;
        for one in refused {
            let number = part.lines.get(one.place).copied().unwrap_or_default();
            self.refused(sum, number, &one.error.message)?;
        }
        let before = sum.made + sum.existed;
        (sum.made, sum.existed, sum.in_force) = (sum.made + made, sum.existed + existed, in_force);
        let done = sum.made + sum.existed;
        if done / limits::IMPORT_TOLD > before / limits::IMPORT_TOLD {
            self.output.progress("accounts", done)?;
        }
        Ok(())
    }

    fn refused(&self, sum: &mut Sum, number: u64, reason: &str) -> anyhow::Result<()> {
        sum.refused += 1;
        Ok(self.output.warn(format!("line {number}: {reason}"))?)
    }

    fn told(&self, sum: &Sum) -> anyhow::Result<()> {
        let Sum { made, existed, refused, in_force } = sum;
        if made + existed >= limits::IMPORT_TOLD {
            self.output.progress_ends()?;
        }
        let mut value = json!({ "made": made, "existed": existed, "refused": refused });
        if let (Some(in_force), Value::Object(fields)) = (in_force, &mut value) {
            fields.insert("in_force".to_owned(), serde_json::to_value(in_force)?);
        }
        self.changed(
            &format!("Accounts made: {made}; there already: {existed}; refused: {refused}."),
            &value,
        )?;
        match refused {
            0 => Ok(()),
            _ => bail!("not all lines are accounts"),
        }
    }
}

/// Reads the next line; tells whether there is one.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> anyhow::Result<bool> {
    line.clear();
    let most = limits::IMPORT_LINE_OCTETS;
    let read = input.take(most as u64 + 1).read_until(b'\n', line);
    read.with_context(|| format!("reading line {number}"))?;
    if line.len() > most {
        bail!("line {number} is longer than {most} octets: one JSON object a line is expected");
    }
    Ok(!line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_last_needs_no_end() {
        let long = [b"{}\n".as_slice(), &vec![b' '; limits::IMPORT_LINE_OCTETS + 1]].concat();
        let (mut input, mut line) = (long.as_slice(), Vec::new());
        assert!(next_line(&mut input, &mut line, 1).expect("a line"));
        assert_eq!(line, b"{}\n");
        assert!(next_line(&mut input, &mut line, 2).expect_err("too long").to_string().contains("line 2"));
        let mut input = b"a".as_slice();
        assert!(next_line(&mut input, &mut line, 1).expect("a line") && line == b"a");
        assert!(!next_line(&mut input, &mut line, 2).expect("the end"));
    }
}
