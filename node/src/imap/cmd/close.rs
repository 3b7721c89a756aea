//! CLOSE and UNSELECT (RFC 9051 §6.4.1 and §6.4.2).

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Leaves the mailbox; CLOSE first removes what is marked `\Deleted`, without telling.
pub(super) async fn run(call: &mut Call<'_>, expunge: bool) -> Outcome {
    let account = call.account();
    if expunge && !call.session.selected().read_only && call.session.selected().known.deleted() > 0 {
        let mailbox = call.mailbox();
        call.context.store.expunge(account, mailbox, None).await?;
    }
    call.session.selected = None;
    Ok(Status::ok(if expunge { "CLOSE completed" } else { "UNSELECT completed" }))
}
