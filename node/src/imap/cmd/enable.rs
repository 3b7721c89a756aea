//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Switches on what is known and ignores the rest; tells what is newly on.
pub(super) fn run(call: &mut Call<'_>, names: &[String]) -> Outcome {
    let mut enabled = Vec::new();
    for name in names {
        match name.as_str() {
            "IMAP4REV2" if !call.session.enabled.rev2 => {
                call.session.enabled.rev2 = true;
                enabled.push("IMAP4rev2");
            }
            "CONDSTORE" if !call.session.enabled.condstore => {
                call.enable_condstore();
                enabled.push("CONDSTORE");
            }
            _ => {}
        }
    }
    call.out.buffer.extend_from_slice(b"* ENABLED");
    for name in enabled {
        call.out.buffer.push(b' ');
        call.out.buffer.extend_from_slice(name.as_bytes());
    }
    call.out.buffer.extend_from_slice(b"\r\n");
    Ok(Status::ok("ENABLE completed"))
}
