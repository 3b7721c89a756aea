//! One session's position in a mailbox: what its client has been told, and what it must be told next
//! (RFC 9051 §7.5.1, design §3). Sequence numbers are those of `known`, and of nothing else.

use std::sync::Arc;

use sterna_storage::mailstore::{MailboxName, Message, Snapshot, View};
use sterna_storage::types::{Flags, MailboxId, SystemFlag, Uid, UidSet};

use super::Enabled;
use crate::imap::codec::sequence_set::SequenceSet;
use crate::imap::codec::writer;
use crate::imap::status::Status;

/// The open mailbox of a session.
pub struct Selected {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// Its name when it was opened.
    pub name: MailboxName,
    /// The node's live view of it.
    pub view: Arc<View>,
    /// What the client knows: every sequence number it uses is a position in here.
    pub known: Arc<Snapshot>,
    /// Opened by EXAMINE.
    pub read_only: bool,
    /// Messages with a UID from here on are `\Recent` in this session.
    pub recent_from: u32,
    /// What `$` stands for (RFC 5182).
    pub saved: UidSet,
}

/// How a client is told what is new.
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    /// Whether of expunges too.
    pub expunges: Expunges,
    /// In which form.
    pub enabled: Enabled,
}

/// Whether expunges may be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// They may.
    Told,
    /// Not during FETCH, STORE and SEARCH (RFC 9051 §7.5.1): the messages stay in the client's view.
    Held,
}

impl Selected {
    /// Makes `newer` what the client knows, appending the untagged responses that tell it so.
    /// `silent` answers whether a flag change is not to be told.
    pub fn advance_unless(
        &mut self,
        newer: &Arc<Snapshot>,
        telling: Telling,
        out: &mut Vec<u8>,
        silent: impl Fn(Message<'_>) -> bool,
    ) {
        if Arc::ptr_eq(&self.known, newer) {
            return;
        }
        let Telling { expunges, enabled } = telling;
        let newer = match expunges {
            Expunges::Told => Arc::clone(newer),
            Expunges::Held => self.known.without_expunges(newer),
        };
        let changes = self.known.changes_to(&newer);
        for sequence in &changes.expunged {
            untagged(out, *sequence, b" EXPUNGE\r\n");
        }
        if !changes.expunged_uids.is_empty() && !self.saved.is_empty() {
            self.saved = self.saved.iter().filter(|uid| !changes.expunged_uids.contains(*uid)).collect();
        }
        if changes.keywords {
            write_flags_response(out, &newer);
        }
        let known = std::mem::replace(&mut self.known, newer);
        if changes.added > 0 {
            untagged(out, changes.exists, b" EXISTS\r\n");
            self.write_recent(enabled, out);
        }
        drop(known);
        for sequence in &changes.flags {
            if let Some(message) = self.known.get(*sequence)
                && !silent(message)
            {
                self.write_change(message, enabled, out);
            }
        }
    }

    /// [`Self::advance_unless`] with nothing silenced.
    pub fn advance(&mut self, newer: &Arc<Snapshot>, telling: Telling, out: &mut Vec<u8>) {
        self.advance_unless(newer, telling, out, |_| false);
    }

    /// `* n RECENT`, for clients that have not left IMAP4rev1 behind.
    pub fn write_recent(&self, enabled: Enabled, out: &mut Vec<u8>) {
        if !enabled.rev2 {
            untagged(out, self.recent(), b" RECENT\r\n");
        }
    }

    /// How many messages are recent in this session.
    pub fn recent(&self) -> u32 {
        let first = Uid::new(self.recent_from).unwrap_or(Uid::MAX);
        let mut set = UidSet::new();
        set.insert_range(first..=Uid::MAX);
        self.known.uids_in(&set).count() as u32
    }

    /// Whether `\Recent` is shown on the message.
    pub fn is_recent(&self, uid: Uid) -> bool {
        uid.get() >= self.recent_from
    }

    /// An unsolicited FETCH response: with UID (RFC 9051 §7.5.2), and MODSEQ if the client wants it.
    pub fn write_change(&self, message: Message<'_>, enabled: Enabled, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* ");
        writer::number(out, u64::from(message.sequence));
        out.extend_from_slice(b" FETCH (UID ");
        writer::number(out, u64::from(message.uid.get()));
        out.extend_from_slice(b" FLAGS ");
        write_flags(out, message.flags, !enabled.rev2 && self.is_recent(message.uid));
        if enabled.condstore {
            out.extend_from_slice(b" MODSEQ (");
            writer::number(out, message.modseq.0);
            out.push(b')');
        }
        out.extend_from_slice(b")\r\n");
    }

    /// The UIDs of the messages that a command names. `BAD` for sequence numbers that are not there
    /// (RFC 9051 §9 `seq-number`); UIDs that are not there name nothing.
    pub fn named(&self, set: &SequenceSet, uid: bool) -> Result<UidSet, Status> {
        if *set == SequenceSet::Saved {
            return Ok(self.saved.clone());
        }
        if !uid && !set.is_within(self.known.len()) {
            return Err(Status::bad("No message has that sequence number"));
        }
        Ok(self.matching(set, uid))
    }

    /// As [`Self::named`], but what is not there names nothing: for SEARCH keys.
    pub fn matching(&self, set: &SequenceSet, uid: bool) -> UidSet {
        if *set == SequenceSet::Saved {
            return self.saved.clone();
        }
        if uid {
            let last = self.known.last().map_or(self.known.uid_next, |message| message.uid.get());
            return set.resolve(last);
        }
        let sequences = set.resolve(self.known.len());
        let positions = sequences.ranges().map(|range| range.start().get()..=range.end().get());
        positions.flat_map(|range| self.known.iter(range)).map(|message| message.uid).collect()
    }
}

fn untagged(out: &mut Vec<u8>, number: u32, rest: &[u8]) {
    out.extend_from_slice(b"* ");
    writer::number(out, u64::from(number));
    out.extend_from_slice(rest);
}

/// `* FLAGS (…)`: what can be set in the mailbox.
pub fn write_flags_response(out: &mut Vec<u8>, snapshot: &Snapshot) {
    out.extend_from_slice(b"* FLAGS (");
    write_all_flags(out, snapshot);
    out.extend_from_slice(b")\r\n");
}

/// The system flags and the mailbox's keywords, without parentheses.
pub fn write_all_flags(out: &mut Vec<u8>, snapshot: &Snapshot) {
    for (position, flag) in SystemFlag::ALL.into_iter().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(flag_name(flag));
    }
    for keyword in snapshot.keywords() {
        out.push(b' ');
        out.extend_from_slice(keyword.as_str().as_bytes());
    }
}

/// `(\Seen $Junk)`.
pub fn write_flags(out: &mut Vec<u8>, flags: &Flags, recent: bool) {
    out.push(b'(');
    let start = out.len();
    let mut word = |name: &[u8]| {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(name);
    };
    SystemFlag::ALL.into_iter().filter(|flag| flags.contains(*flag)).for_each(|flag| word(flag_name(flag)));
    flags.keywords.iter().for_each(|keyword| word(keyword.as_str().as_bytes()));
    if recent {
        word(b"\\Recent");
    }
    out.push(b')');
}

fn flag_name(flag: SystemFlag) -> &'static [u8] {
    match flag {
        SystemFlag::Seen => b"\\Seen",
        SystemFlag::Answered => b"\\Answered",
        SystemFlag::Flagged => b"\\Flagged",
        SystemFlag::Deleted => b"\\Deleted",
        SystemFlag::Draft => b"\\Draft",
    }
}
