//! Names of mailboxes and their special uses. Pure: knows the syntax, not which mailboxes exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{MAILBOX_NAME_LEVELS, MAILBOX_NAME_OCTETS};
use crate::{Error, Result};

/// A mailbox's full name: UTF-8 (RFC 9051 §5.1), levels separated by `/`, no empty level, no control
/// characters, no wildcard (`%`, `*`), no leading `#` (RFC 9051 §5.1.2.1), at most
/// [`MAILBOX_NAME_OCTETS`] octets and [`MAILBOX_NAME_LEVELS`] levels. A first level that says INBOX in any
/// case is `INBOX` (RFC 9051 §5.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailboxName(Box<str>);

impl MailboxName {
    /// What separates the levels.
    pub const SEPARATOR: char = '/';

    /// The mailbox that every account has.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The levels, outermost first.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split(Self::SEPARATOR)
    }

    /// The name one level up.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once(Self::SEPARATOR).map(|(parent, _)| Self(parent.into()))
    }

    /// Every name above this one, outermost first.
    pub fn superiors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.match_indices(Self::SEPARATOR).map(|(at, _)| Self(self.0[..at].into()))
    }

    /// Whether it lies below `other` in the hierarchy.
    pub fn is_inferior_to(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }

    /// The name that this one gets when `from`, which is it or stands above it, is renamed to `to`.
    /// `Invalid` where that would pass a bound.
    pub fn renamed(&self, from: &Self, to: &Self) -> Result<Self> {
        match self.0.strip_prefix(&*from.0) {
            Some(rest) => format!("{}{rest}", to.0).parse(),
            None => Err(Error::Invalid("name outside the renamed hierarchy".into())),
        }
    }
}

fn is_allowed(character: char) -> bool {
    // Net-Unicode (RFC 5198 §2): no controls, no line and paragraph separators.
    !character.is_control() && !matches!(character, '%' | '*' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

impl FromStr for MailboxName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &'static str| Err(Error::Invalid(why.into()));
        if text.len() > MAILBOX_NAME_OCTETS {
            return invalid("mailbox name too long");
        }
        if !text.chars().all(is_allowed) || text.starts_with('#') {
            return invalid("mailbox name with a character that is not allowed");
        }
        if text.split(Self::SEPARATOR).any(str::is_empty) {
            return invalid("mailbox name with an empty level");
        }
        if text.split(Self::SEPARATOR).count() > MAILBOX_NAME_LEVELS {
            return invalid("mailbox name with too many levels");
        }
        let first = text.split(Self::SEPARATOR).next().unwrap_or_default();
        if first.eq_ignore_ascii_case("INBOX") {
            return Ok(Self(format!("INBOX{}", &text[first.len()..]).into()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for MailboxName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MailboxName> for String {
    fn from(name: MailboxName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxName({:?})", self.0)
    }
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpecialUse {
    /// All messages.
    All,
    /// An archive.
    Archive,
    /// Drafts.
    Drafts,
    /// Flagged messages.
    Flagged,
    /// Junk.
    Junk,
    /// Sent messages.
    Sent,
    /// Trash.
    Trash,
}

impl SpecialUse {
    /// The mailboxes that a new account gets besides INBOX, by their names.
    pub const STANDARD: [(&'static str, Self); 5] = [
        ("Archive", Self::Archive),
        ("Drafts", Self::Drafts),
        ("Junk", Self::Junk),
        ("Sent", Self::Sent),
        ("Trash", Self::Trash),
    ];

    /// The LIST attribute (RFC 6154 §6), with its backslash.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> MailboxName {
        text.parse().expect("valid")
    }

    #[test]
    fn inbox_is_one_in_any_case() {
        assert_eq!(name("inBox"), MailboxName::inbox());
        assert_eq!(name("inbox/Sub").as_str(), "INBOX/Sub");
        assert_eq!(name("Inboxes").as_str(), "Inboxes");
    }

    #[test]
    fn bad_names_are_refused() {
        let deep = vec!["a"; MAILBOX_NAME_LEVELS + 1].join("/");
        let long = "a".repeat(MAILBOX_NAME_OCTETS + 1);
        for bad in ["", "/", "a/", "/a", "a//b", "a*", "%", "#news", "a\u{7}", "a\r\nb", &deep, &long] {
            assert!(bad.parse::<MailboxName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hierarchy() {
        let deep = name("a/b/c");
        assert_eq!(deep.superiors().collect::<Vec<_>>(), [name("a"), name("a/b")]);
        assert!(deep.is_inferior_to(&name("a")) && !name("ab").is_inferior_to(&name("a")));
        assert_eq!(deep.renamed(&name("a/b"), &name("x")).expect("fits"), name("x/c"));
        assert_eq!(deep.parent(), Some(name("a/b")));
    }

    proptest! {
        #[test]
        fn a_name_reads_back(text in "\\PC{0,40}") {
            if let Ok(parsed) = text.parse::<MailboxName>() {
                prop_assert_eq!(parsed.as_str().parse::<MailboxName>().expect("own text"), parsed);
            }
        }
    }
}
