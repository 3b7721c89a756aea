//! STATUS (RFC 9051 §6.3.11, RFC 8438, RFC 7889 §4, RFC 7162 §3.1.7).

use sterna_storage::mailstore::{Counters, MailboxName};
use sterna_storage::types::MailboxId;

use super::call::Call;
use crate::imap::codec::command::StatusItem;
use crate::imap::codec::writer;
use crate::imap::status::{Outcome, Status};

/// Answers from the mailbox's counters: no message is looked at.
pub(super) async fn run(call: &mut Call<'_>, raw: &[u8], items: &[StatusItem]) -> Outcome {
    let name = call.existing_name(raw)?;
    let mailbox = call.context.store.mailbox(call.account(), &name).await?;
    respond(call, &name, mailbox.id, items).await?;
    Ok(Status::ok("STATUS completed"))
}

/// Appends the `STATUS` response of one mailbox.
pub(super) async fn respond(
    call: &mut Call<'_>,
    name: &MailboxName,
    mailbox: MailboxId,
    items: &[StatusItem],
) -> Outcome<()> {
    if items.contains(&StatusItem::HighestModSeq) {
        call.enable_condstore();
    }
    let account = call.account();
    let counters = call.context.store.status(account, mailbox).await?;
    let first_recent = call.context.recent.peek((account, mailbox), counters.uid_next);
    let recent = (counters.uid_next - first_recent).min(counters.messages);
    let append_limit = call.context.config.append_limit_octets;
    let names = call.session.enabled.names();
    let out = &mut *call.out.buffer;
    out.extend_from_slice(b"* STATUS ");
    writer::mailbox(out, name.as_str(), names);
    for (position, item) in items.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b" (" } else { b" " });
        let (label, value) = value_of(*item, &counters, recent, append_limit);
        writer::text(out, format_args!("{label} {value}"));
    }
    out.extend_from_slice(b")\r\n");
    Ok(call.out.drain().await?)
}

fn value_of(item: StatusItem, counters: &Counters, recent: u32, append_limit: u64) -> (&'static str, u64) {
    match item {
        StatusItem::Messages => ("MESSAGES", counters.messages.into()),
        StatusItem::Recent => ("RECENT", recent.into()),
        StatusItem::UidNext => ("UIDNEXT", counters.uid_next.into()),
        StatusItem::UidValidity => ("UIDVALIDITY", counters.uid_validity.into()),
        StatusItem::Unseen => ("UNSEEN", counters.unseen.into()),
        StatusItem::Deleted => ("DELETED", counters.deleted.into()),
        StatusItem::Size => ("SIZE", counters.size_octets),
        StatusItem::HighestModSeq => ("HIGHESTMODSEQ", counters.highest_modseq.0.max(1)),
        StatusItem::AppendLimit => ("APPENDLIMIT", append_limit),
    }
}
