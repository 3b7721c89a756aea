//! FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4).

use std::sync::Arc;

use futures::StreamExt as _;
use sterna_gateway::message::Summary;
use sterna_gateway::net::Reservation;
use sterna_storage::mailstore::{FlagChange, Message, MessageReader, MessageRecord, Snapshot};
use sterna_storage::types::{Flags, SystemFlag, UidSet};

use super::binary::Encoded;
use super::call::Call;
use super::fetch_facts::{Facts, Run, Source, Summarized, Wanted, runs};
use super::section;
use crate::imap::codec::command::{Fetch, FetchItem, SectionName};
use crate::imap::codec::{date, message_data, writer};
use crate::imap::session::selected::{Expunges, Telling, write_flags};
use crate::imap::status::{CommandError, Outcome, Status};

/// What a FETCH needs, worked out once.
struct Plan {
    items: Vec<FetchItem>,
    wanted: Wanted,
    /// Whether octets of the message are read.
    octets: bool,
    /// Whether `\Seen` is set.
    sets_seen: bool,
}

impl Plan {
    /// The client's items, with those that go without saying: UID in answers to UID FETCH, MODSEQ with
    /// CHANGEDSINCE and, for who wants to keep track, beside FLAGS.
    fn new(fetch: &Fetch, condstore: bool, read_only: bool) -> Self {
        let mut items: Vec<FetchItem> = Vec::with_capacity(fetch.items.len() + 2);
        if fetch.uid {
            items.push(FetchItem::Uid);
        }
        for item in &fetch.items {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        let tracked = condstore && items.contains(&FetchItem::Flags);
        if (tracked || fetch.changed_since.is_some()) && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let any = |test: fn(&FetchItem) -> bool| items.iter().any(test);
        let octets = any(reads_octets);
        let summaries = any(|item| match item {
            FetchItem::Envelope | FetchItem::Structure { .. } => true,
            FetchItem::Section { section, .. } => section::needs_structure(section),
            FetchItem::Binary { .. } | FetchItem::BinarySize { .. } => true,
            _ => false,
        });
        let records = octets || any(|item| matches!(item, FetchItem::InternalDate | FetchItem::Size));
        let sets_seen = !read_only
            && any(|item| {
                matches!(item, FetchItem::Section { peek: false, .. } | FetchItem::Binary { peek: false, .. })
            });
        Self { wanted: Wanted { records, summaries }, octets, sets_seen, items }
    }
}

fn reads_octets(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Section { .. } | FetchItem::Binary { .. } | FetchItem::BinarySize { .. })
}

/// Fetches. Messages that were expunged meanwhile are still in the client's view and are given as
/// long as the store keeps them.
pub(super) async fn run(call: &mut Call<'_>, fetch: &Fetch) -> Outcome {
    if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
        call.enable_condstore();
    }
    call.advance(Expunges::Held);
    let mut uids = call.session.selected().named(&fetch.set, fetch.uid)?;
    if let Some(since) = fetch.changed_since {
        let known = &call.session.selected().known;
        uids =
            known.changed_since(since).map(|message| message.uid).filter(|uid| uids.contains(*uid)).collect();
    }
    let read_only = call.session.selected().read_only;
    let plan = Plan::new(fetch, call.session.enabled.condstore, read_only);
    if plan.wanted == Wanted::default() {
        from_view(call, &plan, &uids).await?;
        return Ok(Status::ok("FETCH completed"));
    }
    let mut failure = None;
    let known = Arc::clone(&call.session.selected().known);
    let source = Source { context: call.context, account: call.account(), mailbox: call.mailbox() };
    let ahead = if plan.octets { source.room_ahead(uids.len()) } else { None };
    for run in runs(&known, &uids) {
        let refused = from_store(call, (&plan, source, ahead.as_ref()), &run).await?;
        failure = failure.or(refused);
    }
    match failure {
        Some(status) => Err(status.into()),
        None => Ok(Status::ok("FETCH completed")),
    }
}

