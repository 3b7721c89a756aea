//! RCPT (RFC 5321 §4.1.1.3):
//!
//! ```text
//! rcpt = "RCPT TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
//! ```

use super::super::codec::parameter::RcptParameters;
use super::super::codec::{ForwardPath, Reply};
use super::super::session::{Candidate, Recipient, Session, State, Step, replies};

impl<A> Session<A> {
    pub(super) fn rcpt(
        &mut self,
        path: ForwardPath,
        parameters: RcptParameters,
        ascii: bool,
    ) -> Option<Step<A>> {
        let Some(transaction) = &self.transaction else { return self.premature(&replies::SENDER_FIRST) };
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        if self.transfer.is_some() {
            return self.fail(&replies::NOT_AMID_CHUNKS);
        }
        if !extended && parameters != RcptParameters::default() {
            return self.fail(&replies::NO_EXTENSIONS);
        }
        if !ascii && !transaction.parameters.smtp_utf8 {
            return self.fail(&replies::NEEDS_SMTPUTF8);
        }
        // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest apart.
        if transaction.recipients.len() >= self.config.recipients {
            return self.surplus_recipient();
        }
        self.state = State::Asked;
        Some(Step::CheckRecipient(Candidate { path, parameters }))
    }

    /// The recipient is accepted, with what the policy wants to remember of it, or the reply says
    /// why not.
    pub fn recipient_checked(&mut self, candidate: Candidate, verdict: Result<A, Reply>) {
        self.state = State::Commands;
        let Candidate { path, parameters } = candidate;
        match (verdict, &mut self.transaction) {
            (Ok(admission), Some(transaction)) => {
                transaction.recipients.push(Recipient { path, parameters, admission });
                self.reply(&replies::RECIPIENT_OK);
            }
            (Ok(_), None) => self.reply(&replies::SENDER_FIRST),
            (Err(reply), _) => self.refuse_recipient(&reply),
        }
    }
}
