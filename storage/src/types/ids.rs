//! Identities. Each newtype carries its guarantee.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numbered!(
    /// An account of the directory. Never reused, also after the account is deleted.
    AccountId
);
numbered!(
    /// A domain of the directory. Never reused; bodies are sealed under its key.
    DomainId
);
numbered!(
    /// A mailbox within its account. Never reused in that account; a rename keeps it.
    MailboxId
);
numbered!(
    /// A modification sequence (RFC 7162 §3.1): ascends within a mailbox with each change; 0 is before all.
    ModSeq
);

/// A message's unique identifier in its mailbox (RFC 9051 §2.3.1.1): never 0, strictly ascending,
/// never reused while the mailbox lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub NonZeroU32);

impl Uid {
    /// The first UID of a new mailbox.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The highest UID there can be.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// `None` for 0, which is no UID.
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).map(Self)
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sealed body. Unique without asking anyone: the milliseconds of its arrival, then 80 random bits, so that
/// bodies that arrive together lie together, and are read together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyId(pub [u8; 16]);

impl BodyId {
    /// A new one for a body that arrives at `now`.
    pub fn new(now: Timestamp) -> Self {
        let time = (now.as_millis().max(0) as u128) << 80;
        Self((time | rand::random::<u128>() >> 48).to_be_bytes())
    }

    /// A new one for a body that arrives now.
    pub fn random() -> Self {
        Self::new(Timestamp::now())
    }
}

/// Names one operation across reruns, so that it takes effect once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(pub [u8; 16]);

impl OperationId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The same id for the same parts, in this order: a retry elsewhere finds the first result.
    pub fn derived(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

/// A queue entry, and the id that the `250` reply carries: 44 bits of milliseconds, 36 random bits,
/// written as 16 letters and digits (Crockford's base 32) that sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueId(pub [u8; 10]);

const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl QueueId {
    /// A new one for a message that arrived at `now`.
    pub fn new(now: Timestamp) -> Self {
        let time = (now.as_millis().max(0) as u128) << 36;
        let value = (time | u128::from(rand::random::<u64>() >> 28)) & ((1 << 80) - 1);
        let mut id = [0; 10];
        id.copy_from_slice(&value.to_be_bytes()[6..]);
        Self(id)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        for position in (0..16).rev() {
            let digit = (value >> (position * 5)) & 31;
            write!(f, "{}", char::from(BASE32[digit as usize]))?;
        }
        Ok(())
    }
}

impl FromStr for QueueId {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || crate::Error::Invalid("queue id: 16 letters and digits expected".into());
        if text.len() != 16 {
            return Err(invalid());
        }
        let mut value = 0u128;
        for byte in text.bytes() {
            let upper = byte.to_ascii_uppercase();
            let digit = BASE32.iter().position(|known| *known == upper).ok_or_else(invalid)?;
            value = value << 5 | digit as u128;
        }
        let mut id = [0; 10];
        id.copy_from_slice(&value.to_be_bytes()[6..]);
        Ok(Self(id))
    }
}

macro_rules! printed_in_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
printed_in_hex!(BodyId);
printed_in_hex!(OperationId);

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_ids_read_back_and_sort_by_time() {
        let early = QueueId::new(Timestamp::from_millis(1_700_000_000_000));
        let late = QueueId::new(Timestamp::from_millis(1_700_000_000_001));
        assert_eq!(early.to_string().parse::<QueueId>().expect("own text"), early);
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn derived_operation_ids_keep_parts_apart() {
        assert_ne!(OperationId::derived(&[b"ab", b"c"]), OperationId::derived(&[b"a", b"bc"]));
        assert_eq!(OperationId::derived(&[b"a"]), OperationId::derived(&[b"a"]));
    }
}
