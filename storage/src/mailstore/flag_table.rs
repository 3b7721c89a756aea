//! The flag sets of one mailbox, each kept once: a message in memory carries a small number. Knows
//! the stored form of flags (system bits and keyword numbers) and turns it into the readable one.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::limits::{KEYWORDS_OCTETS, KEYWORDS_PER_MAILBOX};
use crate::types::{Flags, Keyword, SystemFlags};
use crate::{Error, Result};

/// Flags as stored: keywords by their number in the mailbox's [`KeywordTable`], ascending.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct StoredFlags {
    pub system: SystemFlags,
    pub keywords: SmallVec<[u16; 4]>,
}

/// A mailbox's keywords in the order of their first use. A number, once given, stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeywordTable {
    keywords: Vec<Keyword>,
    numbers: HashMap<Keyword, u16>,
}

impl KeywordTable {
    /// From the stored form: keywords separated by spaces, which no keyword contains.
    pub(crate) fn decode(value: &[u8]) -> Result<Self> {
        let corrupt = || Error::Corrupt("keyword table".into());
        let (1, text) = value.split_first().map(|(version, text)| (*version, text)).ok_or_else(corrupt)?
        else {
            return Err(corrupt());
        };
        let text = std::str::from_utf8(text).map_err(|_| corrupt())?;
        let mut table = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            table.add(word.parse().map_err(|_| corrupt())?).map_err(|_| corrupt())?;
        }
        Ok(table)
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![1];
        for keyword in &self.keywords {
            value.extend_from_slice(keyword.as_str().as_bytes());
            value.push(b' ');
        }
        value
    }

    /// All of them.
    pub(crate) fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }

    fn octets(&self) -> usize {
        self.keywords.iter().map(|keyword| keyword.as_str().len() + 1).sum()
    }

    fn add(&mut self, keyword: Keyword) -> Result<u16> {
        if let Some(number) = self.numbers.get(&keyword) {
            return Ok(*number);
        }
        if self.keywords.len() >= KEYWORDS_PER_MAILBOX
            || self.octets() + keyword.as_str().len() >= KEYWORDS_OCTETS
        {
            return Err(Error::TooLarge("the mailbox has as many keywords as it may".into()));
        }
        let number = self.keywords.len() as u16;
        self.keywords.push(keyword.clone());
        self.numbers.insert(keyword, number);
        Ok(number)
    }

    /// The stored form of `flags`, with new keywords added to the table.
    pub(crate) fn store(&mut self, flags: &Flags) -> Result<StoredFlags> {
        let mut keywords = SmallVec::new();
        for keyword in &flags.keywords {
            keywords.push(self.add(keyword.clone())?);
        }
        keywords.sort_unstable();
        Ok(StoredFlags { system: flags.system, keywords })
    }

    /// The stored form of those of `flags` that the table knows.
    pub(crate) fn known(&self, flags: &Flags) -> StoredFlags {
        let numbers = flags.keywords.iter().filter_map(|keyword| self.numbers.get(keyword).copied());
        let mut keywords: SmallVec<[u16; 4]> = numbers.collect();
        keywords.sort_unstable();
        StoredFlags { system: flags.system, keywords }
    }

    /// The readable form. A number that the table does not know is dropped.
    pub(crate) fn flags(&self, stored: &StoredFlags) -> Flags {
        let keywords =
            stored.keywords.iter().filter_map(|number| self.keywords.get(usize::from(*number)).cloned());
        Flags { system: stored.system, keywords: keywords.collect() }
    }
}

/// Names one flag set of a [`FlagTable`]. Stays the same in all snapshots that share the table's
/// generation, so that a reader can keep what it derived from the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagsId(pub u32);

/// Every flag set that a view has met. Only grows within a generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlagTable {
    pub(super) generation: u64,
    sets: Vec<Arc<Flags>>,
    numbers: HashMap<StoredFlags, FlagsId>,
    stored: Vec<StoredFlags>,
    // The id of each combination of system flags without keywords: what nearly all messages have.
    plain: Box<[Option<FlagsId>; 32]>,
}

impl FlagTable {
    pub(crate) fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(crate) fn set(&self, id: FlagsId) -> &Arc<Flags> {
        &self.sets[id.0 as usize]
    }

    pub(crate) fn stored(&self, id: FlagsId) -> &StoredFlags {
        &self.stored[id.0 as usize]
    }

    /// The id of the set, if it was met before.
    pub(crate) fn find(&self, stored: &StoredFlags) -> Option<FlagsId> {
        if stored.keywords.is_empty() {
            return self.plain[usize::from(stored.system.bits())];
        }
        self.numbers.get(stored).copied()
    }

    /// The id of the set, which is added if it is new.
    pub(crate) fn intern(&mut self, stored: &StoredFlags, keywords: &KeywordTable) -> FlagsId {
        if let Some(id) = self.find(stored) {
            return id;
        }
        let id = FlagsId(self.sets.len() as u32);
        self.sets.push(Arc::new(keywords.flags(stored)));
        self.stored.push(stored.clone());
        if stored.keywords.is_empty() {
            self.plain[usize::from(stored.system.bits())] = Some(id);
        } else {
            self.numbers.insert(stored.clone(), id);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SystemFlag;

    #[test]
    fn keyword_tables_read_back_and_are_bounded() {
        let mut table = KeywordTable::default();
        for number in 0..KEYWORDS_PER_MAILBOX {
            let flags =
                Flags { keywords: [format!("k{number}").parse().expect("atom")].into(), ..Flags::default() };
            assert_eq!(table.store(&flags).expect("fits").keywords[0], number as u16);
        }
        assert_eq!(KeywordTable::decode(&table.encode()).expect("own form"), table);
        let more = Flags { keywords: ["more".parse().expect("atom")].into(), ..Flags::default() };
        assert!(matches!(table.store(&more), Err(Error::TooLarge(_))));
        assert!(KeywordTable::decode(b"\x02x").is_err());
    }

    #[test]
    fn equal_sets_share_an_id() {
        let mut keywords = KeywordTable::default();
        let mut table = FlagTable::default();
        let seen = StoredFlags { system: SystemFlags::EMPTY.with(SystemFlag::Seen), ..Default::default() };
        let tagged = Flags { keywords: ["$Junk".parse().expect("atom")].into(), ..Flags::default() };
        let stored = keywords.store(&tagged).expect("fits");
        let ids = [table.intern(&seen, &keywords), table.intern(&stored, &keywords)];
        assert_eq!(ids, [table.intern(&seen, &keywords), table.intern(&stored, &keywords)]);
        assert_eq!(**table.set(ids[1]), tagged);
    }
}
