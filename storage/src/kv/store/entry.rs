//! A log entry: the write sets of the transactions that were resolved together, each one version above
//! the one before.
//!
//! ```text
//! format u8 (1)   first version u64   transactions u32
//! per transaction: mutations u32
//! per mutation: kind u8   key length u16   key   value length u32   value    (little-endian)
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::kv::atomic::Atomic;
use crate::kv::engine::{Mutation, Version, Versionstamp};
use crate::kv::range::KeyRange;
use crate::{Error, Result};

const FORMAT: u8 = 1;

/// What an entry does to one key or range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Key becomes value. The number is where in the entry's payload the value stands.
    Set(Bytes, Bytes, usize),
    /// The same, and the value stands in the tree whatever its length.
    SetInline(Bytes, Bytes),
    /// Key goes.
    Clear(Bytes),
    /// The keys of the range go.
    ClearRange(KeyRange),
    /// See [`Mutation::Add`].
    Add(Bytes, i64),
    /// See [`Mutation::Max`].
    Max(Bytes, u64),
    /// See [`Mutation::Min`].
    Min(Bytes, u64),
}

impl Write {
    /// The key and the operation, if it is one on what lies beneath.
    pub(crate) fn as_atomic(&self) -> Option<(&Bytes, Atomic)> {
        match self {
            Self::Add(key, delta) => Some((key, Atomic::Add(*delta))),
            Self::Max(key, value) => Some((key, Atomic::Max(*value))),
            Self::Min(key, value) => Some((key, Atomic::Min(*value))),
            _ => None,
        }
    }
}

/// Gathers an entry.
pub(crate) struct Builder {
    out: BytesMut,
    // Where the entry begins.
    begin: usize,
    transactions: u32,
}

impl Builder {
    /// Of which the first transaction gets this version, behind octets that the entry's reader takes off.
    pub(crate) fn new(prefix: &[u8], Version(first): Version) -> Self {
        let mut out = BytesMut::with_capacity(16 * 1024);
        out.put_slice(prefix);
        out.put_u8(FORMAT);
        out.put_u64_le(first);
        out.put_u32_le(0);
        Self { out, begin: prefix.len(), transactions: 0 }
    }

    /// Adds a transaction's write set. `inline`: its values stand in the tree whatever their length.
    pub(crate) fn push(&mut self, mutations: &[Mutation], version: Version, inline: bool) {
        self.out.put_u32_le(mutations.len() as u32);
        for mutation in mutations {
            self.put(mutation, version, inline);
        }
        self.transactions += 1;
    }

    /// The entry's payload.
    pub(crate) fn finish(mut self) -> Bytes {
        let count = self.begin + 9..self.begin + 13;
        self.out[count].copy_from_slice(&self.transactions.to_le_bytes());
        self.out.freeze()
    }

    fn put(&mut self, mutation: &Mutation, version: Version, inline: bool) {
        let stamp = Versionstamp::new(version, 0);
        match mutation {
            Mutation::Set(key, value) => self.part(if inline { b'I' } else { b'S' }, key, value),
            Mutation::Clear(key) => self.part(b'C', key, &[]),
            Mutation::ClearRange(range) => self.part(b'R', &range.begin, &range.end),
            Mutation::Add(key, delta) => self.part(b'+', key, &delta.to_le_bytes()),
            Mutation::Max(key, value) => self.part(b'>', key, &value.to_le_bytes()),
            Mutation::Min(key, value) => self.part(b'<', key, &value.to_le_bytes()),
            Mutation::SetVersionstampedKey { key, offset, value } => {
                let key = stamp.written_to(key, *offset);
                self.part(b'S', &key, value);
            }
            Mutation::SetVersionstampedValue { key, value, offset } => {
                let value = stamp.written_to(value, *offset);
                self.part(b'S', key, &value);
            }
        }
    }

    fn part(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        self.out.reserve(7 + key.len() + value.len());
        self.out.put_u8(kind);
        self.out.put_u16_le(key.len() as u16);
        self.out.put_slice(key);
        self.out.put_u32_le(value.len() as u32);
        self.out.put_slice(value);
    }
}

/// An entry read back.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch {
    /// The first transaction's version.
    pub(crate) first: Version,
    /// The write sets, in order of versions.
    pub(crate) transactions: Vec<Vec<Write>>,
}

impl Batch {
    /// The last transaction's version.
    pub(crate) fn last(&self) -> Version {
        Version(self.first.0 + (self.transactions.len() as u64).saturating_sub(1))
    }

