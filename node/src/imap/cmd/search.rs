//! SEARCH and UID SEARCH (RFC 9051 §6.4.4; RFC 4731, RFC 5182, RFC 7162 §3.1.5).

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use sterna_gateway::message::search::{RegionKind, Scan, regions};
use sterna_gateway::message::{Section, Summary};
use sterna_storage::mailstore::{Message, MessageReader, MessageRecord, Snapshot};
use sterna_storage::types::{ModSeq, Uid, UidSet};

use super::call::Call;
use super::fetch_facts::{Facts, Source, Wanted, runs};
use super::search_key::{Compiled, Evidence};
use crate::imap::codec::command::{Search, SearchKey, SearchReturn};
use crate::imap::codec::writer;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};
use crate::limits;

/// Searches, and answers in the form that the client expects: `SEARCH` of IMAP4rev1, or `ESEARCH` if
/// it asked for options or has enabled IMAP4rev2.
pub(super) async fn run(call: &mut Call<'_>, search: &Search) -> Outcome {
    let saves = search.returns.is_some_and(|returns| returns.save);
    let found = match matching(call, search).await {
        Ok(found) => found,
        Err(error) => {
            // RFC 5182 §2.1: a SEARCH (SAVE) that fails with NO leaves `$` empty.
            if saves {
                call.session.selected().saved = UidSet::new();
            }
            return Err(error);
        }
    };
    let known = Arc::clone(&call.session.selected().known);
    if let Some(returns) = search.returns.filter(|returns| returns.save) {
        call.session.selected().saved = to_save(returns, &found);
    }
    let by_modseq = search.key.any(&|key| matches!(key, SearchKey::ModSeq(_)));
    let answer = Answer { found: &found, known: &known, uid: search.uid, by_modseq };
    match search.returns.or(call.session.enabled.rev2.then_some(EVERYTHING)) {
        // Nothing but SAVE was asked for.
        Some(SearchReturn { min: false, max: false, all: false, count: false, .. }) => {}
        Some(returns) => answer.extended(call, returns).await?,
        None => answer.plain(call).await?,
    }
    Ok(Status::ok("SEARCH completed"))
}

/// What IMAP4rev2 returns unasked.
const EVERYTHING: SearchReturn =
    SearchReturn { min: false, max: false, all: true, count: false, save: false };

/// The messages that match, ascending.
async fn matching(call: &mut Call<'_>, search: &Search) -> Outcome<UidSet> {
    if search.key.any(&|key| matches!(key, SearchKey::ModSeq(_))) {
        call.enable_condstore();
    }
    let charset = search.charset.as_deref().unwrap_or("UTF-8");
    let Some(encoding) = encoding_rs::Encoding::for_label(charset.as_bytes()) else {
        return Err(Status::no("BADCHARSET (UTF-8)", "Unknown charset").into());
    };
    call.advance(Expunges::Held);
    let decode = |octets: &[u8]| encoding.decode_without_bom_handling(octets).0.into_owned();
    let compiled = Compiled::new(&search.key, call.session.selected(), &decode);
    if compiled.texts.len() > limits::IMAP_SEARCH_TEXTS {
        return Err(Status::no("LIMIT", "Too many texts in one search").into());
    }
    let known = Arc::clone(&call.session.selected().known);
    let (mut found, mut open) = (UidSet::new(), UidSet::new());
    for message in known.messages() {
        let evidence = Evidence { message, record: None, summary: None, header: None, texts: None };
        match compiled.key.holds(&evidence) {
            Some(true) => found.insert(message.uid),
            Some(false) => {}
            None => open.insert(message.uid),
        }
    }
    if !open.is_empty() {
        let source = Source { context: call.context, account: call.account(), mailbox: call.mailbox() };
        look_closer(source, &compiled, &known, &open, &mut found).await?;
    }
    Ok(found)
}

