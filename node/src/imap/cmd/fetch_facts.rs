//! What FETCH and SEARCH read of messages from the store: records and summaries of neighbours in one
//! range, others one by one. Bounded in number and octets.

use std::ops::RangeInclusive;
use std::pin::pin;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use sterna_gateway::message::Summary;
use sterna_gateway::net::Reservation;
use sterna_storage::mailstore::{MessageReader, MessageRecord, Snapshot};
use sterna_storage::types::{AccountId, MailboxId, Uid, UidSet};
use sterna_storage::{Error, Result};

use crate::imap::context::ImapContext;
use crate::imap::status::{Outcome, Status};
use crate::limits;

/// A mailbox to read from.
#[derive(Clone, Copy)]
pub(super) struct Source<'c> {
    pub(super) context: &'c ImapContext,
    pub(super) account: AccountId,
    pub(super) mailbox: MailboxId,
}

/// Messages that stand close together.
pub(super) struct Run {
    /// Ascending, never empty, at most [`limits::IMAP_BATCH_MESSAGES`].
    pub(super) uids: Vec<Uid>,
}

/// What is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) records: bool,
    pub(super) summaries: bool,
}

/// One message's facts, as far as they were asked for and are still there.
pub(super) struct Facts {
    pub(super) uid: Uid,
    pub(super) record: Option<MessageRecord>,
    pub(super) summary: Option<Bytes>,
}

/// The messages, cut where reading a range would read much that was not asked for.
pub(super) fn runs(known: &Snapshot, uids: &UidSet) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut last = 0;
    for message in known.uids_in(uids) {
        let near = message.sequence - last <= limits::IMAP_RANGE_GAP;
        match runs.last_mut().filter(|run| near && run.uids.len() < limits::IMAP_BATCH_MESSAGES) {
            Some(run) => run.uids.push(message.uid),
            None => runs.push(Run { uids: vec![message.uid] }),
        }
        last = message.sequence;
    }
    runs
}

impl Run {
    fn range(&self) -> RangeInclusive<Uid> {
        self.uids[0]..=self.uids[self.uids.len() - 1]
    }
}

impl Source<'_> {
    /// The facts of each message of the run, in order.
    pub(super) async fn read(&self, run: &Run, wanted: Wanted) -> Result<Vec<Facts>> {
        let empty = |uid: &Uid| Facts { uid: *uid, record: None, summary: None };
        let mut facts: Vec<Facts> = run.uids.iter().map(empty).collect();
        if run.uids.len() > 1 {
            let store = &self.context.store;
            if wanted.records {
                let records = store.records(self.account, self.mailbox, run.range());
                join(records, &mut facts, |facts, record| {
                    facts.record = Some(record);
                    0
                })
                .await?;
            }
            if wanted.summaries {
                let summaries = store.summaries(self.account, self.mailbox, run.range());
                join(summaries, &mut facts, |facts, summary| {
                    let octets = summary.len();
                    facts.summary = Some(summary);
                    octets
                })
                .await?;
            }
        }
        // What the ranges did not give: single messages, and those expunged since the client was told.
        for message in &mut facts {
            if wanted.records && message.record.is_none() {
                message.record = self.record(message.uid).await?;
            }
        }
        Ok(facts)
    }

    /// The octets of those messages whose record is there, in order, as far ahead of their use as `ahead` holds.
    pub(super) fn octets<'f>(
        &self,
        facts: impl Iterator<Item = &'f Facts>,
        ahead: Option<&Reservation>,
    ) -> BoxStream<'static, Result<MessageReader>> {
        let records: Vec<_> = facts.filter_map(|facts| facts.record.as_ref()).collect();
        let ahead_octets = ahead.map_or(0, |held| held.octets() as u64);
        self.context.store.read_many(&records, ahead_octets).boxed()
    }

    /// Room for reading so many messages ahead, if the node has any to spare.
    pub(super) fn room_ahead(&self, messages: u64) -> Option<Reservation> {
        if messages < 2 { None } else { self.context.budget.spare(limits::IMAP_READ_AHEAD_OCTETS) }
    }

    async fn record(&self, uid: Uid) -> Result<Option<MessageRecord>> {
        match self.context.store.record(self.account, self.mailbox, uid).await {
            Ok(record) => Ok(Some(record)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The summary of a message, from where it is kept or else from the message itself.
    pub(super) async fn summary(&self, facts: &Facts) -> Outcome<Option<Summarized>> {
        if let Some(stored) = facts.summary.clone().filter(|stored| !stored.is_empty()) {
            return Ok(Some(Summarized::Stored(stored)));
        }
        let stored = self.context.store.summary(self.account, self.mailbox, facts.uid).await?;
        if let Some(stored) = stored.filter(|stored| !stored.is_empty()) {
            return Ok(Some(Summarized::Stored(stored)));
        }
        let record = match &facts.record {
            Some(record) => record.clone(),
            None => match self.record(facts.uid).await? {
                Some(record) => record,
                None => return Ok(None),
            },
        };
        let reader = self.context.store.read(&record).await?;
        let prefix = u64::from(record.prefix_octets);
        let octets = usize::try_from(reader.len() - prefix).unwrap_or(usize::MAX);
        let budget = &self.context.budget;
        let reservation = budget
            .reserve(octets, limits::IMAP_BUDGET_PATIENCE)
            .await
            .map_err(|_| Status::no("UNAVAILABLE", "The server is short of memory; try again later"))?;
        let message = reader.read_all(prefix..reader.len()).await?;
        Ok(Some(Summarized::Message(message, reservation)))
    }
}

/// Fills in what a range gives, until it has given as many octets as may be held.
async fn join<T>(
    stream: impl Stream<Item = Result<(Uid, T)>> + Send,
    facts: &mut [Facts],
    mut take: impl FnMut(&mut Facts, T) -> usize,
) -> Result<()> {
    let mut stream = pin!(stream);
    let (mut at, mut octets) = (0, 0);
    while let Some(next) = stream.next().await {
        let (uid, value) = next?;
        at += facts[at..].iter().take_while(|facts| facts.uid < uid).count();
        match facts.get_mut(at) {
            None => break,
            Some(facts) if facts.uid == uid => octets += take(facts, value),
            Some(_) => {}
        }
        if octets > limits::IMAP_BATCH_OCTETS {
            break;
        }
    }
    Ok(())
}

/// Where a summary comes from.
pub(super) enum Summarized {
    /// It was kept at arrival.
    Stored(Bytes),
    /// It was too large to be kept: the message is parsed again.
    Message(Bytes, #[expect(dead_code, reason = "held for its octets")] Reservation),
}

impl Summarized {
    /// The summary.
    pub(super) fn get(&self) -> Result<Summary<'_>> {
        match self {
            Self::Stored(stored) => Summary::decode(stored),
            Self::Message(message, _) => Ok(Summary::of(message)),
        }
    }
}
