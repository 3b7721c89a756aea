//! EHLO, HELO (RFC 5321 §4.1.1.1) and LHLO (RFC 2033 §4.1), and what is offered in answer:
//!
//! ```text
//! ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
//! helo = "HELO" SP Domain CRLF
//! ```

use super::super::codec::Reply;
use super::super::session::{Channel, Hello, Role, Session, Step, replies};
use crate::login::sasl::Mechanism;

impl<A> Session<A> {
    pub(super) fn ehlo(&mut self, name: String) -> Option<Step<A>> {
        match self.config.role {
            Role::Lmtp => self.fail(&replies::UNKNOWN_COMMAND),
            Role::Mx | Role::Submission => self.greet(name, true),
        }
    }

    pub(super) fn lhlo(&mut self, name: String) -> Option<Step<A>> {
        match self.config.role {
            Role::Lmtp => self.greet(name, true),
            Role::Mx | Role::Submission => self.fail(&replies::UNKNOWN_COMMAND),
        }
    }

    pub(super) fn helo(&mut self, name: String) -> Option<Step<A>> {
        match self.config.role {
            // RFC 2033 §4.1: an LMTP server must not answer HELO or EHLO with success.
            Role::Lmtp => self.fail(&replies::UNKNOWN_COMMAND),
            Role::Mx | Role::Submission => self.greet(name, false),
        }
    }

    /// A new introduction also ends the transaction (RFC 5321 §4.1.4).
    fn greet(&mut self, name: String, extended: bool) -> Option<Step<A>> {
        self.reset();
        let reply = match extended {
            true => Reply::bare(250, self.offers()),
            false => Reply::bare(250, self.config.host_name.clone()),
        };
        self.hello = Some(Hello { name, extended });
        self.say(&reply)
    }

    /// The server's name and what it can do, one a line.
    fn offers(&self) -> String {
        let mut offers = format!(
            "{}\nPIPELINING\nSIZE {}\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES",
            self.config.host_name, self.config.message_octets
        );
        if self.config.starttls && self.channel != Channel::Tls {
            offers.push_str("\nSTARTTLS");
        }
        // Not where others read along (RFC 4954 §4), not on port 25, and not twice.
        if self.config.role == Role::Submission && self.channel != Channel::Plain && !self.logged_in {
            offers.push_str("\nAUTH");
            for mechanism in Mechanism::ALL {
                offers.push(' ');
                offers.push_str(mechanism.as_str());
            }
        }
        offers
    }
}
