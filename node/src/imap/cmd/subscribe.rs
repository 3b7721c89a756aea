//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7 and §6.3.8).

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Keeps the name among the subscribed ones, or drops it. Names stay subscribed when their mailbox
/// is deleted; a name that does not exist can be dropped, not added.
pub(super) async fn run(call: &mut Call<'_>, raw: &[u8], subscribed: bool) -> Outcome {
    let name = call.existing_name(raw)?;
    let account = call.account();
    if subscribed {
        call.context.store.mailbox(account, &name).await?;
    }
    call.context.store.set_subscribed(account, &name, subscribed).await?;
    Ok(Status::ok(if subscribed { "SUBSCRIBE completed" } else { "UNSUBSCRIBE completed" }))
}
