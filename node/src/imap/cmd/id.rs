//! ID (RFC 2971): who the client is goes to the log; who the server is, without its version.

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Answers with the server's name.
pub(super) fn run(call: &mut Call<'_>, fields: &[(String, Option<String>)]) -> Outcome {
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_deref()).unwrap_or("").to_owned()
    };
    tracing::debug!(name = field("name"), version = field("version"), "client's ID");
    call.out.buffer.extend_from_slice(b"* ID (\"name\" \"Sterna\")\r\n");
    Ok(Status::ok("ID completed"))
}
