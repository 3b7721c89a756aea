//! As much of IMAP (RFC 9051) as the load needs: commands, what they answer, and counting it.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::ClientConfig;

use super::wire::{Stream, Wire};
use crate::server::{PASSWORD, address};

/// A session that is logged in.
pub(crate) struct Imap {
    wire: Wire,
    tag: u32,
    line: Vec<u8>,
    /// Messages in the selected mailbox, as last told.
    pub(crate) exists: u64,
    /// FETCH responses that have come.
    pub(crate) fetched: u64,
    /// Octets of literals that have come.
    pub(crate) literal_octets: u64,
    answer: String,
}

impl Imap {
    /// Connects and logs in.
    pub(crate) fn log_in(port: u16, tls: Option<&Arc<ClientConfig>>, user: usize) -> Result<Self> {
        let wire = Wire::connect(port, tls)?;
        let mut imap = Self {
            wire,
            tag: 0,
            line: Vec::new(),
            exists: 0,
            fetched: 0,
            literal_octets: 0,
            answer: String::new(),
        };
        imap.wire.line(&mut imap.line)?;
        if !imap.line.starts_with(b"* OK") {
            bail!("greeted with {}", imap.line.escape_ascii());
        }
        imap.command(&format!("LOGIN {} \"{PASSWORD}\"", address(user)))?;
        Ok(imap)
    }

    /// Sends a command that must succeed.
    pub(crate) fn command(&mut self, command: &str) -> Result<()> {
        self.begin(format!("{command}\r\n").as_bytes())?;
        self.finish().with_context(|| command.chars().take(80).collect::<String>())
    }

    fn begin(&mut self, rest: &[u8]) -> Result<()> {
        self.tag += 1;
        let mut octets = format!("a{} ", self.tag).into_bytes();
        octets.extend_from_slice(rest);
        self.wire.send(&octets)
    }

    /// Reads up to the tagged answer.
    fn finish(&mut self) -> Result<()> {
        let tag = format!("a{} ", self.tag);
        loop {
            self.wire.line(&mut self.line)?;
            if let Some(state) = self.line.strip_prefix(tag.as_bytes()) {
                if state.starts_with(b"OK") {
                    return Ok(());
                }
                bail!("{}", self.line.escape_ascii());
            }
            self.note()?;
        }
    }

    /// Counts what an untagged response tells, and reads its literals.
    fn note(&mut self) -> Result<()> {
        let word = |line: &[u8], at| line.split(|octet| *octet == b' ').nth(at).map(<[u8]>::to_vec);
        match word(&self.line, 2).as_deref() {
            Some(b"FETCH") => self.fetched += 1,
            Some(b"EXISTS") => {
                let count = word(&self.line, 1).unwrap_or_default();
                self.exists = str::from_utf8(&count)?.parse()?;
            }
            _ => {}
        }
        if [&b"* STATUS"[..], b"* SEARCH", b"* CAPABILITY"].iter().any(|start| self.line.starts_with(start)) {
            self.answer = String::from_utf8_lossy(&self.line).into_owned();
        }
        while let Some(octets) = literal(&self.line) {
            self.literal_octets += octets as u64;
            self.wire.skip(octets)?;
            self.wire.line(&mut self.line)?;
        }
        Ok(())
    }

    /// Selects, and tells how many messages there are.
    pub(crate) fn select(&mut self, mailbox: &str) -> Result<u64> {
        self.command(&format!("SELECT {mailbox}"))?;
        Ok(self.exists)
    }

    /// How many messages a mailbox has that is not selected.
    pub(crate) fn count(&mut self, mailbox: &str) -> Result<u64> {
        self.command(&format!("STATUS {mailbox} (MESSAGES)"))?;
        let count = self.answer.rsplit_once("(MESSAGES ").and_then(|(_, count)| count.strip_suffix(')'));
        Ok(count.with_context(|| self.answer.clone())?.trim().parse()?)
    }

    /// What SEARCH finds.
    pub(crate) fn search(&mut self, keys: &str) -> Result<Vec<u32>> {
        self.answer.clear();
        self.command(&format!("UID SEARCH {keys}"))?;
        Ok(self.answer.split(' ').skip(2).map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Whether the server says that it can do this.
    pub(crate) fn can(&mut self, capability: &str) -> Result<bool> {
        self.command("CAPABILITY")?;
        Ok(self.answer.split(' ').any(|word| word == capability))
    }

    /// Appends messages in one command, each as a non-synchronizing literal; several need MULTIAPPEND (RFC 3502).
    pub(crate) fn append(&mut self, mailbox: &str, messages: &[Vec<u8>]) -> Result<()> {
        let mut command = format!("APPEND {mailbox}").into_bytes();
        for message in messages {
            write!(command, " {{{}+}}\r\n", message.len())?;
            command.extend_from_slice(message);
        }
        command.extend_from_slice(b"\r\n");
        self.begin(&command)?;
        self.finish().context("APPEND")
    }

    /// Begins to wait for news (RFC 9051 §6.3.13).
    pub(crate) fn idle(&mut self) -> Result<()> {
        self.begin(b"IDLE\r\n")?;
        loop {
            self.wire.line(&mut self.line)?;
            if self.line.starts_with(b"+") {
                return Ok(());
            }
            self.note()?;
        }
    }

    /// While idle: waits until there are more messages than `known`.
    pub(crate) fn await_more_than(&mut self, known: u64) -> Result<u64> {
        while self.exists <= known {
            self.wire.line(&mut self.line)?;
            self.note()?;
        }
        Ok(self.exists)
    }

    /// Ends waiting.
    pub(crate) fn done(&mut self) -> Result<()> {
        self.wire.send(b"DONE\r\n")?;
        self.finish()
    }

    /// Keeps nothing but the open connection.
    pub(crate) fn into_stream(self) -> Stream {
        self.wire.into_stream()
    }
}

/// The length of the literal that the line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}
