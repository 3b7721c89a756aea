//! NOOP (RFC 1939 §5).

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::session::Step;

pub(super) fn noop(output: &mut BytesMut) -> Step {
    ok(output, "nothing done");
    Step::Continue
}
