//! DATA (RFC 5321 §4.1.1.4), and what every message's end has in common, however it came:
//!
//! ```text
//! data = "DATA" CRLF
//! ```

use std::time::Instant;

use super::super::codec::{DataDecoder, Reply};
use super::super::session::transfer::Transfer;
use super::super::session::{Channel, Incoming, Role, Session, State, Step, replies};

impl<A> Session<A> {
    pub(super) fn data_command(&mut self, now: Instant) -> Option<Step<A>> {
        let Some(transaction) = &self.transaction else { return self.premature(&replies::SENDER_FIRST) };
        if self.transfer.is_some() {
            return self.fail(&replies::NOT_AMID_CHUNKS); // RFC 3030 §2
        }
        if transaction.recipients.is_empty() {
            return self.no_recipients();
        }
        let declared = transaction.parameters.size_octets;
        let decoder = DataDecoder::for_data(self.config.line_endings());
        let transfer = Transfer::new(decoder, self.config.message_octets, now);
        let octets = transfer.first_grant(declared);
        self.transfer = Some(Box::new(transfer));
        self.state = State::Data;
        self.ask_for_memory(octets, true)
    }

    /// RFC 5321 §3.3 allows 503 or 554; RFC 2033 §4.2 wants 503.
    pub(super) fn no_recipients(&mut self) -> Option<Step<A>> {
        match self.config.role {
            Role::Lmtp => {
                self.fail(&Reply::new(503, super::super::codec::EnhancedCode(5, 5, 1), "No valid recipients"))
            }
            // No error: a pipelining client whose recipients were all refused does just this.
            Role::Mx | Role::Submission => self.premature(&replies::NO_RECIPIENTS),
        }
    }

    /// Memory for so many octets was set aside, or there is none in time.
    pub fn memory_granted(&mut self, octets: Option<usize>) {
        let State::AskedForMemory { then, first } = std::mem::replace(&mut self.state, State::Commands)
        else {
            return;
        };
        let Some(transfer) = &mut self.transfer else { return };
        let is_data = matches!(*then, State::Data);
        match octets {
            Some(octets) => transfer.granted(octets),
            None if first && is_data => {
                // Nothing has come yet: the client keeps its transaction and may try again.
                self.transfer = None;
                self.reply(&replies::NO_MEMORY);
                return;
            }
            None => transfer.refuse(replies::NO_MEMORY),
        }
        self.state = *then;
        if first && is_data {
            self.reply(&Reply::bare(354, "End with <CRLF>.<CRLF>"));
        }
    }

    /// The last octet of a message was read.
    pub(in crate::smtp) fn message_ended(&mut self) -> Option<Step<A>> {
        let (transaction, transfer) = (self.transaction.take(), self.transfer.take());
        let (Some(transaction), Some(mut transfer), Some(hello)) =
            (transaction, transfer, self.hello.clone())
        else {
            self.state = State::Commands;
            return self.fail(&replies::SENDER_FIRST);
        };
        self.counts.idle_commands = 0;
        self.counts.surplus_recipients = 0;
        self.replies_due = self.replies_to(transaction.recipients.len());
        if let Err(reply) = transfer.verdict() {
            self.message_answered(&[reply]);
            return None;
        }
        self.state = State::Asked;
        let protocol = self.protocol(hello.extended, transaction.parameters.smtp_utf8);
        let message = std::mem::take(&mut transfer.message);
        Some(Step::Message(Box::new(Incoming { transaction: *transaction, message, hello, protocol })))
    }

    /// How many replies a message to so many recipients gets (RFC 2033 §4.2).
    pub(super) fn replies_to(&self, recipients: usize) -> usize {
        if self.config.role == Role::Lmtp { recipients.max(1) } else { 1 }
    }

    /// What became of the message: for LMTP a reply per recipient, in order; one reply is everyone's.
    pub fn message_answered(&mut self, replies: &[Reply]) {
        self.state = State::Commands;
        for number in 0..std::mem::take(&mut self.replies_due) {
            if let Some(reply) = replies.get(number).or(replies.last()) {
                self.reply(reply);
            }
        }
    }

    /// The protocol for the trace header (RFC 3848; RFC 6531 §4.3).
    fn protocol(&self, extended: bool, utf8: bool) -> &'static str {
        match (self.config.role, utf8, self.channel == Channel::Tls, self.logged_in) {
            (Role::Lmtp, false, false, _) => "LMTP",
            (Role::Lmtp, false, true, _) => "LMTPS",
            (Role::Lmtp, true, false, _) => "UTF8LMTP",
            (Role::Lmtp, true, true, _) => "UTF8LMTPS",
            _ if !extended => "SMTP",
            (_, false, false, false) => "ESMTP",
            (_, false, false, true) => "ESMTPA",
            (_, false, true, false) => "ESMTPS",
            (_, false, true, true) => "ESMTPSA",
            (_, true, false, false) => "UTF8SMTP",
            (_, true, false, true) => "UTF8SMTPA",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, true, true) => "UTF8SMTPSA",
        }
    }
}
