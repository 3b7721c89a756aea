//! The state machine: lines in, replies and steps out.

use bytes::BytesMut;
use sterna_gateway::login::sasl::Exchange;
use sterna_storage::Error;

use super::step::{Listing, LoginRefusal, Retrieval, Step};
use crate::limits::{POP3_ERRORS, POP3_FAILED_LOGINS};
use crate::pop3::cmd;
use crate::pop3::codec::{Command, Line, ResponseCode, err, ok};
use crate::pop3::maildrop::Maildrop;

/// What is known of the connection.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The server's name, for greeting and farewell.
    pub host_name: String,
    /// TLS is on (port 995 from the start, port 110 after STLS).
    pub is_secure: bool,
    /// STLS can be done.
    pub offers_tls: bool,
    /// The peer is in a trusted network: it may log in without TLS.
    pub is_trusted: bool,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub(in crate::pop3) facts: Facts,
    pub(in crate::pop3) state: State,
    errors: u32,
    failed_logins: u32,
}

/// RFC 1939 §3.
#[derive(Debug)]
pub(in crate::pop3) enum State {
    /// `user` is what a USER named just before.
    Authorization {
        user: Option<String>,
    },
    /// An AUTH under way.
    Authenticating(Exchange),
    /// The answer to [`Step::LogIn`] is owed.
    LoggingIn,
    Transaction(Maildrop),
    /// QUIT was given; so many messages are left.
    Update {
        remaining: usize,
    },
}

impl Session {
    /// A session in AUTHORIZATION state; the greeting goes to `output`.
    pub fn new(facts: Facts, output: &mut BytesMut) -> Self {
        ok(output, format_args!("{} POP3 server ready", facts.host_name));
        Self { facts, state: State::Authorization { user: None }, errors: 0, failed_logins: 0 }
    }

    /// Takes one line. Not to be called while the answer to [`Step::LogIn`] or [`Step::Update`] is owed.
    pub fn handle(&mut self, line: &Line, output: &mut BytesMut) -> Step {
        let Line::Complete(line) = line else {
            self.give_up_exchange();
            return self.error("line too long", output);
        };
        if matches!(self.state, State::Authenticating(_)) {
            return cmd::respond(self, line, output);
        }
        match Command::parse(line) {
            Ok(command) => cmd::run(self, command, output),
            Err(error) => self.error(error, output),
        }
    }

    /// TLS is established. What the client said before is forgotten (RFC 2595 §4).
    pub fn secured(&mut self) {
        self.facts.is_secure = true;
        self.state = State::Authorization { user: None };
    }

    /// The login of [`Step::LogIn`] was right, and the maildrop is locked and open.
    pub fn opened(&mut self, maildrop: Maildrop, output: &mut BytesMut) {
        cmd::opened(&maildrop, output);
        self.state = State::Transaction(maildrop);
    }

    /// The maildrop of [`Step::LogIn`] was not opened. The session ends after several wrong logins.
    pub fn refused(&mut self, refusal: LoginRefusal, output: &mut BytesMut) -> Step {
        self.state = State::Authorization { user: None };
        cmd::refusal(refusal, output);
        self.failed_logins += u32::from(matches!(refusal, LoginRefusal::Invalid | LoginRefusal::Throttled));
        if self.failed_logins < POP3_FAILED_LOGINS { Step::Continue } else { Step::Close }
    }

    /// Appends the next part of a listing; whether there is more.
    pub fn list(&self, listing: &mut Listing, output: &mut BytesMut) -> bool {
        match &self.state {
            State::Transaction(maildrop) => cmd::next_part(maildrop, listing, output),
            _ => false,
        }
    }

    /// The reply before a message's octets.
    pub fn message_follows(&self, retrieval: &Retrieval, output: &mut BytesMut) {
        cmd::follows(retrieval, output);
    }

    /// The reply to RETR or TOP if the message cannot be had.
    pub fn retrieval_failed(&self, error: &Error, output: &mut BytesMut) {
        cmd::failed(error, output);
    }

    /// The reply to QUIT after [`Step::Update`]; then the connection is closed.
    pub fn updated(&self, result: &Result<(), Error>, output: &mut BytesMut) {
        cmd::updated(self, result, output);
    }

    /// Back from an AUTH under way, if there is one.
    fn give_up_exchange(&mut self) {
        if matches!(self.state, State::Authenticating(_)) {
            self.state = State::Authorization { user: None };
        }
    }

    /// Whether a password may be sent here.
    pub(in crate::pop3) fn may_log_in(&self) -> bool {
        self.facts.is_secure || self.facts.is_trusted
    }

    /// Whether STLS is possible now.
    pub(in crate::pop3) fn may_start_tls(&self) -> bool {
        self.facts.offers_tls && !self.facts.is_secure && matches!(self.state, State::Authorization { .. })
    }

    /// To a login in clear text: policy forbids it (RFC 3206 §4).
    pub(in crate::pop3) fn refuse_clear_text(&mut self, output: &mut BytesMut) -> Step {
        err(output, Some(ResponseCode::Auth), "start TLS before the login");
        Step::Continue
    }

    /// A line that is no valid command, or not now: counted, and the session ends after too many.
    pub(in crate::pop3) fn error(&mut self, text: impl std::fmt::Display, output: &mut BytesMut) -> Step {
        self.errors += 1;
        if self.errors >= POP3_ERRORS {
            err(output, None, "too many errors");
            return Step::Close;
        }
        err(output, None, text);
        Step::Continue
    }
}