    /// From an entry's payload, without copying. `Corrupt` if [`Builder`] did not write it.
    pub(crate) fn decode(payload: &Bytes) -> Result<Self> {
        let mut reader = Reader { payload, at: 0 };
        if reader.fixed()? != [FORMAT] {
            return Err(Error::Corrupt("log entry of an unknown format".into()));
        }
        let first = Version(u64::from_le_bytes(reader.fixed()?));
        let count = u32::from_le_bytes(reader.fixed()?);
        let transactions = (0..count).map(|_| reader.transaction()).collect::<Result<_>>()?;
        if reader.at != payload.len() || first.0 == 0 || first.0 > u64::MAX >> 8 {
            return Err(Error::Corrupt("log entry".into()));
        }
        Ok(Self { first, transactions })
    }
}

struct Reader<'a> {
    payload: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let octets = self.payload.get(self.at..).and_then(|rest| rest.first_chunk());
        self.at += N;
        octets.copied().ok_or_else(|| Error::Corrupt("log entry ends early".into()))
    }

    fn octets(&mut self, length: usize) -> Result<Bytes> {
        let end = self.at + length;
        if end > self.payload.len() {
            return Err(Error::Corrupt("log entry ends early".into()));
        }
        let octets = self.payload.slice(self.at..end);
        self.at = end;
        Ok(octets)
    }

    fn transaction(&mut self) -> Result<Vec<Write>> {
        let count = u32::from_le_bytes(self.fixed()?);
        (0..count).map(|_| self.write()).collect()
    }

    fn write(&mut self) -> Result<Write> {
        let [kind] = self.fixed()?;
        let key_length = u16::from_le_bytes(self.fixed()?);
        let key = self.octets(usize::from(key_length))?;
        let length = u32::from_le_bytes(self.fixed()?) as usize;
        let at = self.at;
        let value = self.octets(length)?;
        let number = || {
            let octets = value.first_chunk().filter(|_| length == 8);
            octets.map(|octets| u64::from_le_bytes(*octets)).ok_or_else(|| Error::Corrupt("operand".into()))
        };
        match kind {
            _ if key.is_empty() => Err(Error::Corrupt("empty key in a log entry".into())),
            b'S' => Ok(Write::Set(key, value, at)),
            b'I' => Ok(Write::SetInline(key, value)),
            b'C' => Ok(Write::Clear(key)),
            b'R' => Ok(Write::ClearRange(KeyRange::new(key, value))),
            b'+' => Ok(Write::Add(key, number()?.cast_signed())),
            b'>' => Ok(Write::Max(key, number()?)),
            b'<' => Ok(Write::Min(key, number()?)),
            _ => Err(Error::Corrupt("unknown write in a log entry".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_read_back() {
        let key = Bytes::from_static(b"key");
        let mutations = [
            Mutation::Set(key.clone(), Bytes::from_static(b"value")),
            Mutation::Clear(key.clone()),
            Mutation::ClearRange(KeyRange::new("a", "b")),
            Mutation::Add(key.clone(), -5),
            Mutation::Max(key.clone(), 6),
            Mutation::Min(key.clone(), 7),
            Mutation::SetVersionstampedKey { key: vec![1; 11].into(), offset: 1, value: key.clone() },
        ];
        let mut builder = Builder::new(&[], Version(9));
        builder.push(&mutations, Version(9), false);
        builder.push(&mutations[..1], Version(10), true);
        let payload = builder.finish();
        let batch = Batch::decode(&payload).expect("own octets");
        assert_eq!((batch.first, batch.last()), (Version(9), Version(10)));
        let [first, second] = &batch.transactions[..] else { panic!("two transactions") };
        let Write::Set(_, value, at) = &first[0] else { panic!("a set") };
        assert_eq!(&payload[*at..*at + value.len()], b"value");
        assert_eq!(first[3], Write::Add(key.clone(), -5));
        let stamped = [&[1][..], &Versionstamp::new(Version(9), 0).0].concat();
        assert!(matches!(&first[6], Write::Set(found, ..) if *found == stamped));
        assert_eq!(second[0], Write::SetInline(key, Bytes::from_static(b"value")));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..300), formatted: bool) {
            let mut octets = octets;
            if let (true, Some(first)) = (formatted, octets.first_mut()) {
                *first = FORMAT;
            }
            if let Ok(batch) = Batch::decode(&octets.into()) {
                prop_assert!(batch.first.0 > 0);
            }
        }
    }
}
