//! Messages whose name says all of their text: whoever finds one can tell whether it is intact.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sterna_cluster_tests::sterna::address;

/// One attempt to file one message. It is unique, and is the message's subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    /// What kind of client sends it.
    pub(super) kind: &'static str,
    /// The account that stands in From.
    pub(super) account: usize,
    /// Which client of its kind.
    pub(super) client: usize,
    /// The client's number for the message.
    pub(super) number: u32,
    /// How often it has tried to file this message, this time included.
    pub(super) attempt: u32,
    /// Octets of the body.
    pub(super) octets: usize,
    /// Addresses in Cc. They make what the server keeps beside the message large.
    pub(super) addresses: usize,
}

/// The accounts, by number.
pub(super) const ACCOUNTS: [&str; 7] = ["ann", "bob", "cat", "dan", "eve", "fay", "gus"];
/// The kinds of clients.
pub(super) const KINDS: [&str; 5] = ["mx", "submission", "append", "edit", "bulk"];

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, account, client, number, attempt, octets, addresses } = self;
        write!(out, "{kind}.{account}.{client}.{number}.{attempt}.{octets}.{addresses}")
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let number = |at: usize| parts.get(at)?.parse::<u32>().ok();
        let name = || {
            Some(Self {
                kind: KINDS.into_iter().find(|kind| Some(kind) == parts.first())?,
                account: number(1)? as usize,
                client: number(2)? as usize,
                number: number(3)?,
                attempt: number(4)?,
                octets: number(5)? as usize,
                addresses: number(6)? as usize,
            })
        };
        name().ok_or_else(|| format!("not a message of this test: {text:?}"))
    }
}

impl Name {
    /// The whole message, without dots at the start of a line.
    pub(super) fn text(&self) -> String {
        let mut random =
            StdRng::seed_from_u64(self.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
                (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
            }));
        let mut text = format!("From: {}\r\n", address(ACCOUNTS[self.account]));
        text += "Date: Sun, 22 Nov 2026 05:00:00 +0000\r\n";
        text += &format!("Message-ID: <{self}@kill.test>\r\nSubject: {self}\r\n");
        for number in 0..self.addresses {
            text += if number == 0 { "Cc: " } else { ",\r\n " };
            text += &format!("<somebody.number.{number}@a.domain.elsewhere.test>");
        }
        text += if self.addresses > 0 { "\r\n\r\n" } else { "\r\n" };
        let end = text.len() + self.octets;
        while text.len() < end {
            text.extend((0..60).map(|_| char::from(random.random_range(b'0'..=b'z'))));
            text += "\r\n";
        }
        text
    }

    /// The name in a header that was found somewhere.
    pub(super) fn of(header: &str) -> Result<Self, String> {
        let subject = header.lines().find_map(|line| line.strip_prefix("Subject: "));
        subject.ok_or_else(|| format!("no subject: {header:?}"))?.trim_end().parse()
    }
}

/// Octets of a body: mostly small; some that become a part of a segment, and few that become an object.
pub(super) fn some_octets(random: &mut StdRng) -> usize {
    match random.random_range(0..40) {
        0 => random.random_range(70_000..120_000),
        1..5 => random.random_range(8_000..40_000),
        _ => random.random_range(100..4_000),
    }
}