/// Answers without the store: from flags written once per set of flags.
async fn from_view(call: &mut Call<'_>, plan: &Plan, uids: &UidSet) -> Outcome<()> {
    let known = Arc::clone(&call.session.selected().known);
    let rev2 = call.session.enabled.rev2;
    let recent_from = if rev2 { u32::MAX } else { call.session.selected().recent_from };
    let mut written: Vec<Option<Box<[u8]>>> = vec![None; known.flag_sets()];
    for message in known.uids_in(uids) {
        let out = &mut *call.out.buffer;
        open(out, message.sequence);
        for (position, item) in plan.items.iter().enumerate() {
            if position > 0 {
                out.push(b' ');
            }
            match item {
                FetchItem::Flags if message.uid.get() < recent_from => {
                    let flags = written[message.flags_id.0 as usize].get_or_insert_with(|| {
                        let mut text = b"FLAGS ".to_vec();
                        write_flags(&mut text, message.flags, false);
                        text.into()
                    });
                    out.extend_from_slice(flags);
                }
                item => from_message(out, item, message, rev2, recent_from),
            }
        }
        out.extend_from_slice(b")\r\n");
        call.out.drain().await?;
    }
    Ok(())
}

fn open(out: &mut Vec<u8>, sequence: u32) {
    out.extend_from_slice(b"* ");
    writer::number(out, u64::from(sequence));
    out.extend_from_slice(b" FETCH (");
}

/// Writes an item that the view knows.
fn from_message(out: &mut Vec<u8>, item: &FetchItem, message: Message<'_>, rev2: bool, recent_from: u32) {
    match item {
        FetchItem::Uid => {
            out.extend_from_slice(b"UID ");
            writer::number(out, u64::from(message.uid.get()));
        }
        FetchItem::Flags => {
            out.extend_from_slice(b"FLAGS ");
            write_flags(out, message.flags, !rev2 && message.uid.get() >= recent_from);
        }
        FetchItem::ModSeq => {
            out.extend_from_slice(b"MODSEQ (");
            writer::number(out, message.modseq.0);
            out.push(b')');
        }
        _ => {}
    }
}

/// Answers for the messages of a run. What could not be given is returned; the others are given.
async fn from_store(
    call: &mut Call<'_>,
    (plan, source, ahead): (&Plan, Source<'_>, Option<&Reservation>),
    run: &Run,
) -> Outcome<Option<Status>> {
    let newly_seen = if plan.sets_seen { mark_seen(call, run).await? } else { UidSet::new() };
    let known = Arc::clone(&call.session.selected().known);
    let mut failure = None;
    let facts = source.read(run, plan.wanted).await?;
    let mut readers = plan.octets.then(|| source.octets(facts.iter(), ahead));
    for facts in &facts {
        let tell_flags = newly_seen.contains(facts.uid);
        let reader = match (&mut readers, &facts.record) {
            (Some(readers), Some(_)) => readers.next().await,
            _ => None,
        };
        let given = Answer { plan, facts, source, known: &known, tell_flags }.write(call, reader).await;
        match given {
            Ok(refused) => failure = failure.or(refused),
            Err(CommandError::Refused(status)) => failure = failure.or(Some(status)),
            Err(error) => return Err(error),
        }
        call.out.drain().await?;
    }
    Ok(failure)
}

/// Sets `\Seen` on those of the run that lack it, before their text is given.
async fn mark_seen(call: &mut Call<'_>, run: &Run) -> Outcome<UidSet> {
    let known = Arc::clone(&call.session.selected().known);
    let is_unseen = |uid: &sterna_storage::types::Uid| {
        known.by_uid(*uid).is_some_and(|message| !message.flags.contains(SystemFlag::Seen))
    };
    let unseen: UidSet = run.uids.iter().copied().filter(is_unseen).collect();
    if unseen.is_empty() {
        return Ok(unseen);
    }
    let (account, mailbox, enabled) = (call.account(), call.mailbox(), call.session.enabled);
    let change = FlagChange::Add(Flags::system(&[SystemFlag::Seen]));
    call.context.store.store_flags(account, mailbox, &unseen, &change, None).await?;
    let newer = Arc::clone(&call.session.selected().view).refresh().await?;
    // Their new flags go into the answers themselves.
    let silent = |message: Message<'_>| unseen.contains(message.uid);
    let telling = Telling { expunges: Expunges::Held, enabled };
    call.session.selected().advance_unless(&newer, telling, call.out.buffer, silent);
    Ok(unseen)
}

/// One FETCH response in the making.
struct Answer<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    source: Source<'a>,
    known: &'a Snapshot,
    tell_flags: bool,
}

