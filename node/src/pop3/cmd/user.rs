//! `USER name` (RFC 1939 §7). The answer tells nothing of whether the name exists.

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::session::{Session, State, Step};

pub(super) fn user(session: &mut Session, name: &str, output: &mut BytesMut) -> Step {
    if !session.may_log_in() {
        return session.refuse_clear_text(output);
    }
    session.state = State::Authorization { user: Some(name.to_owned()) };
    ok(output, "send the password");
    Step::Continue
}
