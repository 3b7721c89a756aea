//! STARTTLS (RFC 3207 §4):
//!
//! ```text
//! starttls = "STARTTLS" CRLF
//! ```

use std::time::Instant;

use super::super::session::{Channel, Session, State, Step, replies};

impl<A> Session<A> {
    pub(super) fn starttls(&mut self) -> Option<Step<A>> {
        if self.channel == Channel::Tls {
            return self.fail(&replies::ALREADY_TLS);
        }
        if !self.config.starttls {
            return self.fail(&replies::NOT_IMPLEMENTED);
        }
        self.reply(&replies::READY_FOR_TLS);
        self.state = State::Asked;
        Some(Step::StartTls)
    }

    /// The handshake succeeded. Nothing that was said before it counts (RFC 3207 §4.2); that nothing
    /// read before it is left is the connection's promise.
    pub fn tls_started(&mut self, now: Instant) {
        self.channel = Channel::Tls;
        self.logged_in = false;
        self.hello = None;
        self.reset();
        self.state = State::Commands;
        self.restart_deadline(now);
    }
}
