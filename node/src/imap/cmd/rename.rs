//! RENAME (RFC 9051 §6.3.6).

use super::call::Call;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};

/// Renames the mailbox and all below it; INBOX gives its messages away and stays.
pub(super) async fn run(call: &mut Call<'_>, from: &[u8], to: &[u8]) -> Outcome {
    let (from, to) = (call.existing_name(from)?, call.name(to)?);
    if to.is_inbox() {
        return Err(Status::no("ALREADYEXISTS", "INBOX exists already").into());
    }
    call.context.store.rename_mailbox(call.account(), &from, &to).await?;
    if let Some(selected) = &mut call.session.selected
        && !from.is_inbox()
        && (selected.name == from || selected.name.is_inferior_to(&from))
        && let Ok(renamed) = selected.name.renamed(&from, &to)
    {
        selected.name = renamed;
    }
    if from.is_inbox() {
        call.refresh(Expunges::Told).await?;
    }
    Ok(Status::ok("RENAME completed"))
}
