//! `RETR msg` and `TOP msg n` (RFC 1939 §5, §7). Reading changes nothing, not even \Seen: a maildrop that is
//! also read by IMAP keeps its flags.

use bytes::BytesMut;
use sterna_storage::Error;

use crate::pop3::codec::{ResponseCode, err, ok};
use crate::pop3::maildrop::{Maildrop, NoMessage};
use crate::pop3::session::{Retrieval, Step};

pub(super) fn retr(maildrop: &Maildrop, message: u32, body_lines: Option<u64>) -> Result<Step, NoMessage> {
    let entry = maildrop.message(message)?;
    Ok(Step::Retrieve(Retrieval { uid: entry.uid, size_octets: entry.size_octets, body_lines }))
}

/// The reply before the message's octets.
pub(in crate::pop3) fn follows(retrieval: &Retrieval, output: &mut BytesMut) {
    match retrieval.body_lines {
        None => ok(output, format_args!("{} octets", retrieval.size_octets)),
        Some(_) => ok(output, "top of message follows"),
    }
}

/// The reply instead of them.
pub(in crate::pop3) fn failed(error: &Error, output: &mut BytesMut) {
    match error {
        Error::NotFound(_) => err(output, None, "message was removed by another client"),
        error if error.is_temporary() => {
            err(output, Some(ResponseCode::SysTemp), "message is not available, try again later");
        }
        _ => err(output, Some(ResponseCode::SysPerm), "message cannot be read"),
    }
}
