//! CAPA (RFC 2449 §5): the same list in both states, but for STLS, which is named only where it is
//! possible (RFC 2595 §4). The ways to log in are named only where the password would be protected.

use bytes::BytesMut;
use sterna_gateway::login::sasl::Mechanism;

use crate::pop3::codec::{ok, terminate};
use crate::pop3::session::{Session, Step};

pub(super) fn capa(session: &Session, output: &mut BytesMut) -> Step {
    ok(output, "capability list follows");
    output
        .extend_from_slice(b"TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
    if session.may_log_in() {
        output.extend_from_slice(b"USER\r\nSASL");
        for mechanism in Mechanism::ALL {
            output.extend_from_slice(b" ");
            output.extend_from_slice(mechanism.as_str().as_bytes());
        }
        output.extend_from_slice(b"\r\n");
    }
    if session.may_start_tls() {
        output.extend_from_slice(b"STLS\r\n");
    }
    output.extend_from_slice(b"IMPLEMENTATION Sterna\r\n");
    terminate(output);
    Step::Continue
}
