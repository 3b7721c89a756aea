//! QUIT (RFC 1939 §4, §6): from TRANSACTION by way of UPDATE, the only place where messages are removed.

use bytes::BytesMut;
use sterna_storage::Error;

use crate::pop3::codec::{ResponseCode, err, ok};
use crate::pop3::session::{Session, State, Step};

pub(super) fn quit(session: &mut Session, output: &mut BytesMut) -> Step {
    let State::Transaction(maildrop) = &session.state else {
        ok(output, format_args!("{} POP3 server signing off", session.facts.host_name));
        return Step::Close;
    };
    let (deleted, remaining) = (maildrop.deleted(), maildrop.remaining());
    session.state = State::Update { remaining };
    if deleted.is_empty() {
        updated(session, &Ok(()), output);
        return Step::Close;
    }
    Step::Update(deleted)
}

/// The reply, once the messages are removed or could not be.
pub(in crate::pop3) fn updated(session: &Session, result: &Result<(), Error>, output: &mut BytesMut) {
    let State::Update { remaining } = session.state else { return };
    if let Err(error) = result {
        let code = if error.is_temporary() { ResponseCode::SysTemp } else { ResponseCode::SysPerm };
        return err(output, Some(code), "some deleted messages not removed");
    }
    let host_name = &session.facts.host_name;
    match remaining {
        0 => ok(output, format_args!("{host_name} POP3 server signing off (maildrop empty)")),
        1 => ok(output, format_args!("{host_name} POP3 server signing off (1 message left)")),
        _ => ok(output, format_args!("{host_name} POP3 server signing off ({remaining} messages left)")),
    }
}