/// What was read of a message before the first octet of its answer is written.
struct Material {
    record: Option<MessageRecord>,
    reader: Option<MessageReader>,
    summarized: Option<Summarized>,
}

impl Answer<'_> {
    /// Reads all that can fail, then writes.
    async fn write(
        &self,
        call: &mut Call<'_>,
        reader: Option<sterna_storage::Result<MessageReader>>,
    ) -> Outcome<Option<Status>> {
        let Some(message) = self.known.by_uid(self.facts.uid) else { return Ok(None) };
        let gone = || Status::no("EXPUNGEISSUED", "Some of the messages are gone");
        let record = self.facts.record.clone();
        if self.plan.wanted.records && record.is_none() {
            return Ok(Some(gone()));
        }
        let reader = reader.transpose()?;
        let summarized = match self.plan.wanted.summaries {
            true => Some(self.source.summary(self.facts).await?.ok_or_else(gone)?),
            false => None,
        };
        let material = Material { record, reader, summarized };
        self.write_items(call, message, &material).await
    }

    async fn write_items(
        &self,
        call: &mut Call<'_>,
        message: Message<'_>,
        material: &Material,
    ) -> Outcome<Option<Status>> {
        let summary = match &material.summarized {
            Some(summarized) => Some(summarized.get()?),
            None => None,
        };
        open(call.out.buffer, message.sequence);
        let (mut failure, mut separator) = (None, "");
        for item in &self.plan.items {
            // An item is refused before anything of it is sent: the others are given all the same.
            let before = call.out.buffer.len();
            match self.write_item(call, item, separator, (message, material, summary.as_ref())).await {
                Ok(()) => separator = " ",
                Err(CommandError::Refused(status)) => {
                    call.out.buffer.truncate(before);
                    failure = Some(status);
                }
                Err(error) => return Err(error),
            }
        }
        if self.tell_flags && !self.plan.items.contains(&FetchItem::Flags) {
            self.write_flags(call, message, separator);
        }
        call.out.buffer.extend_from_slice(b")\r\n");
        Ok(failure)
    }

    /// The flags that giving a message's text has changed.
    fn write_flags(&self, call: &mut Call<'_>, message: Message<'_>, separator: &str) {
        let (enabled, recent_from) = (call.session.enabled, call.session.selected().recent_from);
        let out = &mut *call.out.buffer;
        out.extend_from_slice(separator.as_bytes());
        from_message(out, &FetchItem::Flags, message, enabled.rev2, recent_from);
        if enabled.condstore && !self.plan.items.contains(&FetchItem::ModSeq) {
            out.push(b' ');
            from_message(out, &FetchItem::ModSeq, message, enabled.rev2, recent_from);
        }
    }

    async fn write_item(
        &self,
        call: &mut Call<'_>,
        item: &FetchItem,
        separator: &str,
        (message, material, summary): (Message<'_>, &Material, Option<&Summary<'_>>),
    ) -> Outcome<()> {
        if reads_octets(item) {
            return self.write_octets(call, item, separator, (material, summary)).await;
        }
        let (rev2, recent_from) = (call.session.enabled.rev2, call.session.selected().recent_from);
        let out = &mut *call.out.buffer;
        out.extend_from_slice(separator.as_bytes());
        match (item, &material.record, summary) {
            (FetchItem::InternalDate, Some(record), _) => {
                out.extend_from_slice(b"INTERNALDATE ");
                date::write_date_time(out, record.internal_date);
            }
            (FetchItem::Size, Some(record), _) => {
                out.extend_from_slice(b"RFC822.SIZE ");
                writer::number(out, record.size_octets);
            }
            (FetchItem::Envelope, _, Some(summary)) => {
                out.extend_from_slice(b"ENVELOPE ");
                message_data::envelope(out, &summary.envelope);
            }
            (FetchItem::Structure { extended }, _, Some(summary)) => {
                out.extend_from_slice(if *extended { b"BODYSTRUCTURE " } else { b"BODY " });
                message_data::structure(out, &summary.structure, *extended);
            }
            _ => from_message(out, item, message, rev2, recent_from),
        }
        Ok(())
    }

    /// Writes an item made of the message's octets.
    async fn write_octets(
        &self,
        call: &mut Call<'_>,
        item: &FetchItem,
        separator: &str,
        (material, summary): (&Material, Option<&Summary<'_>>),
    ) -> Outcome<()> {
        let (Some(record), Some(reader)) = (&material.record, &material.reader) else { return Ok(()) };
        let prefix = u64::from(record.prefix_octets);
        let structure = summary.map(|summary| &summary.structure);
        match item {
            FetchItem::Section { section, name, partial, .. } => {
                let needed = structure.filter(|_| section::needs_structure(section));
                let content = section::find(section, needed, reader, prefix).await?;
                call.out.buffer.extend_from_slice(separator.as_bytes());
                write_section_name(call.out.buffer, item, *name);
                section::write(call, content, *partial, reader).await
            }
            FetchItem::Binary { part, partial, .. } => {
                let encoded = structure.and_then(|structure| Encoded::find(structure, part, prefix, reader));
                if let Some(encoded) = &encoded {
                    encoded.decoder()?;
                }
                call.out.buffer.extend_from_slice(separator.as_bytes());
                write_binary_name(call.out.buffer, "BINARY", part);
                match encoded {
                    Some(encoded) => encoded.write(call, *partial, reader).await,
                    None => section::write(call, section::Content::Absent, *partial, reader).await,
                }
            }
            FetchItem::BinarySize { part } => {
                let encoded = structure.and_then(|structure| Encoded::find(structure, part, prefix, reader));
                let octets = match encoded {
                    Some(encoded) => encoded.size(reader).await?,
                    None => 0,
                };
                call.out.buffer.extend_from_slice(separator.as_bytes());
                write_binary_name(call.out.buffer, "BINARY.SIZE", part);
                writer::text(call.out.buffer, format_args!(" {octets}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn write_section_name(out: &mut Vec<u8>, item: &FetchItem, name: SectionName) {
    match (name, item) {
        (SectionName::Rfc822, _) => out.extend_from_slice(b"RFC822"),
        (SectionName::Rfc822Header, _) => out.extend_from_slice(b"RFC822.HEADER"),
        (SectionName::Rfc822Text, _) => out.extend_from_slice(b"RFC822.TEXT"),
        (SectionName::Body, FetchItem::Section { section, .. }) => {
            out.extend_from_slice(b"BODY[");
            section.write(out);
            out.push(b']');
        }
        (SectionName::Body, _) => {}
    }
}

fn write_binary_name(out: &mut Vec<u8>, name: &str, part: &[u32]) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'[');
    for (position, number) in part.iter().enumerate() {
        if position > 0 {
            out.push(b'.');
        }
        writer::number(out, u64::from(*number));
    }
    out.push(b']');
}