/// Decides about the messages of which the view does not say enough.
async fn look_closer(
    source: Source<'_>,
    compiled: &Compiled,
    known: &Snapshot,
    open: &UidSet,
    found: &mut UidSet,
) -> Outcome<()> {
    let wanted = Wanted { records: true, summaries: compiled.summaries };
    let reads_octets = compiled.headers || !compiled.texts.is_empty();
    let ahead = if reads_octets { source.room_ahead(open.len()) } else { None };
    for run in runs(known, open) {
        let facts = source.read(&run, wanted).await?;
        let mut unsure = Vec::new();
        for facts in &facts {
            // What is at hand already is never waited for: the node's other sessions get their turn here.
            tokio::task::consume_budget().await;
            let Some(candidate) = Candidate::new(known, facts)? else { continue };
            match compiled.key.holds(&candidate.evidence()) {
                Some(true) => found.insert(facts.uid),
                Some(false) => {}
                None => unsure.push(candidate),
            }
        }
        let mut readers = source.octets(unsure.iter().map(|candidate| candidate.facts), ahead.as_ref());
        for candidate in unsure {
            let Some(reader) = readers.next().await else { break };
            if Box::pin(matches(source, compiled, &candidate, &reader?)).await? {
                found.insert(candidate.facts.uid);
            }
        }
    }
    Ok(())
}

/// A message that may match, with what is known of it without its octets.
struct Candidate<'f> {
    message: Message<'f>,
    facts: &'f Facts,
    record: &'f MessageRecord,
    /// Where it was kept.
    summary: Option<Summary<'f>>,
}

impl<'f> Candidate<'f> {
    /// `None` if the message is gone meanwhile.
    fn new(known: &'f Snapshot, facts: &'f Facts) -> Outcome<Option<Self>> {
        let (Some(message), Some(record)) = (known.by_uid(facts.uid), &facts.record) else { return Ok(None) };
        let stored = facts.summary.as_ref().filter(|stored| !stored.is_empty());
        let summary = stored.map(|stored| Summary::decode(stored)).transpose()?;
        Ok(Some(Self { message, facts, record, summary }))
    }

    fn evidence(&self) -> Evidence<'_> {
        let (message, record, summary) = (self.message, Some(self.record), self.summary.as_ref());
        Evidence { message, record, summary, header: None, texts: None }
    }
}

/// Whether a message matches that must be read to know.
async fn matches(
    source: Source<'_>,
    compiled: &Compiled,
    candidate: &Candidate<'_>,
    reader: &MessageReader,
) -> Outcome<bool> {
    let record = candidate.record;
    let mut evidence = candidate.evidence();
    let (summarized, parsed);
    let summary = match &candidate.summary {
        Some(summary) => summary,
        None => {
            let Some(found) = source.summary(candidate.facts).await? else { return Ok(false) };
            summarized = found;
            parsed = summarized.get()?;
            &parsed
        }
    };
    evidence.summary = Some(summary);
    if let Some(answer) = compiled.key.holds(&evidence) {
        return Ok(answer);
    }
    let header;
    if compiled.headers {
        let range =
            Section::Header.range(&summary.structure, u64::from(record.prefix_octets)).unwrap_or(0..0);
        header = reader.read_all(0..range.end.min(limits::IMAP_HEADER_OCTETS).min(reader.len())).await?;
        evidence.header = Some(&header);
        if let Some(answer) = compiled.key.holds(&evidence) {
            return Ok(answer);
        }
    }
    let texts = texts(compiled, &evidence, record, reader).await?;
    evidence.texts = Some(&texts);
    Ok(compiled.key.holds(&evidence).unwrap_or(false))
}

/// Which of the texts are in the message: all are looked for in one pass over each region.
async fn texts(
    compiled: &Compiled,
    evidence: &Evidence<'_>,
    record: &MessageRecord,
    reader: &MessageReader,
) -> Outcome<Vec<bool>> {
    let in_header = |text: &super::search_key::TextKey| {
        text.with_header && evidence.header.is_some_and(|header| text.needle.is_in_header(header))
    };
    let mut found: Vec<bool> = compiled.texts.iter().map(in_header).collect();
    let Some(summary) = evidence.summary else { return Ok(found) };
    for region in regions(&summary.structure) {
        if found.iter().all(|found| *found) {
            break;
        }
        let prefix = u64::from(record.prefix_octets);
        let (start, end) = (region.range.start + prefix, (region.range.end + prefix).min(reader.len()));
        if start >= end {
            continue;
        }
        match region.kind {
            RegionKind::Header => {
                let end = end.min(start + limits::IMAP_HEADER_OCTETS);
                let header = reader.read_all(start..end).await?;
                for (text, found) in compiled.texts.iter().zip(&mut found) {
                    *found = *found || text.needle.is_in_header(&header);
                }
            }
            RegionKind::Text => {
                let part = (summary, region.part);
                scan(compiled, part, reader, start..end, &mut found).await?;
            }
        }
    }
    Ok(found)
}

