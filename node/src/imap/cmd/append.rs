//! APPEND (RFC 9051 §6.3.12, RFC 7889, RFC 4469 §3): the mailbox before the literal, the message after it.

use bytes::Bytes;
use sterna_gateway::message::Summary;
use sterna_storage::mailstore::{Body, NewMessage};
use sterna_storage::types::{MailboxId, Timestamp};

use super::call::Call;
use super::copy::try_create;
use crate::imap::codec::command::AppendHead;
use crate::imap::codec::frame::LiteralHead;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};
use crate::limits;

/// Decides, before a message is sent, whether it would be taken; gives the mailbox.
pub(crate) async fn admit(
    call: &mut Call<'_>,
    head: &AppendHead,
    literal: LiteralHead,
) -> Outcome<MailboxId> {
    let name = call.name(&head.mailbox)?;
    let account = call.account();
    let mailbox = call.context.store.mailbox(account, &name).await.map_err(try_create)?.id;
    if literal.octets > call.context.config.append_limit_octets {
        return Err(Status::no("TOOBIG", "The message is larger than the server takes").into());
    }
    if literal.octets == 0 {
        return Err(Status::no("CANNOT", "A message cannot be empty").into());
    }
    let limits = call.quota().await?;
    call.context.store.check_quota(account, literal.octets, limits).await?;
    Ok(mailbox)
}

/// Files the message; the client's view gets it before the tagged response.
pub(crate) async fn run(
    call: &mut Call<'_>,
    mailbox: MailboxId,
    head: AppendHead,
    message: Bytes,
) -> Outcome {
    let account = call.account();
    let limits = call.quota().await?;
    let domain = call.session.account().domain;
    let summary = summary_of(message.clone()).await?;
    let body = Body::Staged(call.context.bodies.write(domain, &message).await?);
    drop(message);
    let new = NewMessage {
        body,
        prefix: Bytes::new(),
        summary,
        flags: head.flags,
        internal_date: head.internal_date.unwrap_or_else(Timestamp::now),
    };
    // From here on the message is the server's: what `append` returns is durable.
    let appended =
        call.context.store.append(account, mailbox, vec![new], limits).await.map_err(try_create)?;
    if call.session.selected.as_ref().is_some_and(|selected| selected.mailbox == mailbox) {
        call.refresh(Expunges::Told).await?;
    } else {
        call.advance(Expunges::Told);
    }
    let uids = appended.uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    Ok(Status::ok_with(format!("APPENDUID {} {uids}", appended.uid_validity), "APPEND completed"))
}

/// Parses the message; a large one where it holds up nobody else.
async fn summary_of(message: Bytes) -> Outcome<Bytes> {
    let is_small = message.len() <= limits::IMAP_PARSE_OCTETS;
    let parse = move || Summary::of(&message).encode().unwrap_or_default();
    match is_small {
        true => Ok(parse()),
        false => Ok(tokio::task::spawn_blocking(parse).await.map_err(std::io::Error::other)?),
    }
}
