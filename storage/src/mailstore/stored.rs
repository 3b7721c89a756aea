//! The records behind the keys. Messages are written by hand, short and read without allocation; what
//! is read rarely is postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::flag_table::StoredFlags;
use super::varint::{self, Reader};
use super::{Counters, MailboxName, NewMessage, SpecialUse};
use crate::Result;
use crate::kv::record::Record;
use crate::types::{BodyId, DomainId, SystemFlags, Timestamp};

const MESSAGE_VERSION: u8 = 1;
const EXPUNGED_VERSION: u8 = 1;
const SUMMARY_VERSION: u8 = 1;

/// `A acct 0`: what of an account changes rarely.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) domain: DomainId,
    pub(super) next_mailbox: u64,
    // Greater than or equal to every UIDVALIDITY given out: a reused name gets a greater one.
    pub(super) last_uid_validity: u32,
    pub(super) deleted: bool,
}

impl Record for AccountRecord {
    const VERSION: u8 = 1;
}

/// `F acct mailbox`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MailboxRecord {
    pub(super) name: MailboxName,
    pub(super) special_use: Option<SpecialUse>,
    pub(super) uid_validity: u32,
    // Set once the mailbox is out of sight; the record stays while expunged messages are kept.
    pub(super) deleted: Option<Timestamp>,
}

impl Record for MailboxRecord {
    const VERSION: u8 = 1;
}

/// UIDs and one MODSEQ set aside for a block of messages that is being filled out of sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    // first_uid >= uid_next and modseq > highest_modseq as long as the block is hidden.
    pub(super) first_uid: u32,
    pub(super) count: u32,
    pub(super) modseq: u64,
    // The process that fills it; 0 once it is given up.
    pub(super) owner: u64,
    pub(super) since: Timestamp,
}

impl Record for Reservation {
    const VERSION: u8 = 1;
}

/// `G acct mailbox 0`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CountersRecord {
    pub(super) counters: Counters,
    pub(super) reservation: Option<Reservation>,
}

impl Record for CountersRecord {
    const VERSION: u8 = 1;
}

/// `M acct mailbox uid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredMessage {
    pub(super) flags: StoredFlags,
    pub(super) modseq: u64,
    pub(super) internal_date: Timestamp,
    pub(super) save_date: Timestamp,
    // Prefix and body together.
    pub(super) size_octets: u64,
    pub(super) prefix_octets: u32,
    pub(super) body: BodyId,
}

pub(super) fn put_flags(out: &mut Vec<u8>, flags: &StoredFlags) {
    out.push(flags.system.bits());
    varint::put(out, flags.keywords.len() as u64);
    flags.keywords.iter().for_each(|number| varint::put(out, u64::from(*number)));
}

pub(super) fn take_flags(from: &mut Reader<'_>) -> Result<StoredFlags> {
    let system = SystemFlags::from_bits(from.u8()?);
    let mut keywords = SmallVec::new();
    for _ in 0..from.number()? {
        keywords.push(from.small()?);
    }
    Ok(StoredFlags { system, keywords })
}

