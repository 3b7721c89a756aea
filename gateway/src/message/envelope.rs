//! ENVELOPE (RFC 9051 §7.5.2): ten header fields, taken apart once at arrival.

use super::address::{self, Address, Text};
use super::header;

/// The fields of a header as ENVELOPE lists them. Texts are unfolded and otherwise raw; `None` where the field
/// is absent. Of repeated fields the first counts, but recipients of all of them are listed (RFC 7103 §7.5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Date.
    pub date: Option<Text<'a>>,
    /// Subject.
    pub subject: Option<Text<'a>>,
    /// From.
    pub from: Vec<Address<'a>>,
    /// Sender; empty where it is absent: see [`Self::sender`].
    pub sender: Vec<Address<'a>>,
    /// Reply-To; empty where it is absent: see [`Self::reply_to`].
    pub reply_to: Vec<Address<'a>>,
    /// To.
    pub to: Vec<Address<'a>>,
    /// Cc.
    pub cc: Vec<Address<'a>>,
    /// Bcc.
    pub bcc: Vec<Address<'a>>,
    /// In-Reply-To.
    pub in_reply_to: Option<Text<'a>>,
    /// Message-ID.
    pub message_id: Option<Text<'a>>,
}

impl<'a> Envelope<'a> {
    /// Of a header section.
    pub fn of(section: &'a [u8]) -> Self {
        let mut envelope = Self::default();
        header::fields(section).for_each(|field| envelope.take(&field));
        envelope
    }

    /// Takes the field up if it is one of the ten.
    pub(super) fn take(&mut self, field: &header::Field<'a>) {
        // The length tells most fields apart without a comparison.
        match field.name.len() {
            2 if field.is("To") => self.to.extend(address::parse(field.value)),
            2 if field.is("Cc") => self.cc.extend(address::parse(field.value)),
            3 if field.is("Bcc") => self.bcc.extend(address::parse(field.value)),
            4 if field.is("Date") => first(&mut self.date, field),
            4 if field.is("From") && self.from.is_empty() => self.from = address::parse(field.value),
            6 if field.is("Sender") && self.sender.is_empty() => self.sender = address::parse(field.value),
            7 if field.is("Subject") => first(&mut self.subject, field),
            8 if field.is("Reply-To") && self.reply_to.is_empty() => {
                self.reply_to = address::parse(field.value)
            }
            10 if field.is("Message-ID") => first(&mut self.message_id, field),
            11 if field.is("In-Reply-To") => first(&mut self.in_reply_to, field),
            _ => {}
        }
    }

    /// The sender entries: those of From where Sender is absent or empty.
    pub fn sender(&self) -> &[Address<'a>] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// The reply-to entries: those of From where Reply-To is absent or empty.
    pub fn reply_to(&self) -> &[Address<'a>] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }
}

fn first<'a>(slot: &mut Option<Text<'a>>, field: &header::Field<'a>) {
    if slot.is_none() {
        *slot = Some(field.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_none_and_empty_is_empty() {
        let envelope = Envelope::of(b"Subject:\r\nFrom: a@x\r\nTo: b@x\r\nTo: c@x\r\nSubject: two\r\n\r\n");
        assert_eq!(envelope.subject.as_deref(), Some(&b""[..]));
        assert_eq!(envelope.date, None);
        assert_eq!(envelope.sender(), &envelope.from[..]);
        assert_eq!(envelope.to.len(), 2);
        assert!(envelope.cc.is_empty());
    }
}
