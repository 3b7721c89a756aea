//! COPY, MOVE and their UID forms (RFC 9051 §6.4.7 and §6.4.8, RFC 6851).

use std::fmt::Write as _;

use sterna_storage::Error;
use sterna_storage::types::Uid;

use super::call::Call;
use crate::imap::codec::command::RawName;
use crate::imap::codec::sequence_set::SequenceSet;
use crate::imap::codec::writer;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{CommandError, Outcome, Status};

/// What the commands are given.
pub(super) struct Arguments {
    pub(super) set: SequenceSet,
    pub(super) uid: bool,
    pub(super) mailbox: RawName,
    pub(super) remove: bool,
}

/// Copies or moves. All or nothing; the target must exist.
pub(super) async fn run(call: &mut Call<'_>, arguments: Arguments) -> Outcome {
    if arguments.remove {
        call.writable()?;
    }
    let done = if arguments.remove { "MOVE completed" } else { "COPY completed" };
    let uids = call.session.selected().named(&arguments.set, arguments.uid)?;
    let name = call.name(&arguments.mailbox)?;
    let (account, from) = (call.account(), call.mailbox());
    let limits = call.quota().await?;
    let store = &call.context.store;
    let to = store.mailbox(account, &name).await.map_err(try_create)?.id;
    let copied = match arguments.remove {
        true => store.move_messages(account, (from, to), &uids).await?,
        false => store.copy(account, (from, to), &uids, limits).await?,
    };
    if copied.target.is_empty() && !arguments.uid && !uids.is_empty() {
        // RFC 2180 §4.4.1, RFC 5530: numbers of messages that the client was not told are gone.
        return Ok(Status::no("EXPUNGEISSUED", "The messages are gone"));
    }
    if copied.target.is_empty() {
        return Ok(Status::ok("No matching messages, nothing done"));
    }
    let code = format!(
        "COPYUID {} {} {}",
        copied.uid_validity,
        sequences(&copied.source),
        sequences(&copied.target)
    );
    if !arguments.remove {
        call.refresh(Expunges::Told).await?;
        return Ok(Status::ok_with(code, done));
    }
    // RFC 6851 §4.3: COPYUID comes in an untagged OK, before the EXPUNGE responses.
    writer::text(call.out.buffer, format_args!("* OK [{code}] Moved\r\n"));
    call.refresh(Expunges::Told).await?;
    Ok(Status::ok(done))
}

/// A target that does not exist could be created (RFC 9051 §6.4.7).
pub(super) fn try_create(error: Error) -> CommandError {
    match error {
        Error::NotFound(_) => Status::no("TRYCREATE", "No such mailbox; create it first").into(),
        other => other.into(),
    }
}

/// A uid-set whose order is the given one: the two sets of COPYUID correspond place by place.
fn sequences(uids: &[Uid]) -> String {
    let mut text = String::new();
    let mut rest = uids;
    while let Some(first) = rest.first() {
        let expected = u64::from(first.get())..;
        let run = rest.iter().zip(expected).take_while(|(uid, next)| u64::from(uid.get()) == *next).count();
        let comma = if text.is_empty() { "" } else { "," };
        let written = match run {
            1 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}:{}", rest[run - 1]),
        };
        written.expect("writing to memory cannot fail");
        rest = &rest[run..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_keep_their_order() {
        let uids =
            |numbers: &[u32]| numbers.iter().filter_map(|number| Uid::new(*number)).collect::<Vec<_>>();
        assert_eq!(sequences(&uids(&[304, 319, 320])), "304,319:320");
        assert_eq!(sequences(&uids(&[7, 5, 6])), "7,5:6");
        assert_eq!(sequences(&uids(&[u32::MAX])), u32::MAX.to_string());
    }
}
