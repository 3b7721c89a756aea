//! Keys: a subspace octet, then parts in order-preserving encoding.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Error, Result};

/// The first octet of every key: whose it is. Octet FF is the engines' own.
pub mod subspace {
    /// Per account: usage, next mailbox id.
    pub const ACCOUNT: u8 = b'A';
    /// Mailboxes of an account: name, parent, special use, UIDVALIDITY.
    pub const MAILBOX: u8 = b'F';
    /// Counters of a mailbox.
    pub const COUNTERS: u8 = b'G';
    /// Messages: flags, numbers, body.
    pub const MESSAGE: u8 = b'M';
    /// Summaries: ENVELOPE, BODYSTRUCTURE, PREVIEW.
    pub const SUMMARY: u8 = b'E';
    /// Change log of a mailbox, by MODSEQ.
    pub const CHANGE: u8 = b'C';
    /// Where a body is.
    pub const BODY: u8 = b'B';
    /// Who refers to a body.
    pub const REFERENCE: u8 = b'R';
    /// Packed segments.
    pub const SEGMENT: u8 = b'S';
    /// Intents of objects about to be written.
    pub const UPLOAD: u8 = b'U';
    /// Queue entries.
    pub const QUEUE: u8 = b'Q';
    /// Due index of the queue, in shards.
    pub const DUE: u8 = b'D';
    /// Results of operations, by id.
    pub const OPERATION: u8 = b'I';
    /// When they may go.
    pub const OPERATION_DUE: u8 = b'i';
    /// Trace of each message.
    pub const TRACE: u8 = b'T';
    /// Expunged records kept for restore.
    pub const EXPUNGED: u8 = b'Y';
    /// The outbox.
    pub const OUTBOX: u8 = b'X';
    /// One heartbeat per node incarnation.
    pub const NODE: u8 = b'N';
    /// The directory's records.
    pub const DIRECTORY: u8 = b'd';
    /// Staged pieces of bodies.
    pub const BODY_PIECE: u8 = b'b';
    /// Outlines of mailboxes: what a view keeps, in few values.
    pub const OUTLINE: u8 = b'g';
    /// Keyword tables of mailboxes.
    pub const KEYWORD: u8 = b'K';
    /// Index of an account's mailboxes by name.
    pub const MAILBOX_NAME: u8 = b'f';
    /// What a domain stores, in shards.
    pub const DOMAIN_USAGE: u8 = b'v';
    /// What the mail store's workers have still to do.
    pub const WORK: u8 = b'Z';
    /// The cluster, its nodes, and the tokens that let new ones in.
    pub const CLUSTER: u8 = b'c';
    /// The store's clock.
    pub const CLOCK: u8 = b't';
    /// Marks of a move from or to another installation.
    pub const MOVE: u8 = b'w';
    /// First octet that no key of ours may start with: an engine's own keys stand from here on.
    pub const ENGINE: u8 = 0xff;
}

/// Writes a key. Numbers are big-endian; octet strings escape 0 as `00 FF` and end in `00`, so that
/// a shorter one sorts before a longer one that starts alike, whatever part follows.
#[derive(Debug, Default)]
pub struct KeyWriter(BytesMut);

impl KeyWriter {
    /// A key in the subspace.
    pub fn new(subspace: u8) -> Self {
        let mut key = BytesMut::with_capacity(40);
        key.put_u8(subspace);
        Self(key)
    }

    /// Appends a single octet.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.put_u8(value);
        self
    }

    /// Appends four octets.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }

    /// Appends eight octets.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.0.put_u64(value);
        self
    }

    /// Appends octets of a length that every such key shares (an id).
    #[must_use]
    pub fn fixed<const N: usize>(mut self, value: &[u8; N]) -> Self {
        self.0.put_slice(value);
        self
    }

    /// Appends octets of any length.
    #[must_use]
    pub fn octets(mut self, value: &[u8]) -> Self {
        for octet in value {
            self.0.put_u8(*octet);
            if *octet == 0 {
                self.0.put_u8(0xff);
            }
        }
        self.0.put_u8(0);
        self
    }

    /// Appends text of any length.
    #[must_use]
    pub fn text(self, value: &str) -> Self {
        self.octets(value.as_bytes())
    }

    /// The key.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads a key back, part by part. Every method fails with `Corrupt` where the key is too short or
/// is not what [`KeyWriter`] wrote.
#[derive(Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Behind the subspace octet.
    pub fn new(key: &'a [u8], subspace: u8) -> Result<Self> {
        match key.split_first() {
            Some((first, rest)) if *first == subspace => Ok(Self(rest)),
            _ => Err(Error::Corrupt("key of another subspace".into())),
        }
    }

    /// The next single octet.
    pub fn u8(&mut self) -> Result<u8> {
        self.fixed::<1>().map(|octets| octets[0])
    }

    /// The next four octets.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// The next eight octets.
    pub fn u64(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// The next `N` octets.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(|| Error::Corrupt("short key".into()))?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next octet string.
    pub fn octets(&mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        let mut at = 0;
        loop {
            match (self.0.get(at), self.0.get(at + 1)) {
                (Some(0), Some(0xff)) => {
                    value.push(0);
                    at += 2;
                }
                (Some(0), _) => {
                    self.0 = &self.0[at + 1..];
                    return Ok(value);
                }
                (Some(octet), _) => {
                    value.push(*octet);
                    at += 1;
                }
                (None, _) => return Err(Error::Corrupt("key part without end".into())),
            }
        }
    }

    /// The next text.
    pub fn text(&mut self) -> Result<String> {
        String::from_utf8(self.octets()?).map_err(|_| Error::Corrupt("key text".into()))
    }

    /// What is left unread.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}
