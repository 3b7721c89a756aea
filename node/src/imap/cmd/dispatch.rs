//! From a command to the file that carries it out.

use super::call::Call;
use super::{
    close, copy, create, delete, enable, expunge, fetch, id, list, lsub, namespace, noop, rename, search,
    select, status, store, subscribe,
};
use crate::imap::codec::command::Command;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};

/// Carries the command out. What concerns the connection itself (logins, STARTTLS, IDLE, APPEND's
/// literal, LOGOUT) is the driver's.
pub(crate) async fn run(call: &mut Call<'_>, command: Command) -> Outcome {
    let expunges = told_after(&command);
    let status = route(call, command).await?;
    if let Some(expunges) = expunges {
        call.advance(expunges);
    }
    Ok(status)
}

/// Whether the client is told at the end what has changed meanwhile, and whether of expunges too.
/// UID commands may hear of them (RFC 9051 §7.5.1), but clients that pipeline rely on not.
fn told_after(command: &Command) -> Option<Expunges> {
    match command {
        // Their own files tell what is to be told.
        Command::Noop | Command::Check | Command::Select { .. } | Command::Close | Command::Unselect => None,
        Command::Fetch(_) | Command::Store(_) | Command::Search(_) => None,
        _ => Some(Expunges::Told),
    }
}

async fn route(call: &mut Call<'_>, command: Command) -> Outcome {
    match command {
        Command::Noop => noop::run(call, "NOOP completed").await,
        Command::Check => noop::run(call, "CHECK completed").await,
        Command::Id(fields) => id::run(call, &fields),
        Command::Enable(names) => enable::run(call, &names),
        Command::Select { mailbox, read_only, condstore } => {
            Box::pin(select::run(call, &mailbox, read_only, condstore)).await
        }
        Command::Create { mailbox, special_use } => create::run(call, &mailbox, &special_use).await,
        Command::Delete(mailbox) => delete::run(call, &mailbox).await,
        Command::Rename { from, to } => rename::run(call, &from, &to).await,
        Command::Subscribe(mailbox) => subscribe::run(call, &mailbox, true).await,
        Command::Unsubscribe(mailbox) => subscribe::run(call, &mailbox, false).await,
        Command::List(arguments) => Box::pin(list::run(call, arguments)).await,
        Command::Lsub { reference, pattern } => lsub::run(call, &reference, &pattern).await,
        Command::Namespace => namespace::run(call),
        Command::Status { mailbox, items } => status::run(call, &mailbox, &items).await,
        Command::Close => close::run(call, true).await,
        Command::Unselect => close::run(call, false).await,
        Command::Expunge(set) => expunge::run(call, set.as_ref()).await,
        Command::Search(arguments) => Box::pin(search::run(call, &arguments)).await,
        Command::Fetch(arguments) => Box::pin(fetch::run(call, &arguments)).await,
        Command::Store(arguments) => Box::pin(store::run(call, &arguments)).await,
        Command::Copy { set, uid, mailbox, remove } => {
            Box::pin(copy::run(call, copy::Arguments { set, uid, mailbox, remove })).await
        }
        Command::Capability
        | Command::Logout
        | Command::StartTls
        | Command::Authenticate { .. }
        | Command::Login { .. }
        | Command::Append(_)
        | Command::Idle => Err(Status::bad("Not possible here").into()),
    }
}
