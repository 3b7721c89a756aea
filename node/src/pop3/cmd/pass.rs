//! `PASS string` (RFC 1939 §7), and what becomes of any login.

use bytes::BytesMut;
use sterna_gateway::login::sasl::Credentials;
use sterna_storage::types::Secret;

use crate::pop3::codec::{ResponseCode, err, ok};
use crate::pop3::maildrop::Maildrop;
use crate::pop3::session::{LoginRefusal, Session, State, Step};

pub(super) fn pass(session: &mut Session, password: &str, output: &mut BytesMut) -> Step {
    let State::Authorization { user } = &mut session.state else {
        return session.error("command not possible now", output);
    };
    // PASS counts only directly after a successful USER.
    match user.take() {
        None => session.error("USER comes first", output),
        Some(login) => {
            session.state = State::LoggingIn;
            let password = Secret::new(password.to_owned());
            Step::LogIn(Credentials { authorization_id: None, login, password })
        }
    }
}

/// The reply to the login that opened the maildrop.
pub(in crate::pop3) fn opened(maildrop: &Maildrop, output: &mut BytesMut) {
    ok(output, format_args!("maildrop has {}", maildrop.summary()));
}

/// The reply to the login that did not.
pub(in crate::pop3) fn refusal(refusal: LoginRefusal, output: &mut BytesMut) {
    let (code, text) = match refusal {
        LoginRefusal::Invalid => (ResponseCode::Auth, "invalid login or password"),
        LoginRefusal::Throttled => (ResponseCode::Auth, "too many failed logins, try again later"),
        LoginRefusal::InUse => (ResponseCode::InUse, "maildrop is in use by another session"),
        LoginRefusal::Unavailable => (ResponseCode::SysTemp, "maildrop is not available, try again later"),
    };
    err(output, Some(code), text);
}
