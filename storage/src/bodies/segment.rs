//! The format of an object: a mark, sealed bodies back to back, a footer that says what they are, and a
//! trailer of fixed length that finds and checks the footer. A body's own object is a segment of one.
//!
//! With the cluster key and the domains' keys (which lie in the bucket too, wrapped) the bodies can be
//! recovered from their objects alone. Immutable once written.

use bytes::{Buf, Bytes};

use super::crypt::WRAPPED_KEY_OCTETS;
use super::record::{Header, Owner, corrupt, short, take};
use crate::limits::{BODY_OWNERS_LISTED, SEGMENT_ENTRIES, SEGMENT_FOOTER_OCTETS};
use crate::types::BodyId;
use crate::{Error, Result};

/// What every object starts with; the last octet is the format's version.
pub(super) const MARK: &[u8; 8] = b"sternaS1";
/// Octets of the trailer: footer length, entries, CRC-32C of the footer, mark.
pub(super) const TRAILER_OCTETS: usize = 4 + 4 + 4 + MARK.len();
/// Octets of the shortest entry of a footer: its id, offset, header with one frame, and no owners.
const ENTRY_LEAST_OCTETS: usize = 16 + 8 + (8 + WRAPPED_KEY_OCTETS + 8 + 3) + 2;
/// Where the body starts in an object of its own.
pub(super) const OWN_OFFSET: u64 = MARK.len() as u64;

/// One body of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: BodyId,
    /// Where its first frame starts in the object.
    pub(super) offset: u64,
    pub(super) header: Header,
    /// Who referred to it when it was packed: at most [`BODY_OWNERS_LISTED`]. None where it was not yet
    /// known (a body's own object is written before its record).
    pub(super) owners: Vec<Owner>,
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.offset.to_be_bytes());
        self.header.encode(out);
        let owners = &self.owners[..self.owners.len().min(BODY_OWNERS_LISTED)];
        out.extend_from_slice(&(owners.len() as u16).to_be_bytes());
        for owner in owners {
            out.extend_from_slice(&owner.encode());
        }
    }

    fn decode(from: &mut &[u8]) -> Result<Self> {
        let id = BodyId(take(from)?);
        let offset = from.try_get_u64().map_err(short)?;
        let header = Header::decode(from)?;
        let count = usize::from(from.try_get_u16().map_err(short)?);
        if count > BODY_OWNERS_LISTED {
            return Err(corrupt("segment entry with too many owners"));
        }
        let owners = (0..count).map(|_| Owner::decode(from)).collect::<Result<_>>()?;
        Ok(Self { id, offset, header, owners })
    }
}

/// Footer and trailer for these entries.
pub(super) fn encode_footer<'a>(entries: impl ExactSizeIterator<Item = &'a Entry>) -> Vec<u8> {
    let count = entries.len() as u32;
    let mut out = Vec::with_capacity(entries.len() * 160 + TRAILER_OCTETS);
    for entry in entries {
        entry.encode(&mut out);
    }
    let (length, crc) = (out.len() as u32, crc32c::crc32c(&out));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(MARK);
    out
}

/// The end of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Length of the footer, which ends where the trailer starts.
    pub(super) footer_octets: usize,
    entries: usize,
    crc: u32,
}

impl Trailer {
    /// From the last [`TRAILER_OCTETS`] of an object.
    pub(super) fn decode(mut from: &[u8]) -> Result<Self> {
        let footer_octets = from.try_get_u32().map_err(short)? as usize;
        let entries = from.try_get_u32().map_err(short)? as usize;
        let crc = from.try_get_u32().map_err(short)?;
        if from != MARK {
            return Err(corrupt("segment without its mark"));
        }
        if footer_octets > SEGMENT_FOOTER_OCTETS || entries > SEGMENT_ENTRIES {
            return Err(corrupt("segment footer longer than any"));
        }
        Ok(Self { footer_octets, entries, crc })
    }

    /// One that vouches for these octets, as if they were a footer of so many entries.
    #[cfg(any(test, fuzzing))]
    pub(super) fn for_footer(footer: &[u8], entries: usize) -> Self {
        Self { footer_octets: footer.len(), entries, crc: crc32c::crc32c(footer) }
    }

    /// The footer's entries.
    pub(super) fn decode_footer(&self, mut footer: &[u8]) -> Result<Vec<Entry>> {
        if footer.len() != self.footer_octets || crc32c::crc32c(footer) != self.crc {
            return Err(corrupt("segment footer does not match its checksum"));
        }
        // A claim of more entries than there can be reserves no memory.
        let mut entries = Vec::with_capacity(self.entries.min(footer.len() / ENTRY_LEAST_OCTETS));
        for _ in 0..self.entries {
            entries.push(Entry::decode(&mut footer)?);
        }
        if footer.is_empty() { Ok(entries) } else { Err(corrupt("segment footer of a wrong length")) }
    }
}

