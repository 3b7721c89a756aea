//! CREATE (RFC 9051 §6.3.4), with a special use (RFC 6154 §3).

use sterna_storage::mailstore::SpecialUse;

use super::call::Call;
use crate::imap::status::{Outcome, Status};

/// Creates the mailbox and what is missing above it.
pub(super) async fn run(call: &mut Call<'_>, raw: &[u8], uses: &[String]) -> Outcome {
    let name = call.name(raw)?;
    let special_use = match uses {
        [] => None,
        [one] => Some(special_use(one).ok_or_else(|| refused("Unknown special use"))?),
        _ => return Err(refused("A mailbox has one special use").into()),
    };
    call.context.store.create_mailbox(call.account(), &name, special_use).await?;
    Ok(Status::ok("CREATE completed"))
}

fn refused(why: &'static str) -> Status {
    Status::no("USEATTR", why)
}

/// `\All` and `\Flagged` would have to hold messages of other mailboxes: they cannot be created.
fn special_use(attribute: &str) -> Option<SpecialUse> {
    Some(match attribute {
        "ARCHIVE" => SpecialUse::Archive,
        "DRAFTS" => SpecialUse::Drafts,
        "JUNK" => SpecialUse::Junk,
        "SENT" => SpecialUse::Sent,
        "TRASH" => SpecialUse::Trash,
        _ => return None,
    })
}
