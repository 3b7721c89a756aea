//! The stored forms: what is known of a body (`B`), who refers to it (`R`), what is known of a segment
//! (`S`) and of an object that is not settled (`U`). Written by hand, because a record may carry the
//! body itself, which must be neither copied nor walked octet by octet.

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::crypt::{WRAPPED_KEY_OCTETS, WrappedKey};
use super::frame::{FRAME_OVERHEAD_OCTETS, SEALED_FRAME_OCTETS, frame_count, plain_octets};
use crate::limits::{BODY_OCTETS, BODY_PIECE_OCTETS};
use crate::types::{AccountId, DomainId, MailboxId, QueueId, Uid};
use crate::{Error, Result};

const BODY_VERSION: u8 = 1;
const SEGMENT_VERSION: u8 = 1;

/// A segment of packed bodies. Random, so that its object's name is unique without asking anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId(pub(super) [u8; 16]);

/// Who refers to a body. While one does, the body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A message of a mailbox.
    Message {
        /// Whose.
        account: AccountId,
        /// In which mailbox.
        mailbox: MailboxId,
        /// Under which UID.
        uid: Uid,
    },
    /// A message that was expunged and is kept for restore.
    Expunged {
        /// Whose.
        account: AccountId,
        /// From which mailbox.
        mailbox: MailboxId,
        /// Under which UID it was known.
        uid: Uid,
    },
    /// An entry of the queue.
    Queue(QueueId),
}

impl Owner {
    const MESSAGE: u8 = 1;
    const EXPUNGED: u8 = 2;
    const QUEUE: u8 = 3;

    /// The end of its key, and its form in a segment's footer.
    pub(super) fn encode(self) -> SmallVec<[u8; 24]> {
        let mut out = SmallVec::new();
        let mut message = |tag, account: AccountId, mailbox: MailboxId, uid: Uid| {
            out.push(tag);
            out.extend_from_slice(&account.0.to_be_bytes());
            out.extend_from_slice(&mailbox.0.to_be_bytes());
            out.extend_from_slice(&uid.get().to_be_bytes());
        };
        match self {
            Self::Message { account, mailbox, uid } => message(Self::MESSAGE, account, mailbox, uid),
            Self::Expunged { account, mailbox, uid } => message(Self::EXPUNGED, account, mailbox, uid),
            Self::Queue(id) => {
                out.push(Self::QUEUE);
                out.extend_from_slice(&id.0);
            }
        }
        out
    }

    /// Reads one, and leaves `from` behind it.
    pub(super) fn decode(from: &mut &[u8]) -> Result<Self> {
        let tag = from.try_get_u8().map_err(short)?;
        if tag == Self::QUEUE {
            return Ok(Self::Queue(QueueId(take(from)?)));
        }
        let account = AccountId(from.try_get_u64().map_err(short)?);
        let mailbox = MailboxId(from.try_get_u64().map_err(short)?);
        let uid = Uid::new(from.try_get_u32().map_err(short)?).ok_or_else(|| corrupt("owner with UID 0"))?;
        match tag {
            Self::MESSAGE => Ok(Self::Message { account, mailbox, uid }),
            Self::EXPUNGED => Ok(Self::Expunged { account, mailbox, uid }),
            _ => Err(corrupt("owner of an unknown kind")),
        }
    }
}

/// What is true of a body wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Under whose key its own is wrapped.
    pub(super) domain: DomainId,
    /// Its key.
    pub(super) key: WrappedKey,
    /// Plaintext octets.
    pub(super) size: u64,
    /// Sealed octets of each frame. Invariant: `frame_count(size)` of them.
    pub(super) frames: SmallVec<[u32; 2]>,
}

impl Header {
    /// Octets of all sealed frames.
    pub(super) fn sealed_octets(&self) -> u64 {
        self.frames.iter().map(|length| u64::from(*length)).sum()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(8 + WRAPPED_KEY_OCTETS + 8 + 3 * self.frames.len());
        out.extend_from_slice(&self.domain.0.to_be_bytes());
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.size.to_be_bytes());
        for length in &self.frames {
            out.extend_from_slice(&length.to_be_bytes()[1..]);
        }
    }

    /// Reads one, and leaves `from` behind it. Allocates no more than the input holds.
    pub(super) fn decode(from: &mut &[u8]) -> Result<Self> {
        let domain = DomainId(from.try_get_u64().map_err(short)?);
        let key = WrappedKey(take(from)?);
        let size = from.try_get_u64().map_err(short)?;
        if size > BODY_OCTETS {
            return Err(corrupt("body longer than any"));
        }
        let count = frame_count(size);
        if from.len() < count * 3 {
            return Err(corrupt("short record"));
        }
        let mut frames = SmallVec::with_capacity(count);
        for number in 0..count {
            let length = from.try_get_uint(3).map_err(short)? as usize;
            let most = plain_octets(size, number as u32) + FRAME_OVERHEAD_OCTETS;
            if length < FRAME_OVERHEAD_OCTETS || length > most.min(SEALED_FRAME_OCTETS) {
                return Err(corrupt("frame of an impossible length"));
            }
            frames.push(length as u32);
        }
        Ok(Self { domain, key, size, frames })
    }
}

