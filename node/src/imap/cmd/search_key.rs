//! What a SEARCH asks of each message, evaluated from what is cheapest to know: first the view, then
//! the record, the summary, the header, the text. A key that cannot be answered yet is neither true
//! nor false, and a whole that does not depend on it needs not to know.

use sterna_gateway::message::Summary;
use sterna_gateway::message::date;
use sterna_gateway::message::search::Needle;
use sterna_storage::mailstore::{Message, MessageRecord};
use sterna_storage::types::{Keyword, ModSeq, SystemFlag, UidSet};

use crate::imap::codec::command::SearchKey;
use crate::imap::codec::date::Day;
use crate::imap::session::Selected;

/// A compiled key.
#[derive(Debug)]
pub(super) enum Key {
    All,
    Uids(UidSet),
    System(SystemFlag),
    Keyword(Keyword),
    Recent(u32),
    ModSeq(ModSeq),
    Internal(Days),
    Larger(u64),
    Smaller(u64),
    Sent(Days),
    Envelope(EnvelopeField, Needle),
    Field(String, Needle),
    /// Text number so many of [`Compiled::texts`].
    Text(usize),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

/// Days before, on, or from a day.
#[derive(Debug, Clone, Copy)]
pub(super) enum Days {
    Before(Day),
    On(Day),
    Since(Day),
}

impl Days {
    fn contain(self, day: Day) -> bool {
        match self {
            Self::Before(limit) => day < limit,
            Self::On(limit) => day == limit,
            Self::Since(limit) => day >= limit,
        }
    }
}

/// The fields that every message's summary has.
#[derive(Debug, Clone, Copy)]
pub(super) enum EnvelopeField {
    From,
    To,
    Cc,
    Bcc,
    Subject,
}

/// A text to be looked for in the message.
#[derive(Debug)]
pub(super) struct TextKey {
    pub(super) needle: Needle,
    /// `TEXT`: also in the header.
    pub(super) with_header: bool,
}

/// A compiled SEARCH.
pub(super) struct Compiled {
    pub(super) key: Key,
    pub(super) texts: Vec<TextKey>,
    /// Whether any key needs the summary.
    pub(super) summaries: bool,
    /// Whether any key needs the message's header.
    pub(super) headers: bool,
}

impl Compiled {
    /// Compiles; `decode` turns texts of the command's charset into UTF-8.
    pub(super) fn new(key: &SearchKey, selected: &Selected, decode: &dyn Fn(&[u8]) -> String) -> Self {
        let mut compiled = Self { key: Key::All, texts: Vec::new(), summaries: false, headers: false };
        compiled.key = compiled.compile(key, selected, decode);
        compiled
    }

    fn compile(&mut self, key: &SearchKey, selected: &Selected, decode: &dyn Fn(&[u8]) -> String) -> Key {
        match key {
            SearchKey::All => Key::All,
            SearchKey::Sequence(set) => Key::Uids(selected.matching(set, false)),
            SearchKey::Uid(set) => Key::Uids(selected.matching(set, true)),
            SearchKey::System(flag) => Key::System(*flag),
            SearchKey::Keyword(keyword) => Key::Keyword(keyword.clone()),
            SearchKey::Recent => Key::Recent(selected.recent_from),
            SearchKey::ModSeq(modseq) => Key::ModSeq(*modseq),
            SearchKey::Before(day) => Key::Internal(Days::Before(*day)),
            SearchKey::On(day) => Key::Internal(Days::On(*day)),
            SearchKey::Since(day) => Key::Internal(Days::Since(*day)),
            SearchKey::SentBefore(day) => self.sent(Days::Before(*day)),
            SearchKey::SentOn(day) => self.sent(Days::On(*day)),
            SearchKey::SentSince(day) => self.sent(Days::Since(*day)),
            SearchKey::Larger(octets) => Key::Larger(*octets),
            SearchKey::Smaller(octets) => Key::Smaller(*octets),
            SearchKey::Header { name, text } => {
                self.header(name, Needle::new(&decode(text)), text.is_empty())
            }
            SearchKey::Body(text) => self.text(Needle::new(&decode(text)), false),
            SearchKey::Text(text) => self.text(Needle::new(&decode(text)), true),
            SearchKey::Not(key) => Key::Not(Box::new(self.compile(key, selected, decode))),
            SearchKey::Or(left, right) => {
                let left = self.compile(left, selected, decode);
                Key::Or(Box::new(left), Box::new(self.compile(right, selected, decode)))
            }
            SearchKey::And(keys) => {
                Key::And(keys.iter().map(|key| self.compile(key, selected, decode)).collect())
            }
        }
    }

