//! The maildrop as one session sees it (RFC 1939 §4): INBOX at the moment of login, its messages numbered
//! from 1, and the marks of DELE. It holds numbers only; nothing of it outlives the session.

use sterna_storage::types::{Uid, UidSet};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its UID in INBOX.
    pub uid: Uid,
    /// Its size in octets as RETR sends it, byte-stuffing not counted.
    pub size_octets: u64,
    // By DELE; takes effect at QUIT.
    deleted: bool,
}

/// Why there is no message by that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// The number is 0 or past the last message.
    #[error("no such message, only {0} in maildrop")]
    Unknown(usize),
    /// DELE took it.
    #[error("message {0} already deleted")]
    Deleted(u32),
}

/// The messages of one session.
#[derive(Debug, Clone, Default)]
pub struct Maildrop {
    uid_validity: u32,
    entries: Vec<Entry>,
    // Of the entries that are not deleted.
    remaining: usize,
    remaining_octets: u64,
}

impl Maildrop {
    /// From INBOX's UIDVALIDITY and its messages, ascending by UID.
    pub fn new(uid_validity: u32, messages: impl IntoIterator<Item = (Uid, u64)>) -> Self {
        let entries: Vec<Entry> = messages
            .into_iter()
            .map(|(uid, size_octets)| Entry { uid, size_octets, deleted: false })
            .collect();
        let mut maildrop = Self { uid_validity, entries, ..Self::default() };
        maildrop.reset();
        maildrop
    }

    /// How many messages there are, those marked as deleted not counted.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Their octets.
    pub fn remaining_octets(&self) -> u64 {
        self.remaining_octets
    }

    /// Both, in words.
    pub fn summary(&self) -> impl std::fmt::Display + use<> {
        let (messages, octets) = (self.remaining, self.remaining_octets);
        let plural = if messages == 1 { "" } else { "s" };
        std::fmt::from_fn(move |f| write!(f, "{messages} message{plural} ({octets} octets)"))
    }

    /// The message by its number.
    pub fn message(&self, number: u32) -> Result<&Entry, NoMessage> {
        let position = self.position(number)?;
        Ok(&self.entries[position])
    }

    /// The first message that is not deleted and whose number is at least `number`, and that number.
    pub fn first_from(&self, number: u32) -> Option<(u32, &Entry)> {
        let start = number.max(1) as usize - 1;
        let found = self.entries.get(start..)?.iter().position(|entry| !entry.deleted)?;
        let position = start + found;
        Some((u32::try_from(position + 1).ok()?, &self.entries[position]))
    }

    /// The unique-id of a message (RFC 1939 §7 UIDL): UIDVALIDITY and UID, neither of which is ever reused.
    pub fn unique_id(&self, entry: &Entry) -> impl std::fmt::Display + use<> {
        let (uid_validity, uid) = (self.uid_validity, entry.uid);
        std::fmt::from_fn(move |f| write!(f, "{uid_validity}.{uid}"))
    }

    /// Marks a message as deleted.
    pub fn delete(&mut self, number: u32) -> Result<(), NoMessage> {
        let position = self.position(number)?;
        let entry = &mut self.entries[position];
        entry.deleted = true;
        self.remaining -= 1;
        self.remaining_octets -= entry.size_octets;
        Ok(())
    }

    /// Unmarks all.
    pub fn reset(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.deleted = false);
        self.remaining = self.entries.len();
        self.remaining_octets = self.entries.iter().map(|entry| entry.size_octets).sum();
    }

    /// What DELE marked.
    pub fn deleted(&self) -> UidSet {
        self.entries.iter().filter(|entry| entry.deleted).map(|entry| entry.uid).collect()
    }

    fn position(&self, number: u32) -> Result<usize, NoMessage> {
        let position = (number as usize).checked_sub(1);
        match position.and_then(|position| Some((position, self.entries.get(position)?))) {
            None => Err(NoMessage::Unknown(self.entries.len())),
            Some((_, entry)) if entry.deleted => Err(NoMessage::Deleted(number)),
            Some((position, _)) => Ok(position),
        }
    }
}
