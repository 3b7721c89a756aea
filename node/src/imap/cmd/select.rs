//! SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.1.2 and §3.1.8).

use std::sync::Arc;

use sterna_storage::mailstore::MailboxName;

use super::call::Call;
use crate::imap::codec::writer;
use crate::imap::session::selected::{Selected, write_all_flags, write_flags_response};
use crate::imap::status::{Outcome, Status};

/// Opens a mailbox. Whatever the outcome, the one that was open is closed.
pub(super) async fn run(call: &mut Call<'_>, raw: &[u8], read_only: bool, condstore: bool) -> Outcome {
    if call.session.selected.take().is_some() {
        call.out.buffer.extend_from_slice(b"* OK [CLOSED] Previous mailbox closed\r\n");
    }
    if condstore {
        call.enable_condstore();
    }
    let name = call.existing_name(raw)?;
    let account = call.account();
    let mailbox = call.context.store.mailbox(account, &name).await?.id;
    let view = call.context.store.open(account, mailbox).await?;
    let known = view.refresh().await?;
    let marks = &call.context.recent;
    let recent_from = match read_only {
        true => marks.peek((account, mailbox), known.uid_next),
        false => marks.claim((account, mailbox), known.uid_next),
    };
    let saved = Default::default();
    let selected = Selected { mailbox, name, view, known: Arc::clone(&known), read_only, recent_from, saved };
    announce(call, &selected);
    call.session.selected = Some(Box::new(selected));
    Ok(match read_only {
        true => Status::ok_with("READ-ONLY", "EXAMINE completed"),
        false => Status::ok_with("READ-WRITE", "SELECT completed"),
    })
}

fn announce(call: &mut Call<'_>, selected: &Selected) {
    let (enabled, known) = (call.session.enabled, &selected.known);
    let out = &mut *call.out.buffer;
    write_flags_response(out, known);
    out.extend_from_slice(b"* OK [PERMANENTFLAGS (");
    if !selected.read_only {
        write_all_flags(out, known);
        out.extend_from_slice(b" \\*");
    }
    out.extend_from_slice(b")] Flags that are kept\r\n");
    writer::text(out, format_args!("* {} EXISTS\r\n", known.len()));
    selected.write_recent(enabled, out);
    if let Some(first) = known.first_unseen().filter(|_| !enabled.rev2) {
        writer::text(out, format_args!("* OK [UNSEEN {first}] First unseen\r\n"));
    }
    let (validity, next) = (known.uid_validity, known.uid_next);
    let highest = known.highest_modseq.0.max(1);
    writer::text(out, format_args!("* OK [UIDVALIDITY {validity}] UIDs valid\r\n"));
    writer::text(out, format_args!("* OK [UIDNEXT {next}] Predicted next UID\r\n"));
    writer::text(out, format_args!("* OK [HIGHESTMODSEQ {highest}] Highest\r\n"));
    if enabled.rev2 {
        write_list(out, &selected.name, enabled);
    }
}

/// RFC 9051 §6.3.2: the LIST response gives the name as the server knows it.
fn write_list(out: &mut Vec<u8>, name: &MailboxName, enabled: crate::imap::session::Enabled) {
    out.extend_from_slice(b"* LIST () \"/\" ");
    writer::mailbox(out, name.as_str(), enabled.names());
    out.extend_from_slice(b"\r\n");
}
