//! Taking responsibility: one local recipient is filed at once; anything else becomes a queue entry
//! first, and its local recipients are then filed without waiting for the queue's worker.

use std::sync::Arc;

use bytes::Bytes;
use sterna_storage::bodies::{Bodies, Owner};
use sterna_storage::kv::Database;
use sterna_storage::kv::record::Record;
use sterna_storage::mailstore::{BodyRef, MailStore};
use sterna_storage::queue::{Claim, Entry, Queue};
use sterna_storage::types::{AccountId, DomainId, OperationId, QueueId, Timestamp};
use sterna_storage::{Error, Result};

use super::envelope::{Envelope, Target};
use super::plan;
use crate::limits::SUMMARY_ASIDE_OCTETS;
use crate::message::Summary;
use crate::net::{Drain, Reservation};

/// A message to be taken.
#[derive(Debug)]
pub struct Arrival {
    /// The id that the reply carries.
    pub id: QueueId,
    /// Its envelope, with its recipients planned and nothing done for them yet.
    pub envelope: Envelope,
    /// Its octets, without the envelope's trace.
    pub message: Bytes,
    /// What its octets count against; held until the last use of them, which may be after the answer.
    pub memory: Option<Reservation>,
}

/// Files messages and puts them into the queue. Cheap to clone.
#[derive(Clone)]
pub struct Deliverer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) database: Database,
    pub(super) bodies: Bodies,
    pub(super) mail: MailStore,
    pub(super) queue: Queue,
    pub(super) drain: Drain,
}

impl Deliverer {
    /// Over the stores of this node. What it goes on with after an answer runs as tasks of `drain`.
    pub fn new(database: Database, bodies: Bodies, mail: MailStore, queue: Queue, drain: Drain) -> Self {
        Self { inner: Arc::new(Inner { database, bodies, mail, queue, drain }) }
    }

    /// What the clock shows by which messages are due ([`Queue::now`]).
    pub(super) fn now(&self) -> Timestamp {
        self.inner.queue.now()
    }

    /// Takes the message. When this returns `Ok`, Sterna is responsible for it: the caller may say `250`.
    /// On an error nothing was kept, or what was kept is the same that a repetition under the same id
    /// would keep.
    pub async fn accept(&self, arrival: Arrival) -> Result<()> {
        let only = match arrival.envelope.recipients.as_slice() {
            [] => return Err(Error::Invalid("a message without recipients".into())),
            [only] if plan::is_direct(&arrival.envelope) => match only.target {
                Target::Local { account, domain } => Some((account, domain)),
                Target::Remote => None,
            },
            _ => None,
        };
        match only {
            Some(target) => self.accept_directly(arrival, target).await,
            None => self.accept_into_queue(arrival).await,
        }
    }

    /// Body, message record and counters in one transaction.
    async fn accept_directly(
        &self,
        arrival: Arrival,
        (account, domain): (AccountId, DomainId),
    ) -> Result<()> {
        let staged = self.inner.bodies.write(domain, &arrival.message).await?;
        let summary = summarize(arrival.message.clone()).await?;
        let filing = super::local::Filing {
            id: arrival.id,
            envelope: &arrival.envelope,
            recipient: 0,
            account,
            body: staged.into(),
            summary,
        };
        self.file(filing).await?;
        // Here 250 becomes a promise: the message is durable in its recipient's INBOX.
        Ok(())
    }

    /// Body and queue entry in one transaction.
    async fn accept_into_queue(&self, arrival: Arrival) -> Result<()> {
        let Arrival { id, envelope, message, memory } = arrival;
        let staged = self.inner.bodies.write(envelope.body_domain, &message).await?;
        let has_local = envelope.recipients.iter().any(|one| matches!(one.target, Target::Local { .. }));
        let now = self.now();
        let entry = Entry {
            id,
            created: now,
            due: now,
            body: staged.id,
            body_size: staged.size,
            payload: envelope.encode(),
            held: false,
        };
        let operation = OperationId::derived(&[b"accept", &id.0]);
        let put = self.inner.database.run_once(operation, async |tx| {
            staged.commit_into(tx, Owner::Queue(id)).await?;
            match has_local {
                true => self.inner.queue.put_claimed(tx, &entry).await,
                false => self.inner.queue.put(tx, &entry),
            }
        });
        put.await?;
        // Here 250 becomes a promise: the message is durable in the queue, and each recipient will get
        // it, or its sender a report.
        if has_local {
            let body = BodyRef { id: entry.body, size: entry.body_size };
            let claim = self.inner.queue.first_claim(entry);
            self.go_on(claim, envelope, body, (message, memory));
        }
        Ok(())
    }

    /// Files the local recipients of an entry that this node has just put in, beside the reply.
    fn go_on(
        &self,
        claim: Claim,
        envelope: Envelope,
        body: BodyRef,
        (message, memory): (Bytes, Option<Reservation>),
    ) {
        let deliverer = self.clone();
        self.inner.drain.spawn(async move {
            let envelope = deliverer.file_locals(claim.entry.id, envelope, body, message).await;
            drop(memory);
            deliverer.write_back(&claim, &envelope).await;
        });
    }
}

/// What readers want without the body; empty where it would be too long to keep. A large message is
/// parsed aside, so that others do not wait for it.
pub(super) async fn summarize(message: Bytes) -> Result<Bytes> {
    let summary = |message: &[u8]| Summary::of(message).encode().unwrap_or_default();
    if message.len() < SUMMARY_ASIDE_OCTETS {
        return Ok(summary(&message));
    }
    let aside = tokio::task::spawn_blocking(move || summary(&message));
    aside.await.map_err(|_| Error::Unavailable("the message's summary could not be made".into()))
}
