//! Filing in accounts: for a message just accepted, and for what a queue entry still holds. Every step
//! is idempotent: the operation's id follows from queue id and account.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use sterna_storage::kv::record::Record;
use sterna_storage::mailstore::{self, Body, BodyRef, Delivery, Limits, NewMessage};
use sterna_storage::queue::{Claim, Entry};
use sterna_storage::types::{AccountId, Flags, QueueId, Timestamp};
use sterna_storage::{Error, Result};

use super::deliverer::{Deliverer, summarize};
use super::envelope::{Envelope, Failure, Recipient, State, Target, local_operation};
use super::reply;
use crate::limits::{LOCAL_DELIVERIES_TOGETHER, LOCAL_RETRY_FIRST, QUEUE_WRITE_PAUSE};

/// One copy for one account.
pub(super) struct Filing<'a> {
    pub(super) id: QueueId,
    pub(super) envelope: &'a Envelope,
    pub(super) recipient: usize,
    pub(super) account: AccountId,
    pub(super) body: Body,
    pub(super) summary: Bytes,
}

impl Deliverer {
    /// Files one copy in INBOX. What was accepted may overdraw a quota (design §5).
    pub(super) async fn file(&self, filing: Filing<'_>) -> Result<()> {
        let Some(recipient) = filing.envelope.recipients.get(filing.recipient) else {
            return Err(Error::Invalid("no such recipient".into()));
        };
        let message = NewMessage {
            body: filing.body,
            prefix: prefix(filing.envelope, recipient).into(),
            summary: filing.summary,
            flags: Flags::default(),
            internal_date: filing.envelope.origin.received,
        };
        let delivery = Delivery {
            operation: local_operation(filing.id, filing.account),
            account: filing.account,
            target: mailstore::Target::Inbox,
            message,
            limits: Limits::default(),
        };
        self.inner.mail.deliver(delivery).await.map(|_| ())
    }

    /// Delivers to one local recipient of a queue entry, as the queue's worker does when an earlier try
    /// failed. The message is read from its body.
    pub async fn deliver_queued(&self, entry: &Entry, envelope: &Envelope, recipient: usize) -> Result<()> {
        let reader = self.inner.bodies.open_body(entry.body).await?;
        let message = reader.read_all(0..reader.len()).await?;
        let body = BodyRef { id: entry.body, size: entry.body_size };
        let summary = summarize(message.clone()).await?;
        self.file_shared(entry.id, envelope, recipient, (body, &message, summary)).await
    }

    /// Files a copy that shares the entry's body where both belong to one domain, and gets a body of its
    /// own where not.
    async fn file_shared(
        &self,
        id: QueueId,
        envelope: &Envelope,
        recipient: usize,
        (body, message, summary): (BodyRef, &Bytes, Bytes),
    ) -> Result<()> {
        let target = envelope.recipients.get(recipient).map(|recipient| &recipient.target);
        let Some(Target::Local { account, domain }) = target else {
            return Err(Error::Invalid("not a local recipient".into()));
        };
        let body = match *domain == envelope.body_domain {
            true => Body::Shared(body),
            false => Body::Staged(self.inner.bodies.write(*domain, message).await?),
        };
        self.file(Filing { id, envelope, recipient, account: *account, body, summary }).await
    }

    /// Files all local recipients of an entry; gives the envelope with what became of them.
    pub(super) async fn file_locals(
        &self,
        id: QueueId,
        mut envelope: Envelope,
        body: BodyRef,
        message: Bytes,
    ) -> Envelope {
        match summarize(message.clone()).await {
            Ok(summary) => {
                let locals: Vec<usize> = (0..envelope.recipients.len())
                    .filter(|at| matches!(envelope.recipients[*at].target, Target::Local { .. }))
                    .collect();
                let filed: Vec<(usize, Result<()>)> = futures::stream::iter(locals)
                    .map(|at| {
                        let (envelope, copy) = (&envelope, (body, &message, summary.clone()));
                        async move { (at, self.file_shared(id, envelope, at, copy).await) }
                    })
                    .buffer_unordered(LOCAL_DELIVERIES_TOGETHER)
                    .collect()
                    .await;
                for (at, result) in filed {
                    note(&mut envelope, (id, at), result, self.now());
                }
            }
            Err(error) => tracing::warn!(%id, %error, "local deliveries are left to the queue"),
        }
        envelope
    }

    /// Ends the claim: the entry goes if nothing is left to be done, else it is due for the queue's
    /// worker. Tried until it works: an entry whose claim is never ended would wait for this node's end.
    pub(super) async fn write_back(&self, claim: &Claim, envelope: &Envelope) {
        let (id, payload, mut pause) = (claim.entry.id, envelope.encode(), QUEUE_WRITE_PAUSE);
        loop {
            let written = match envelope.is_done() {
                true => self.inner.queue.remove(claim).await,
                false => {
                    self.inner
                        .queue
                        .reschedule(claim, next_due(envelope, claim.entry.created), &payload)
                        .await
                }
            };
            match written {
                Ok(()) => return,
                // Cancelled by an administrator, or written by an earlier try whose answer was lost.
                Err(Error::NotFound(_)) => return,
                Err(error) => tracing::warn!(%id, %error, "queue entry not written, trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }
}

/// Writes down what became of a local recipient.
fn note(envelope: &mut Envelope, (id, at): (QueueId, usize), result: Result<()>, now: Timestamp) {
    let Err(error) = result else { return envelope.settle(at, State::Delivered) };
    tracing::warn!(%id, recipient = at, %error, "local delivery failed");
    let reply = reply::of(&error);
    let is_permanent = matches!(error, Error::NotFound(_));
    let recipient = &mut envelope.recipients[at];
    recipient.attempts += 1;
    recipient.next_attempt = now.plus(LOCAL_RETRY_FIRST);
    let status = reply.enhanced().map_or_else(String::new, |enhanced| enhanced.to_string());
    recipient.last_failure =
        Some(Failure { at: Timestamp::now(), status, text: reply.text().to_owned(), host: None });
    if is_permanent {
        envelope.settle(at, State::Failed);
    }
}

/// When the queue's worker is to look at the entry: at once, unless only retries are left.
fn next_due(envelope: &Envelope, at_once: Timestamp) -> Timestamp {
    let unfinished = envelope.recipients.iter().filter(|one| !one.is_final() || !one.reported);
    let due = unfinished.map(|one| if one.is_final() { at_once } else { one.next_attempt });
    due.min().unwrap_or(at_once)
}

/// The header fields of one recipient's copy (RFC 5321 §4.4): Return-Path first, as the final delivery
/// puts it on top of all others.
fn prefix(envelope: &Envelope, recipient: &Recipient) -> String {
    let trace = &envelope.trace;
    match &envelope.sender {
        Some(sender) => format!("Return-Path: <{sender}>\r\nDelivered-To: {}\r\n{trace}", recipient.address),
        None => format!("Return-Path: <>\r\nDelivered-To: {}\r\n{trace}", recipient.address),
    }
}
