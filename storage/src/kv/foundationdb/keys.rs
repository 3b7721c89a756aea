//! Where a cluster's keys stand: behind its name, encoded as FoundationDB's tuple layer encodes a string, so that
//! no name's keys are among another's and FoundationDB's own tools can show them.

use bytes::Bytes;

use crate::kv::range::KeyRange;
use crate::{Error, Result, limits};

const STRING: u8 = 0x02;
const STRING_END: u8 = 0x00;

/// What a key has before it and, as an operand, behind it: the prefix, a versionstamp's place, the octet that makes it the end of a range.
const _: () = assert!(limits::KEY_OCTETS + limits::FOUNDATIONDB_PREFIX_OCTETS + 2 + 4 < 10_000);

/// Goes before every key.
#[derive(Debug, Clone)]
pub(super) struct Prefix(Bytes);

impl Prefix {
    /// Of the cluster with that name: small letters, digits, `-`, `_` and `.`.
    pub(super) fn named(name: &str) -> Result<Self> {
        let is_ours =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_.".contains(&octet);
        if name.is_empty() || name.len() > limits::FOUNDATIONDB_PREFIX_OCTETS || !name.bytes().all(is_ours) {
            let most = limits::FOUNDATIONDB_PREFIX_OCTETS;
            let text = format!("prefix {name:?}: 1 to {most} of a-z, 0-9, '-', '_', '.'");
            return Err(Error::Invalid(text.into()));
        }
        let mut prefix = vec![STRING];
        prefix.extend_from_slice(name.as_bytes());
        prefix.push(STRING_END);
        Ok(Self(prefix.into()))
    }

    /// A key of ours as it stands in the database.
    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.0, key].concat()
    }

    /// Both ends of a range.
    pub(super) fn range(&self, range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
        (self.key(&range.begin), self.key(&range.end))
    }

    /// The key of ours that stands there.
    pub(super) fn stripped(&self, key: &[u8]) -> Result<Bytes> {
        let own = key.strip_prefix(&self.0[..]).map(Bytes::copy_from_slice);
        own.ok_or_else(|| Error::Corrupt("FoundationDB gave a key of somebody else's".into()))
    }

    /// How many octets go before each key.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_like_another_has_keys_of_its_own() {
        let (short, long) = (Prefix::named("mail").expect("valid"), Prefix::named("mail2").expect("valid"));
        assert_eq!(&short.key(b"A")[..], b"\x02mail\0A");
        let all = KeyRange::new(short.key(b""), short.key(b"\xff"));
        assert!(all.contains(&short.key(b"2")) && !all.contains(&long.key(b"A")));
        assert_eq!(&short.stripped(b"\x02mail\0A").expect("its own")[..], b"A");
        assert!(short.stripped(&long.key(b"A")).is_err());
        for wrong in ["", "Mail", "a/b", "a\0b", &"a".repeat(limits::FOUNDATIONDB_PREFIX_OCTETS + 1)] {
            assert!(matches!(Prefix::named(wrong), Err(Error::Invalid(_))), "{wrong}");
        }
    }
}