async fn scan(
    compiled: &Compiled,
    (summary, part): (&Summary<'_>, usize),
    reader: &MessageReader,
    range: std::ops::Range<u64>,
    found: &mut [bool],
) -> Outcome<()> {
    let part = &summary.structure.parts()[part];
    let mut scans: Vec<Option<Scan<'_>>> = compiled
        .texts
        .iter()
        .zip(found.iter())
        .map(|(text, found)| if *found { None } else { Scan::new(&text.needle, part) })
        .collect();
    let mut pieces = pin!(reader.read(range));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        for scan in scans.iter_mut().flatten() {
            scan.push(&piece);
        }
        // Others get their turn between the pieces of a long one.
        tokio::task::yield_now().await;
    }
    for (scan, found) in scans.into_iter().zip(found) {
        *found = *found || scan.is_some_and(Scan::finish);
    }
    Ok(())
}

/// What `$` becomes (RFC 5182 §2.4): with MIN or MAX alone, only those.
fn to_save(returns: SearchReturn, found: &UidSet) -> UidSet {
    if returns.all || returns.count || !(returns.min || returns.max) {
        return found.clone();
    }
    ends(returns, found).into_iter().collect()
}

/// The first and the last, as asked for.
fn ends(returns: SearchReturn, found: &UidSet) -> Vec<Uid> {
    let first = found.ranges().next().map(|range| *range.start()).filter(|_| returns.min);
    let last = found.ranges().next_back().map(|range| *range.end()).filter(|_| returns.max);
    first.into_iter().chain(last).collect()
}

struct Answer<'a> {
    found: &'a UidSet,
    known: &'a Snapshot,
    uid: bool,
    by_modseq: bool,
}

impl Answer<'_> {
    /// `* SEARCH 2 3 6` (RFC 3501 §7.2.5), with the highest MODSEQ if it was searched for.
    async fn plain(&self, call: &mut Call<'_>) -> Outcome<()> {
        call.out.buffer.extend_from_slice(b"* SEARCH");
        for message in self.known.uids_in(self.found) {
            call.out.buffer.push(b' ');
            let number = if self.uid { message.uid.get() } else { message.sequence };
            writer::number(call.out.buffer, u64::from(number));
            call.out.drain().await?;
        }
        if let Some(highest) = self.highest(None) {
            writer::text(call.out.buffer, format_args!(" (MODSEQ {})", highest.0));
        }
        call.out.buffer.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// `* ESEARCH (TAG "a") UID ALL 1:3` (RFC 9051 §7.3.4).
    async fn extended(&self, call: &mut Call<'_>, returns: SearchReturn) -> Outcome<()> {
        let out = &mut *call.out.buffer;
        out.extend_from_slice(b"* ESEARCH (TAG ");
        writer::string(out, call.tag.as_bytes());
        out.extend_from_slice(if self.uid { b") UID" } else { b")" });
        let numbers = self.numbers();
        if let Some(first) = numbers.ranges().next().filter(|_| returns.min) {
            writer::text(out, format_args!(" MIN {}", first.start()));
        }
        if let Some(last) = numbers.ranges().next_back().filter(|_| returns.max) {
            writer::text(out, format_args!(" MAX {}", last.end()));
        }
        if returns.all && !numbers.is_empty() {
            writer::text(out, format_args!(" ALL {numbers}"));
        }
        if returns.count {
            writer::text(out, format_args!(" COUNT {}", numbers.len()));
        }
        if let Some(highest) = self.highest(Some(returns)) {
            writer::text(out, format_args!(" MODSEQ {}", highest.0));
        }
        out.extend_from_slice(b"\r\n");
        Ok(call.out.drain().await?)
    }

    /// The messages in the numbers that the client uses.
    fn numbers(&self) -> UidSet {
        if self.uid {
            return self.found.clone();
        }
        self.known.uids_in(self.found).filter_map(|message| Uid::new(message.sequence)).collect()
    }

    /// The highest MODSEQ of what is returned, if MODSEQ was searched for (RFC 4731 §3.2).
    fn highest(&self, returns: Option<SearchReturn>) -> Option<ModSeq> {
        let modseq = |uid: Uid| self.known.by_uid(uid).map(|message| message.modseq);
        match returns.filter(|returns| !returns.all && !returns.count) {
            _ if !self.by_modseq => None,
            Some(returns) => ends(returns, self.found).into_iter().filter_map(modseq).max(),
            None => self.known.uids_in(self.found).map(|message| message.modseq).max(),
        }
    }
}
