//! The messages: text that compresses about as mail does, or attachments that do not compress.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SmallRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

/// What a message consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Words.
    Text,
    /// Base64 of random octets, as an attachment that is compressed already.
    Attachment,
}

/// Octets of a line with its end, in both kinds.
const LINE_OCTETS: usize = 78;
/// Lines of each kind to choose from.
const LINES: usize = 40_000;
/// Neighbouring lines that are taken together.
const PASSAGE_LINES: usize = 32;
/// A word that no message holds unless it is put in.
pub(crate) const RARE_WORD: &str = "zyzzogeton";

/// What messages are made of.
pub(crate) struct Library {
    text: Vec<u8>,
    base64: Vec<u8>,
}

impl Library {
    /// The same for each run of the benchmark.
    pub(crate) fn new() -> Self {
        let mut random = SmallRng::seed_from_u64(1);
        let word = |random: &mut SmallRng| -> String {
            let letters = random.random_range(2..11);
            (0..letters).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
        };
        let vocabulary: Vec<String> = (0..4096).map(|_| word(&mut random)).collect();
        let mut text = Vec::with_capacity(LINES * LINE_OCTETS);
        let mut base64 = Vec::with_capacity(LINES * LINE_OCTETS);
        for _ in 0..LINES {
            let mut line = String::new();
            while line.len() < LINE_OCTETS - 2 {
                // The product of two draws: few words are frequent and many are rare, as in real text.
                let at = random.random_range(0..4096) * random.random_range(0..4096) / 4096;
                line += &vocabulary[at];
                line.push(' ');
            }
            line.truncate(LINE_OCTETS - 3);
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b".\r\n");
            let mut octets = [0; 57];
            random.fill_bytes(&mut octets);
            base64.extend_from_slice(STANDARD.encode(octets).as_bytes());
            base64.extend_from_slice(b"\r\n");
        }
        Self { text, base64 }
    }

    /// Writes a message of `octets` octets, or some less than a line more or fewer.
    pub(crate) fn write(&self, order: &Order<'_>, random: &mut SmallRng, out: &mut Vec<u8>) {
        out.clear();
        let (number, nonce) = (order.number, random.next_u64());
        let kind = match order.kind {
            Kind::Text => "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit",
            Kind::Attachment => {
                "application/octet-stream; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\
                 Content-Disposition: attachment; filename=a.zip"
            }
        };
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "From: Sender {} <sender{}@example.org>\r\nTo: <{}>\r\nSubject: message {number} about {}\r\n\
             Date: Thu, 05 Nov 2026 12:{:02}:{:02} +0000\r\nMessage-ID: <{number}.{nonce:x}@example.org>\r\n\
             MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n",
            number % 97,
            number % 97,
            order.to,
            nonce % 5_000,
            number / 60 % 60,
            number % 60,
        );
        let lines = match order.kind {
            Kind::Text => &self.text,
            Kind::Attachment => &self.base64,
        };
        let mut left = order.octets.saturating_sub(out.len()) / LINE_OCTETS;
        while left > 0 {
            let passage = left.min(PASSAGE_LINES);
            let at = random.random_range(0..LINES - passage) * LINE_OCTETS;
            out.extend_from_slice(&lines[at..at + passage * LINE_OCTETS]);
            left -= passage;
        }
    }

    /// How much smaller zstd makes messages of this kind and size, each by itself.
    pub(crate) fn compressibility(&self, kind: Kind, octets: usize) -> anyhow::Result<f64> {
        let mut random = SmallRng::seed_from_u64(2);
        let (mut message, mut plain, mut packed) = (Vec::new(), 0, 0);
        for number in 0..100 {
            self.write(&Order { kind, octets, to: "user@example.test", number }, &mut random, &mut message);
            plain += message.len();
            packed += zstd::bulk::compress(&message, 3)?.len();
        }
        Ok(plain as f64 / packed as f64)
    }
}

/// One message to be written.
pub(crate) struct Order<'a> {
    /// Of what.
    pub(crate) kind: Kind,
    /// How long, in octets.
    pub(crate) octets: usize,
    /// For whom.
    pub(crate) to: &'a str,
    /// Its number, for subject and date.
    pub(crate) number: u64,
}

/// A generator for one client.
pub(crate) fn random(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed ^ rand::random::<u64>())
}