impl StoredMessage {
    /// Of a message to be filed; flags and MODSEQ are given by its mailbox.
    pub(super) fn from_new(message: &NewMessage, now: Timestamp) -> Self {
        Self {
            flags: StoredFlags::default(),
            modseq: 0,
            internal_date: message.internal_date,
            save_date: now,
            size_octets: message.size_octets(),
            prefix_octets: message.prefix.len() as u32,
            body: message.body.id(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(56 + 2 * self.flags.keywords.len());
        self.encode_into(&mut out);
        out.into()
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(MESSAGE_VERSION);
        put_flags(out, &self.flags);
        varint::put(out, self.modseq);
        varint::put_signed(out, self.internal_date.as_millis());
        varint::put_signed(out, self.save_date.as_millis().wrapping_sub(self.internal_date.as_millis()));
        varint::put(out, self.size_octets);
        varint::put(out, u64::from(self.prefix_octets));
        out.extend_from_slice(&self.body.0);
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self> {
        let mut from = Reader::versioned(value, MESSAGE_VERSION)?;
        let flags = take_flags(&mut from)?;
        let modseq = from.number()?;
        let internal = from.signed()?;
        let saved = internal.wrapping_add(from.signed()?);
        Ok(Self {
            flags,
            modseq,
            internal_date: Timestamp::from_millis(internal),
            save_date: Timestamp::from_millis(saved),
            size_octets: from.number()?,
            prefix_octets: from.small()?,
            body: BodyId(from.fixed()?),
        })
    }

    /// Only what a view keeps: flags and MODSEQ.
    pub(super) fn decode_head(value: &[u8]) -> Result<(StoredFlags, u64)> {
        let mut from = Reader::versioned(value, MESSAGE_VERSION)?;
        Ok((take_flags(&mut from)?, from.number()?))
    }
}

/// `Y acct mailbox uid`: a message that was expunged and is kept for restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpungedMessage {
    pub(super) at: Timestamp,
    // It lives on elsewhere in the account: nothing that a restore should bring back.
    pub(super) moved: bool,
    pub(super) message: StoredMessage,
}

impl ExpungedMessage {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        out.push(EXPUNGED_VERSION);
        out.push(u8::from(self.moved));
        varint::put_signed(&mut out, self.at.as_millis());
        self.message.encode_into(&mut out);
        out.into()
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self> {
        let mut from = Reader::versioned(value, EXPUNGED_VERSION)?;
        let moved = from.u8()? != 0;
        let at = Timestamp::from_millis(from.signed()?);
        Ok(Self { at, moved, message: StoredMessage::decode(from.0)? })
    }
}

/// `E acct mailbox uid`: the recipient's header prefix, then the summary, which is opaque here.
pub(super) fn encode_summary(prefix: &[u8], summary: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(4 + prefix.len() + summary.len());
    out.push(SUMMARY_VERSION);
    varint::put(&mut out, prefix.len() as u64);
    out.extend_from_slice(prefix);
    out.extend_from_slice(summary);
    out.into()
}

/// Prefix and summary of an `E` value.
pub(super) fn decode_summary(value: &Bytes) -> Result<(Bytes, Bytes)> {
    let mut from = Reader::versioned(value, SUMMARY_VERSION)?;
    let prefix: usize = from.small()?;
    if prefix > from.0.len() {
        return Err(varint::corrupt());
    }
    let at = value.len() - from.0.len();
    Ok((value.slice(at..at + prefix), value.slice(at + prefix..)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = StoredMessage> {
        let flags = (0u8..32, prop::collection::btree_set(any::<u16>(), 0..6));
        let numbers = (any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>(), any::<u32>());
        (flags, numbers, any::<[u8; 16]>()).prop_map(|((system, keywords), numbers, body)| StoredMessage {
            flags: StoredFlags {
                system: SystemFlags::from_bits(system),
                keywords: keywords.into_iter().collect(),
            },
            modseq: numbers.0,
            internal_date: Timestamp::from_millis(numbers.1),
            save_date: Timestamp::from_millis(numbers.2),
            size_octets: numbers.3,
            prefix_octets: numbers.4,
            body: BodyId(body),
        })
    }

    proptest! {
        #[test]
        fn messages_read_back(message in message(), at in any::<i64>(), moved in any::<bool>()) {
            let value = message.encode();
            prop_assert_eq!(&StoredMessage::decode(&value).expect("own form"), &message);
            let head = StoredMessage::decode_head(&value).expect("own form");
            prop_assert_eq!(head, (message.flags.clone(), message.modseq));
            let expunged = ExpungedMessage { at: Timestamp::from_millis(at), moved, message };
            prop_assert_eq!(ExpungedMessage::decode(&expunged.encode()).expect("own form"), expunged);
        }

        #[test]
        fn summaries_read_back(prefix: Vec<u8>, summary: Vec<u8>) {
            let value = encode_summary(&prefix, &summary);
            let (first, second) = decode_summary(&value).expect("own form");
            prop_assert_eq!((&first[..], &second[..]), (&prefix[..], &summary[..]));
        }

        #[test]
        fn garbage_is_no_record(value: Vec<u8>) {
            // Either outcome is right; it must not panic.
            let _ = (StoredMessage::decode(&value), ExpungedMessage::decode(&value));
            let _ = decode_summary(&Bytes::from(value));
        }
    }
}
