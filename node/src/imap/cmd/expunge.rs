//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3 and §6.4.9).

use super::call::Call;
use crate::imap::codec::sequence_set::SequenceSet;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};

/// Removes what is marked `\Deleted`, all of it or of the UIDs named.
pub(super) async fn run(call: &mut Call<'_>, set: Option<&SequenceSet>) -> Outcome {
    call.writable()?;
    let (account, mailbox) = (call.account(), call.mailbox());
    let uids = match set {
        Some(set) => Some(call.session.selected().named(set, true)?),
        None => None,
    };
    call.context.store.expunge(account, mailbox, uids.as_ref()).await?;
    call.refresh(Expunges::Told).await?;
    let highest = call.session.selected().known.highest_modseq.0.max(1);
    Ok(match call.session.enabled.condstore {
        // RFC 7162 §3.2.7 asks it of QRESYNC servers; to clients of CONDSTORE it is as useful.
        true => Status::ok_with(format!("HIGHESTMODSEQ {highest}"), "EXPUNGE completed"),
        false => Status::ok("EXPUNGE completed"),
    })
}
