//! Message flags: the five system flags and a mailbox's own keywords (RFC 9051 §2.3.2).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A flag that every mailbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SystemFlag {
    /// Read.
    Seen = 1,
    /// Answered.
    Answered = 2,
    /// Marked for attention.
    Flagged = 4,
    /// To be removed by the next expunge.
    Deleted = 8,
    /// Not finished.
    Draft = 16,
}

impl SystemFlag {
    /// All five, in the order in which they are listed to clients.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Flagged, Self::Deleted, Self::Seen, Self::Draft];
}

/// A set of system flags in one octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// No flag.
    pub const EMPTY: Self = Self(0);

    /// Whether the flag is in the set.
    pub const fn contains(self, flag: SystemFlag) -> bool {
        self.0 & flag as u8 != 0
    }

    /// The set with `flag`.
    #[must_use]
    pub const fn with(self, flag: SystemFlag) -> Self {
        Self(self.0 | flag as u8)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as one octet: the stored form. Only the low five bits are ever set.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From the stored form; bits that name no flag are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }
}

/// A keyword: an IMAP `atom` of at most [`Keyword::MAX_OCTETS`] octets. Compared without regard to
/// ASCII case (RFC 9051 §2.3.2), kept as first written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keyword(Box<str>);

/// Why a text is no [`Keyword`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a keyword is 1 to {} printable ASCII characters other than ( ) {{ % * \" \\ ] and space",
    Keyword::MAX_OCTETS
)]
pub struct KeywordError;

impl Keyword {
    /// Longest keyword: a bound of ours.
    pub const MAX_OCTETS: usize = 100;

    /// The text, as first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for Keyword {
    type Err = KeywordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX_OCTETS || !text.bytes().all(atom) {
            return Err(KeywordError);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Keyword {
    type Error = KeywordError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Keyword> for String {
    fn from(keyword: Keyword) -> Self {
        keyword.0.into()
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(other.folded())
    }
}
impl std::hash::Hash for Keyword {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}
impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyword({})", self.0)
    }
}

/// All flags of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flags {
    /// The system flags.
    pub system: SystemFlags,
    /// The keywords.
    pub keywords: BTreeSet<Keyword>,
}

impl Flags {
    /// Only system flags.
    pub fn system(flags: &[SystemFlag]) -> Self {
        let system = flags.iter().fold(SystemFlags::EMPTY, |set, flag| set.with(*flag));
        Self { system, keywords: BTreeSet::new() }
    }

    /// Whether the system flag is set.
    pub fn contains(&self, flag: SystemFlag) -> bool {
        self.system.contains(flag)
    }
}