    fn sent(&mut self, days: Days) -> Key {
        self.summaries = true;
        Key::Sent(days)
    }

    fn header(&mut self, name: &str, needle: Needle, is_empty: bool) -> Key {
        let field = match name {
            "from" => EnvelopeField::From,
            "to" => EnvelopeField::To,
            "cc" => EnvelopeField::Cc,
            "bcc" => EnvelopeField::Bcc,
            "subject" => EnvelopeField::Subject,
            _ => {
                self.headers = true;
                self.summaries = true;
                return Key::Field(name.to_owned(), needle);
            }
        };
        self.summaries = true;
        if is_empty {
            // Whether the field is there at all, the envelope does not always tell.
            self.headers = true;
            return Key::Field(name.to_owned(), needle);
        }
        Key::Envelope(field, needle)
    }

    fn text(&mut self, needle: Needle, with_header: bool) -> Key {
        self.summaries = true;
        self.headers |= with_header;
        self.texts.push(TextKey { needle, with_header });
        Key::Text(self.texts.len() - 1)
    }
}

/// What is known of one message.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'e> {
    pub(super) message: Message<'e>,
    pub(super) record: Option<&'e MessageRecord>,
    pub(super) summary: Option<&'e Summary<'e>>,
    pub(super) header: Option<&'e [u8]>,
    /// For each text key, whether it was found.
    pub(super) texts: Option<&'e [bool]>,
}

impl Key {
    /// Whether the message matches; `None` if that is not known from the evidence.
    pub(super) fn holds(&self, of: &Evidence<'_>) -> Option<bool> {
        Some(match self {
            Self::All => true,
            Self::Uids(uids) => uids.contains(of.message.uid),
            Self::System(flag) => of.message.flags.contains(*flag),
            Self::Keyword(keyword) => of.message.flags.keywords.contains(keyword),
            Self::Recent(first) => of.message.uid.get() >= *first,
            Self::ModSeq(least) => of.message.modseq >= *least,
            Self::Internal(days) => days.contain(Day::of(of.record?.internal_date)),
            Self::Larger(octets) => of.record?.size_octets > *octets,
            Self::Smaller(octets) => of.record?.size_octets < *octets,
            Self::Sent(days) => sent_day(of.summary?).is_some_and(|day| days.contain(day)),
            Self::Envelope(field, needle) => is_in_envelope(*field, needle, of.summary?),
            Self::Field(name, needle) => needle.is_in_field(of.header?, name),
            Self::Text(number) => of.texts?.get(*number).copied().unwrap_or(false),
            Self::Not(key) => !key.holds(of)?,
            Self::Or(left, right) => return either(left.holds(of), || right.holds(of)),
            Self::And(keys) => return all(keys.iter().map(|key| key.holds(of))),
        })
    }
}

fn either(left: Option<bool>, right: impl FnOnce() -> Option<bool>) -> Option<bool> {
    match (left, if left == Some(true) { left } else { right() }) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

/// The day of the Date field, without regard to time and zone (RFC 9051 §6.4.4).
fn sent_day(summary: &Summary<'_>) -> Option<Day> {
    let day = date::day(summary.envelope.date.as_deref()?)?;
    Day::from_civil(i64::from(day.year), u32::from(day.month), u32::from(day.day))
}

fn is_in_envelope(field: EnvelopeField, needle: &Needle, summary: &Summary<'_>) -> bool {
    let envelope = &summary.envelope;
    match field {
        EnvelopeField::From => needle.is_in_addresses(&envelope.from),
        EnvelopeField::To => needle.is_in_addresses(&envelope.to),
        EnvelopeField::Cc => needle.is_in_addresses(&envelope.cc),
        EnvelopeField::Bcc => needle.is_in_addresses(&envelope.bcc),
        EnvelopeField::Subject => needle.is_in_text(envelope.subject.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_need_not_be_known() {
        assert_eq!(either(Some(true), || None), Some(true));
        assert_eq!(either(None, || Some(true)), Some(true));
        assert_eq!(either(None, || Some(false)), None);
        assert_eq!(all([None, Some(false)].into_iter()), Some(false));
        assert_eq!(all([None, Some(true)].into_iter()), None);
    }
}
