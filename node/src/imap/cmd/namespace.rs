//! NAMESPACE (RFC 9051 §6.3.10): one personal namespace without a prefix; nothing of others yet.

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Tells it.
pub(super) fn run(call: &mut Call<'_>) -> Outcome {
    call.out.buffer.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    Ok(Status::ok("NAMESPACE completed"))
}
