//! Octets of records between nodes and on disk: little-endian numbers, octet strings behind their length. Reading is
//! bounded by what is there, copies no long string, and never panics.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Error, Result};

/// Gathers a record.
#[derive(Default)]
pub(super) struct Writer(BytesMut);

/// Takes a record apart.
pub(super) struct Reader(Bytes);

/// What is written one part after the other.
pub(super) trait Wire: Sized {
    fn put(&self, out: &mut Writer);
    /// `Corrupt` where it is not what [`Wire::put`] wrote.
    fn take(input: &mut Reader) -> Result<Self>;
}

/// The octets of a record behind an octet that names its format.
pub(super) fn encode<T: Wire>(format: u8, record: &T) -> Bytes {
    let mut out = Writer::default();
    out.octet(format);
    record.put(&mut out);
    out.finish()
}

/// A record of the format, and nothing behind it.
pub(super) fn decode<T: Wire>(format: u8, octets: &Bytes) -> Result<T> {
    let mut input = Reader::new(octets.clone());
    match input.octet()? {
        found if found == format => {}
        found => return Err(Error::Corrupt(format!("record of format {found}").into())),
    }
    let record = T::take(&mut input)?;
    input.end()?;
    Ok(record)
}

impl Writer {
    pub(super) fn octet(&mut self, octet: u8) {
        self.0.put_u8(octet);
    }

    /// A string of octets behind its length.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.0.put_u32_le(octets.len() as u32);
        self.0.put_slice(octets);
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

impl Reader {
    pub(super) fn new(octets: Bytes) -> Self {
        Self(octets)
    }

    pub(super) fn octet(&mut self) -> Result<u8> {
        self.fixed::<1>().map(|[octet]| octet)
    }

    pub(super) fn octets(&mut self) -> Result<Bytes> {
        let length = u32::take(self)? as usize;
        if length > self.0.len() {
            return Err(ends_early());
        }
        Ok(self.0.split_to(length))
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(corrupt("octets behind a record")) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let head = *self.0.first_chunk().ok_or_else(ends_early)?;
        self.0 = self.0.split_off(N);
        Ok(head)
    }

    /// How many parts follow; each takes at least one octet.
    fn count(&mut self) -> Result<usize> {
        let count = u32::take(self)? as usize;
        if count > self.0.len() { Err(ends_early()) } else { Ok(count) }
    }
}

pub(super) fn corrupt(text: &'static str) -> Error {
    Error::Corrupt(text.into())
}

fn ends_early() -> Error {
    corrupt("record ends early")
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Writer) {
                out.0.put_slice(&self.to_le_bytes());
            }

            fn take(input: &mut Reader) -> Result<Self> {
                input.fixed().map(<$number>::from_le_bytes)
            }
        }
    )*};
}

numbers!(u8 u32 u64 i64);

impl Wire for bool {
    fn put(&self, out: &mut Writer) {
        out.octet(u8::from(*self));
    }

    fn take(input: &mut Reader) -> Result<Self> {
        match input.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(corrupt("neither yes nor no")),
        }
    }
}

impl Wire for () {
    fn put(&self, _: &mut Writer) {}

    fn take(_: &mut Reader) -> Result<Self> {
        Ok(())
    }
}

impl Wire for Bytes {
    fn put(&self, out: &mut Writer) {
        out.octets(self);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        input.octets()
    }
}

impl Wire for String {
    fn put(&self, out: &mut Writer) {
        out.octets(self.as_bytes());
    }

    fn take(input: &mut Reader) -> Result<Self> {
        String::from_utf8(input.octets()?.into()).map_err(|_| corrupt("text"))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Reader) -> Result<Self> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Writer) {
        (self.len() as u32).put(out);
        self.iter().for_each(|part| part.put(out));
    }

    fn take(input: &mut Reader) -> Result<Self> {
        (0..input.count()?).map(|_| T::take(input)).collect()
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn put(&self, out: &mut Writer) {
        (self.len() as u32).put(out);
        self.iter().for_each(|part| part.put(out));
    }

    fn take(input: &mut Reader) -> Result<Self> {
        (0..input.count()?).map(|_| T::take(input)).collect()
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn put(&self, out: &mut Writer) {
        (self.len() as u32).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(input: &mut Reader) -> Result<Self> {
        (0..input.count()?).map(|_| Ok((K::take(input)?, V::take(input)?))).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Reader) -> Result<Self> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

/// A structure whose fields are written in the order given.
macro_rules! wire_fields {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl $crate::raft::wire::Wire for $name {
            fn put(&self, out: &mut $crate::raft::wire::Writer) {
                $($crate::raft::wire::Wire::put(&self.$field, out);)*
            }

            fn take(input: &mut $crate::raft::wire::Reader) -> $crate::Result<Self> {
                $(let $field = $crate::raft::wire::Wire::take(input)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// An enumeration of variants with one part each, behind an octet that names the variant.
macro_rules! wire_variants {
    ($name:ty { $($octet:literal => $variant:ident),* $(,)? }) => {
        impl $crate::raft::wire::Wire for $name {
            fn put(&self, out: &mut $crate::raft::wire::Writer) {
                match self {
                    $(Self::$variant(part) => {
                        out.octet($octet);
                        $crate::raft::wire::Wire::put(part, out);
                    })*
                }
            }

            fn take(input: &mut $crate::raft::wire::Reader) -> $crate::Result<Self> {
                match input.octet()? {
                    $($octet => Ok(Self::$variant($crate::raft::wire::Wire::take(input)?)),)*
                    _ => Err($crate::raft::wire::corrupt("unknown variant")),
                }
            }
        }
    };
}

pub(super) use {wire_fields, wire_variants};