/// A segment as it grows in memory.
#[derive(Debug)]
pub(super) struct Builder {
    octets: Vec<u8>,
    entries: Vec<Entry>,
}

impl Builder {
    /// An empty one, with room for `capacity` octets.
    pub(super) fn new(capacity: usize) -> Self {
        let mut octets = Vec::with_capacity(capacity);
        octets.extend_from_slice(MARK);
        Self { octets, entries: Vec::new() }
    }

    /// Adds a body whose sealed octets come in `parts`.
    pub(super) fn push(
        &mut self,
        id: BodyId,
        header: Header,
        owners: Vec<Owner>,
        parts: &[Bytes],
    ) -> Result<()> {
        let offset = self.octets.len() as u64;
        for part in parts {
            self.octets.extend_from_slice(part);
        }
        if self.octets.len() as u64 - offset != header.sealed_octets() {
            self.octets.truncate(offset as usize);
            return Err(Error::Corrupt(format!("body {id}: sealed octets are missing").into()));
        }
        self.entries.push(Entry { id, offset, header, owners });
        Ok(())
    }

    /// The bodies in it so far.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Octets of the bodies in it so far.
    pub(super) fn body_octets(&self) -> usize {
        self.octets.len() - MARK.len()
    }

    /// Whether it holds as many bodies as a segment may.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= SEGMENT_ENTRIES
    }

    /// The object, and what is in it.
    pub(super) fn finish(mut self) -> (Bytes, Vec<Entry>) {
        self.octets.extend_from_slice(&encode_footer(self.entries.iter()));
        (self.octets.into(), self.entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bodies::record::tests::{header, owner};

    fn bodies() -> impl Strategy<Value = Vec<([u8; 16], Header, Vec<Owner>)>> {
        let owners = proptest::collection::vec(owner(), 0..4);
        proptest::collection::vec((any::<[u8; 16]>(), header(), owners), 0..6)
    }

    fn build(bodies: &[([u8; 16], Header, Vec<Owner>)]) -> (Bytes, Vec<Entry>) {
        let mut builder = Builder::new(0);
        for (id, header, owners) in bodies {
            let sealed = Bytes::from(vec![id[0]; header.sealed_octets() as usize]);
            let half = sealed.len() / 2;
            let parts = [sealed.slice(..half), sealed.slice(half..)];
            builder.push(BodyId(*id), header.clone(), owners.clone(), &parts).expect("whole");
        }
        builder.finish()
    }

    fn read_footer(object: &[u8]) -> Result<Vec<Entry>> {
        let at = object.len().checked_sub(TRAILER_OCTETS).ok_or_else(|| corrupt("short object"))?;
        let trailer = Trailer::decode(&object[at..])?;
        let start = at.checked_sub(trailer.footer_octets).ok_or_else(|| corrupt("short object"))?;
        trailer.decode_footer(&object[start..at])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn segments_read_back(bodies in bodies()) {
            let (object, entries) = build(&bodies);
            prop_assert_eq!(read_footer(&object).expect("own form"), entries.clone());
            for (entry, (id, _, owners)) in entries.iter().zip(&bodies) {
                let end = entry.offset + entry.header.sealed_octets();
                prop_assert!(object[entry.offset as usize..end as usize].iter().all(|octet| *octet == id[0]));
                prop_assert_eq!(&entry.owners, owners);
            }
        }

        #[test]
        fn a_flipped_bit_of_the_footer_is_corrupt(
            bodies in bodies(), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let (object, entries) = build(&bodies);
            let footer = encode_footer(entries.iter()).len();
            let mut object = object.to_vec();
            let at = object.len() - footer + at.index(footer);
            object[at] ^= 1 << bit;
            prop_assert!(matches!(read_footer(&object), Err(Error::Corrupt(_))));
        }

        #[test]
        fn any_octets_are_a_footer_or_corrupt(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(matches!(read_footer(&octets), Ok(_) | Err(Error::Corrupt(_))));
            for entries in 0..4 {
                let trailer = Trailer::for_footer(&octets, entries);
                prop_assert!(matches!(trailer.decode_footer(&octets), Ok(_) | Err(Error::Corrupt(_))));
            }
        }
    }

    #[test]
    fn a_body_with_missing_octets_is_not_packed() {
        let header = Header {
            domain: crate::types::DomainId(1),
            key: crate::bodies::crypt::WrappedKey([0; 40]),
            size: 10,
            frames: smallvec::smallvec![27],
        };
        let mut builder = Builder::new(0);
        assert!(builder.push(BodyId([1; 16]), header, vec![], &[Bytes::from_static(b"short")]).is_err());
        assert_eq!((builder.body_octets(), builder.entries().len()), (0, 0));
    }
}