/// Where a body's sealed octets lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the record itself: staged.
    Inline(Bytes),
    /// In pieces of [`BODY_PIECE_OCTETS`] beside the record: staged.
    Pieces,
    /// In a segment, from this offset on.
    Segment(SegmentId, u64),
    /// In the object of its own.
    Object,
}

impl Place {
    /// Whether it waits to be packed.
    pub(super) fn is_staged(&self) -> bool {
        matches!(self, Self::Inline(_) | Self::Pieces)
    }
}

/// What is known of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BodyRecord {
    pub(super) header: Header,
    pub(super) place: Place,
}

impl BodyRecord {
    const INLINE: u8 = 0;
    const PIECES: u8 = 1;
    const SEGMENT: u8 = 2;
    const OBJECT: u8 = 3;

    pub(super) fn encode(&self) -> Bytes {
        let inline = if let Place::Inline(octets) = &self.place { octets.len() } else { 0 };
        let mut out = Vec::with_capacity(96 + 3 * self.header.frames.len() + inline);
        out.push(BODY_VERSION);
        match &self.place {
            Place::Inline(_) => out.push(Self::INLINE),
            Place::Pieces => out.push(Self::PIECES),
            Place::Segment(segment, offset) => {
                out.push(Self::SEGMENT);
                out.extend_from_slice(&segment.0);
                out.extend_from_slice(&offset.to_be_bytes());
            }
            Place::Object => out.push(Self::OBJECT),
        }
        self.header.encode(&mut out);
        if let Place::Inline(octets) = &self.place {
            out.extend_from_slice(octets);
        }
        out.into()
    }

    /// An inline body stays a slice of `value`.
    pub(super) fn decode(value: &Bytes) -> Result<Self> {
        let mut from: &[u8] = value;
        if from.try_get_u8().map_err(short)? != BODY_VERSION {
            return Err(corrupt("body record of an unknown version"));
        }
        let tag = from.try_get_u8().map_err(short)?;
        let mut place = match tag {
            Self::INLINE => Place::Inline(Bytes::new()),
            Self::PIECES => Place::Pieces,
            Self::SEGMENT => {
                let segment = SegmentId(take(&mut from)?);
                Place::Segment(segment, from.try_get_u64().map_err(short)?)
            }
            Self::OBJECT => Place::Object,
            _ => return Err(corrupt("body in an unknown place")),
        };
        let header = Header::decode(&mut from)?;
        let expected = if tag == Self::INLINE { header.sealed_octets() } else { 0 };
        if from.len() as u64 != expected {
            return Err(corrupt("body record of a wrong length"));
        }
        if let Place::Inline(octets) = &mut place {
            *octets = value.slice(value.len() - from.len()..);
        }
        Ok(Self { header, place })
    }
}

/// How many pieces a staged body of so many sealed octets has.
pub(super) fn piece_count(sealed_octets: u64) -> u32 {
    sealed_octets.div_ceil(BODY_PIECE_OCTETS as u64) as u32
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentRecord {
    /// The object's length.
    pub(super) octets: u64,
    /// Sealed octets of the bodies in it, living or not.
    pub(super) body_octets: u64,
}

impl SegmentRecord {
    pub(super) fn encode(self) -> Bytes {
        let mut out = Vec::with_capacity(17);
        out.push(SEGMENT_VERSION);
        out.extend_from_slice(&self.octets.to_be_bytes());
        out.extend_from_slice(&self.body_octets.to_be_bytes());
        out.into()
    }

    pub(super) fn decode(mut from: &[u8]) -> Result<Self> {
        if from.try_get_u8().map_err(short)? != SEGMENT_VERSION {
            return Err(corrupt("segment record of an unknown version"));
        }
        let octets = from.try_get_u64().map_err(short)?;
        let body_octets = from.try_get_u64().map_err(short)?;
        if !from.is_empty() || body_octets > octets {
            return Err(corrupt("segment record of a wrong length"));
        }
        Ok(Self { octets, body_octets })
    }
}

/// How an object that is not settled stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// It is being written, or its writer died.
    Intended,
    /// It was settled and nothing refers to it any more: deleted once, after the grace period.
    Dead,
    /// Its writer gave up or was given up. Its PUT may land late: deleted again and again until this
    /// many milliseconds after the epoch (a bound on tidying, not on anyone's claim).
    Abandoned(i64),
}

