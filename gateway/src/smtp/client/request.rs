//! What is asked of a server: an envelope, written as MAIL and RCPT with the parameters it offers.

use super::super::codec::parameter::{BodyKind, Notify, Return};
use super::super::codec::{Mailbox, ReversePath};
use super::Extensions;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The reverse-path.
    pub sender: ReversePath,
    /// Size of the message, in octets.
    pub size_octets: u64,
    /// What the message's octets are.
    pub body: BodyKind,
    /// Whether the message needs SMTPUTF8.
    pub smtp_utf8: bool,
    /// RET.
    pub return_content: Option<Return>,
    /// ENVID, as xtext.
    pub envelope_id: Option<String>,
    /// Recipients; never empty.
    pub recipients: Vec<RecipientRequest>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRequest {
    /// The forward-path.
    pub address: Mailbox,
    /// NOTIFY.
    pub notify: Option<Notify>,
    /// ORCPT: `address-type;xtext`.
    pub original: Option<String>,
}

impl Request {
    /// Whether it can only be sent to a server that offers SMTPUTF8 (RFC 6531 §3.2).
    pub fn needs_smtp_utf8(&self) -> bool {
        let ascii = |mailbox: &Mailbox| mailbox.is_ascii();
        self.smtp_utf8
            || !self.sender.as_ref().is_none_or(ascii)
            || !self.recipients.iter().all(|recipient| recipient.address.is_ascii())
    }

    /// Appends the MAIL command.
    pub(super) fn write_mail(&self, offers: &Extensions, out: &mut Vec<u8>) {
        let mut line = match &self.sender {
            Some(sender) => format!("MAIL FROM:<{sender}>"),
            None => "MAIL FROM:<>".to_owned(),
        };
        if offers.size_octets.is_some() {
            line.push_str(&format!(" SIZE={}", self.size_octets));
        }
        if offers.eight_bit_mime && self.body == BodyKind::EightBitMime {
            line.push_str(" BODY=8BITMIME");
        }
        if self.needs_smtp_utf8() {
            line.push_str(" SMTPUTF8");
        }
        if offers.dsn {
            match self.return_content {
                Some(Return::Full) => line.push_str(" RET=FULL"),
                Some(Return::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(id) = &self.envelope_id {
                line.push_str(&format!(" ENVID={id}"));
            }
        }
        line.push_str("\r\n");
        out.extend_from_slice(line.as_bytes());
    }
}

impl RecipientRequest {
    /// Appends the RCPT command.
    pub(super) fn write_rcpt(&self, offers: &Extensions, out: &mut Vec<u8>) {
        let mut line = format!("RCPT TO:<{}>", self.address);
        if offers.dsn {
            if let Some(notify) = self.notify {
                line.push_str(&format!(" NOTIFY={}", notify_value(notify)));
            }
            if let Some(original) = &self.original {
                line.push_str(&format!(" ORCPT={original}"));
            }
        }
        line.push_str("\r\n");
        out.extend_from_slice(line.as_bytes());
    }
}

fn notify_value(notify: Notify) -> String {
    let words = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let wanted: Vec<&str> = words.iter().filter(|(_, wanted)| *wanted).map(|(word, _)| *word).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
}
