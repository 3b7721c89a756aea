//! RSET (RFC 1939 §5): unmarks what DELE marked.

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::maildrop::Maildrop;
use crate::pop3::session::Step;

pub(super) fn rset(maildrop: &mut Maildrop, output: &mut BytesMut) -> Step {
    maildrop.reset();
    ok(output, format_args!("maildrop has {}", maildrop.summary()));
    Step::Continue
}