impl Upload {
    pub(super) fn encode(self) -> Bytes {
        match self {
            Self::Intended => Bytes::from_static(&[1, 0]),
            Self::Dead => Bytes::from_static(&[1, 1]),
            Self::Abandoned(until) => {
                let mut out = vec![1, 2];
                out.extend_from_slice(&until.to_be_bytes());
                out.into()
            }
        }
    }

    pub(super) fn decode(from: &[u8]) -> Result<Self> {
        match from {
            [1, 0] => Ok(Self::Intended),
            [1, 1] => Ok(Self::Dead),
            [1, 2, until @ ..] => {
                let until = until.try_into().map_err(|_| corrupt("upload record of a wrong length"))?;
                Ok(Self::Abandoned(i64::from_be_bytes(until)))
            }
            _ => Err(corrupt("upload record of an unknown kind")),
        }
    }
}

/// The next `N` octets.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N]> {
    let (head, rest) = from.split_first_chunk().ok_or_else(|| corrupt("short record"))?;
    *from = rest;
    Ok(*head)
}

pub(super) fn short(_: bytes::TryGetError) -> Error {
    corrupt("short record")
}

pub(super) fn corrupt(what: &'static str) -> Error {
    Error::Corrupt(what.into())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn header() -> impl Strategy<Value = Header> {
        (any::<u64>(), any::<[u8; 32]>(), 0..1_000_000u64, any::<u64>()).prop_map(
            |(domain, key, size, seed)| {
                let mut wrapped = [7; WRAPPED_KEY_OCTETS];
                wrapped[..32].copy_from_slice(&key);
                let frames = (0..frame_count(size)).map(|number| {
                    let spread = plain_octets(size, number as u32) as u64 + 1;
                    FRAME_OVERHEAD_OCTETS as u32 + (seed % spread) as u32
                });
                Header { domain: DomainId(domain), key: WrappedKey(wrapped), size, frames: frames.collect() }
            },
        )
    }

    pub(crate) fn owner() -> impl Strategy<Value = Owner> {
        prop_oneof![
            any::<[u8; 10]>().prop_map(|id| Owner::Queue(QueueId(id))),
            (any::<u64>(), any::<u64>(), 1..=u32::MAX, any::<bool>()).prop_map(
                |(account, mailbox, uid, message)| {
                    let (account, mailbox) = (AccountId(account), MailboxId(mailbox));
                    let uid = Uid::new(uid).expect("not 0");
                    if message {
                        Owner::Message { account, mailbox, uid }
                    } else {
                        Owner::Expunged { account, mailbox, uid }
                    }
                }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn records_read_back(header in header(), tag in 0..4u8, offset: u64) {
            let place = match tag {
                0 => Place::Inline(vec![5; header.sealed_octets() as usize].into()),
                1 => Place::Pieces,
                2 => Place::Segment(SegmentId([4; 16]), offset),
                _ => Place::Object,
            };
            let record = BodyRecord { header, place };
            prop_assert_eq!(BodyRecord::decode(&record.encode()).expect("own form"), record);
        }

        #[test]
        fn owners_read_back(owner in owner()) {
            let encoded = owner.encode();
            prop_assert_eq!(Owner::decode(&mut &encoded[..]).expect("own form"), owner);
        }

        #[test]
        fn any_octets_are_a_record_or_corrupt(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let octets = Bytes::from(octets);
            for outcome in [
                BodyRecord::decode(&octets).err(),
                Owner::decode(&mut &octets[..]).err(),
                SegmentRecord::decode(&octets).err(),
                Upload::decode(&octets).err(),
            ] {
                prop_assert!(matches!(outcome, None | Some(Error::Corrupt(_))));
            }
        }

        #[test]
        fn a_cut_record_is_corrupt(header in header(), at in any::<prop::sample::Index>()) {
            let record = BodyRecord { header, place: Place::Object }.encode();
            let cut = record.slice(..at.index(record.len()));
            prop_assert!(matches!(BodyRecord::decode(&cut), Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn uploads_read_back() {
        for upload in [Upload::Intended, Upload::Dead, Upload::Abandoned(-5)] {
            assert_eq!(Upload::decode(&upload.encode()).expect("own form"), upload);
        }
    }
}
