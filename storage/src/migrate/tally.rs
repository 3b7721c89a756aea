//! What was read of one side, counted and hashed by subspace: the evidence, for people, that both sides are the same.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Of one side, by the first octet of its keys.
#[derive(Default)]
pub struct Tally(BTreeMap<u8, Counted>);

#[derive(Default)]
struct Counted {
    pairs: u64,
    octets: u64,
    hash: blake3::Hasher,
}

/// Of one subspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The first octet of its keys.
    pub subspace: u8,
    /// Keys with their values.
    pub pairs: u64,
    /// Their octets.
    pub octets: u64,
    /// BLAKE3 over all pairs in the order of keys, each key and value behind its length.
    pub hash: [u8; 32],
}

impl Tally {
    /// Takes pairs in, in the order of keys.
    pub(super) fn add(&mut self, pairs: &[(Bytes, Bytes)]) {
        for (key, value) in pairs {
            let counted = self.0.entry(key[0]).or_default();
            counted.pairs += 1;
            for part in [key, value] {
                counted.octets += part.len() as u64;
                counted.hash.update(&(part.len() as u64).to_be_bytes()).update(part);
            }
        }
    }

    /// In the order of subspaces.
    pub fn sums(&self) -> Vec<Sum> {
        let sum = |(subspace, counted): (&u8, &Counted)| Sum {
            subspace: *subspace,
            pairs: counted.pairs,
            octets: counted.octets,
            hash: *counted.hash.finalize().as_bytes(),
        };
        self.0.iter().map(sum).collect()
    }
}
