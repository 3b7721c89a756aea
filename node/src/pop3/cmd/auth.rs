//! `AUTH mechanism [initial-response]` (RFC 5034 §4), and its lines until the exchange is over.

use std::fmt::Write as _;

use bytes::BytesMut;
use sterna_gateway::login::sasl::{self, Exchange, Mechanism, SaslError};

use crate::pop3::codec::{err, ok, terminate};
use crate::pop3::session::{Session, State, Step};

/// AUTH without arguments, which Outlook asks before it believes in any mechanism.
pub(super) fn mechanisms(session: &Session, output: &mut BytesMut) -> Step {
    ok(output, "mechanisms follow");
    if session.may_log_in() {
        for mechanism in Mechanism::ALL {
            output.extend_from_slice(mechanism.as_str().as_bytes());
            output.extend_from_slice(b"\r\n");
        }
    }
    terminate(output);
    Step::Continue
}

pub(super) fn auth(
    session: &mut Session,
    mechanism: &str,
    initial_response: Option<&str>,
    output: &mut BytesMut,
) -> Step {
    let Some(mechanism) = Mechanism::named(mechanism.as_bytes()) else {
        return session.error("unknown mechanism", output);
    };
    if !session.may_log_in() {
        return session.refuse_clear_text(output);
    }
    let initial = initial_response.map(|response| sasl::decode_line(response.as_bytes())).transpose();
    match initial {
        Ok(initial) => {
            let (exchange, step) = Exchange::start(mechanism, initial.as_deref());
            go_on(session, exchange, step, output)
        }
        Err(error) => fail(session, error, output),
    }
}

/// A line of the client in answer to a challenge.
pub(in crate::pop3) fn respond(session: &mut Session, line: &[u8], output: &mut BytesMut) -> Step {
    let state = std::mem::replace(&mut session.state, State::Authorization { user: None });
    let State::Authenticating(mut exchange) = state else {
        session.state = state;
        return session.error("command not possible now", output);
    };
    match sasl::decode_line(line) {
        Ok(response) => {
            let step = exchange.respond(&response);
            go_on(session, exchange, step, output)
        }
        Err(error) => fail(session, error, output),
    }
}

fn go_on(session: &mut Session, exchange: Exchange, step: sasl::Step, output: &mut BytesMut) -> Step {
    match step {
        sasl::Step::Challenge(challenge) => {
            write!(output, "+ {}\r\n", sasl::encode_line(challenge)).expect("a buffer takes any text");
            session.state = State::Authenticating(exchange);
            Step::Continue
        }
        sasl::Step::Credentials(credentials) => {
            session.state = State::LoggingIn;
            Step::LogIn(credentials)
        }
        sasl::Step::Failed(error) => fail(session, error, output),
    }
}

fn fail(session: &mut Session, error: SaslError, output: &mut BytesMut) -> Step {
    session.state = State::Authorization { user: None };
    match error {
        SaslError::Cancelled => {
            err(output, None, error);
            Step::Continue
        }
        SaslError::Malformed | SaslError::TooLong => session.error(error, output),
    }
}
