//! MAIL (RFC 5321 §4.1.1.2):
//!
//! ```text
//! mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
//! ```

use super::super::codec::parameter::MailParameters;
use super::super::codec::{Reply, ReversePath};
use super::super::session::{Channel, Role, Session, State, Step, Transaction, replies};

impl<A> Session<A> {
    pub(super) fn mail(
        &mut self,
        sender: ReversePath,
        parameters: MailParameters,
        ascii: bool,
    ) -> Option<Step<A>> {
        if let Some(refusal) = self.mail_refusal(&parameters, ascii) {
            return self.fail(&refusal);
        }
        // RFC 1870 §6.1: too large by its own account, so not an error of the dialogue.
        if parameters.size_octets.is_some_and(|octets| octets > self.config.message_octets as u64) {
            return self.premature(&replies::TOO_LARGE);
        }
        self.state = State::Asked;
        let recipients = Vec::new();
        Some(Step::CheckSender(Box::new(Transaction { sender, parameters, recipients })))
    }

    fn mail_refusal(&self, parameters: &MailParameters, ascii: bool) -> Option<Reply> {
        let Some(hello) = &self.hello else { return Some(replies::HELLO_FIRST) };
        match () {
            // RFC 6409 §4.3, RFC 8314 §3.3.
            () if self.config.role == Role::Submission && self.channel == Channel::Plain => {
                Some(replies::TLS_FIRST)
            }
            () if self.config.role == Role::Submission && !self.logged_in => Some(replies::LOGIN_FIRST),
            () if self.transaction.is_some() => Some(replies::NESTED_MAIL),
            () if !hello.extended && *parameters != MailParameters::default() => Some(replies::NO_EXTENSIONS),
            () if !ascii && !parameters.smtp_utf8 => Some(replies::NEEDS_SMTPUTF8),
            () => None,
        }
    }

    /// The sender may send, or the reply says why not.
    pub fn sender_checked(&mut self, transaction: Box<Transaction<A>>, verdict: Result<(), Reply>) {
        self.state = State::Commands;
        match verdict {
            Ok(()) => {
                self.transaction = Some(transaction);
                self.reply(&replies::SENDER_OK);
            }
            // The role ends the session (RFC 5321 §3.8).
            Err(reply) if reply.code() == 421 => self.close_with(&reply),
            Err(reply) => {
                self.premature(&reply);
            }
        }
    }
}
