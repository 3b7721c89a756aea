//! STAT (RFC 1939 §5): the drop listing, `+OK nn mm` and nothing more.

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::maildrop::Maildrop;
use crate::pop3::session::Step;

pub(super) fn stat(maildrop: &Maildrop, output: &mut BytesMut) -> Step {
    ok(output, format_args!("{} {}", maildrop.remaining(), maildrop.remaining_octets()));
    Step::Continue
}
