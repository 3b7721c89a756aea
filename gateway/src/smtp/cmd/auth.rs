//! AUTH (RFC 4954 §4): only for submission, only under TLS or from a network that the operator trusts.
//!
//! ```text
//! auth = "AUTH" SP sasl-mech [SP ( base64 / "=" )] *( CRLF [base64] ) [CRLF "*"] CRLF
//! ```

use super::super::codec::Reply;
use super::super::session::{Channel, Role, Session, State, Step, replies};
use crate::limits::CONNECTION_LOGIN_FAILURES;
use crate::login::sasl::{self, Exchange, Mechanism, SaslError};

impl<A> Session<A> {
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Option<Step<A>> {
        if let Some(refusal) = self.auth_refusal() {
            return self.fail(&refusal);
        }
        let Some(mechanism) = Mechanism::named(mechanism.as_bytes()) else {
            return self.fail(&replies::UNKNOWN_MECHANISM);
        };
        let initial = match initial.map(|initial| sasl::decode_line(initial.as_bytes())).transpose() {
            Ok(initial) => initial,
            Err(error) => return self.fail(&failure(error)),
        };
        let (exchange, step) = Exchange::start(mechanism, initial.as_deref());
        self.state = State::Login(exchange);
        self.login_step(step)
    }

    fn auth_refusal(&self) -> Option<Reply> {
        match () {
            () if self.config.role != Role::Submission => Some(replies::NOT_IMPLEMENTED),
            () if self.channel == Channel::Plain => Some(replies::ENCRYPTION_FIRST),
            () if !self.hello.as_ref().is_some_and(|hello| hello.extended) => Some(replies::HELLO_FIRST),
            () if self.logged_in => Some(replies::ALREADY_LOGGED_IN),
            () if self.transaction.is_some() => Some(replies::NOT_AMID_MAIL),
            () => None,
        }
    }

    /// A line of the exchange.
    pub(in crate::smtp) fn login_response(&mut self, line: &[u8]) -> Option<Step<A>> {
        let State::Login(exchange) = &mut self.state else { return None };
        let step = match sasl::decode_line(line) {
            Ok(response) => exchange.respond(&response),
            Err(error) => sasl::Step::Failed(error),
        };
        self.login_step(step)
    }

    fn login_step(&mut self, step: sasl::Step) -> Option<Step<A>> {
        match step {
            sasl::Step::Challenge(challenge) => self.say(&Reply::bare(334, sasl::encode_line(challenge))),
            sasl::Step::Credentials(credentials) => {
                self.state = State::Asked;
                Some(Step::Authenticate(credentials))
            }
            sasl::Step::Failed(error) => {
                self.state = State::Commands;
                self.fail(&failure(error))
            }
        }
    }

    /// The credentials were verified, or the reply says why not.
    pub fn authenticated(&mut self, verdict: Result<(), Reply>) {
        self.state = State::Commands;
        match verdict {
            Ok(()) => {
                self.logged_in = true;
                self.reply(&replies::LOGGED_IN);
            }
            Err(reply) => {
                self.reply(&reply);
                self.counts.login_failures += 1;
                if self.counts.login_failures >= CONNECTION_LOGIN_FAILURES {
                    self.close_with(&replies::TOO_MANY_ERRORS);
                }
            }
        }
    }
}

fn failure(error: SaslError) -> Reply {
    match error {
        SaslError::Cancelled => replies::CANCELLED,
        SaslError::Malformed => replies::BAD_RESPONSE,
        SaslError::TooLong => replies::RESPONSE_TOO_LONG,
    }
}
