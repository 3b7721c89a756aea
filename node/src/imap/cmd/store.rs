//! STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use std::sync::Arc;

use sterna_storage::mailstore::{FlagChange, Message, Snapshot};
use sterna_storage::types::{Flags, UidSet};

use super::call::Call;
use crate::imap::codec::command::{Store, StoreMode};
use crate::imap::codec::writer;
use crate::imap::session::selected::{Expunges, Selected, Telling};
use crate::imap::status::{Outcome, Status};

/// Changes flags; tells the new ones, and by the way what else has changed.
pub(super) async fn run(call: &mut Call<'_>, store: &Store) -> Outcome {
    call.writable()?;
    if store.unchanged_since.is_some() {
        call.enable_condstore();
    }
    call.advance(Expunges::Held);
    let uids = call.session.selected().named(&store.set, store.uid)?;
    let before = Arc::clone(&call.session.selected().known);
    let change = match store.mode {
        StoreMode::Replace => FlagChange::Replace(store.flags.clone()),
        StoreMode::Add => FlagChange::Add(store.flags.clone()),
        StoreMode::Remove => FlagChange::Remove(store.flags.clone()),
    };
    let (account, mailbox) = (call.account(), call.mailbox());
    let stored =
        call.context.store.store_flags(account, mailbox, &uids, &change, store.unchanged_since).await?;
    let newer = Arc::clone(&call.session.selected().view).refresh().await?;
    tell(call, store, &uids, &before, &newer).await?;
    if stored.failed.is_empty() {
        return Ok(Status::ok("STORE completed"));
    }
    let failed = named_back(call.session.selected(), &stored.failed, store.uid);
    Ok(Status::ok_with(format!("MODIFIED {failed}"), "Conditional STORE failed for some messages"))
}

/// The responses: one for each message named, unless `.SILENT`; one for each other that changed.
async fn tell(
    call: &mut Call<'_>,
    store: &Store,
    uids: &UidSet,
    before: &Snapshot,
    newer: &Arc<Snapshot>,
) -> Outcome<()> {
    let enabled = call.session.enabled;
    let selected = call.session.selected();
    // What the client expects after its own silent change need not be told, except for its MODSEQ.
    let as_expected = |message: Message<'_>| {
        let known = before.by_uid(message.uid);
        known.is_some_and(|known| expected(known.flags, store) == **message.flags)
    };
    let silent = |message: Message<'_>| {
        uids.contains(message.uid) && (!store.silent || (!enabled.condstore && as_expected(message)))
    };
    let mut modseqs_only = Vec::new();
    if store.silent && enabled.condstore {
        let merged = selected.known.without_expunges(newer);
        let own = merged.uids_in(uids).filter(|message| as_expected(*message));
        modseqs_only =
            own.filter(|message| has_changed(before, *message)).map(|message| message.uid).collect();
    }
    let own: UidSet = modseqs_only.iter().copied().collect();
    let quiet = |message: Message<'_>| silent(message) || own.contains(message.uid);
    let telling = Telling { expunges: Expunges::Held, enabled };
    selected.advance_unless(newer, telling, call.out.buffer, quiet);
    let known = Arc::clone(&selected.known);
    if !store.silent {
        for message in known.uids_in(uids) {
            call.session.selected().write_change(message, enabled, call.out.buffer);
            call.out.drain().await?;
        }
    }
    for message in known.uids_in(&own) {
        let (sequence, uid, modseq) = (message.sequence, message.uid, message.modseq.0);
        writer::text(call.out.buffer, format_args!("* {sequence} FETCH (UID {uid} MODSEQ ({modseq}))\r\n"));
        call.out.drain().await?;
    }
    Ok(())
}

fn has_changed(before: &Snapshot, message: Message<'_>) -> bool {
    before.by_uid(message.uid).is_none_or(|known| known.modseq != message.modseq)
}

/// The flags that a message with `flags` has after the client's change.
fn expected(flags: &Flags, store: &Store) -> Flags {
    let mut flags = flags.clone();
    match store.mode {
        StoreMode::Replace => flags = store.flags.clone(),
        StoreMode::Add => {
            flags.system = flags.system.union(store.flags.system);
            flags.keywords.extend(store.flags.keywords.iter().cloned());
        }
        StoreMode::Remove => {
            flags.system = flags.system.minus(store.flags.system);
            flags.keywords.retain(|keyword| !store.flags.keywords.contains(keyword));
        }
    }
    flags
}

/// The messages in the numbers that the client used.
fn named_back(selected: &Selected, uids: &UidSet, uid: bool) -> UidSet {
    if uid {
        return uids.clone();
    }
    let sequences = uids.iter().filter_map(|uid| selected.known.sequence_of(uid));
    sequences.filter_map(sterna_storage::types::Uid::new).collect()
}
