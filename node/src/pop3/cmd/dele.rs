//! `DELE msg` (RFC 1939 §5): marks; the message goes at QUIT.

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::maildrop::{Maildrop, NoMessage};
use crate::pop3::session::Step;

pub(super) fn dele(maildrop: &mut Maildrop, message: u32, output: &mut BytesMut) -> Result<Step, NoMessage> {
    maildrop.delete(message)?;
    ok(output, format_args!("message {message} deleted"));
    Ok(Step::Continue)
}
