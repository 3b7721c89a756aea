//! DELETE (RFC 9051 §6.3.5).

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Deletes the mailbox with its messages. If it is open here, it is closed first.
pub(super) async fn run(call: &mut Call<'_>, raw: &[u8]) -> Outcome {
    let name = call.existing_name(raw)?;
    if name.is_inbox() {
        return Err(Status::no("CANNOT", "INBOX cannot be deleted").into());
    }
    call.context.store.delete_mailbox(call.account(), &name).await?;
    if call.session.selected.as_ref().is_some_and(|selected| selected.name == name) {
        call.session.selected = None;
        call.out.buffer.extend_from_slice(b"* OK [CLOSED] The open mailbox was deleted\r\n");
    }
    Ok(Status::ok("DELETE completed"))
}
