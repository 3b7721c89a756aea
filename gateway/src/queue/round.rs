//! One entry, once: its recipients are tried, their state is written down, senders are told, and the claim ends.
//! A crash anywhere leaves an entry that is tried again: local copies are filed once by their operation, and of
//! remote groups only the one in flight can be sent twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use sterna_storage::bodies::Owner;
use sterna_storage::kv::record::Record;
use sterna_storage::queue::{Claim, Entry};
use sterna_storage::types::{QueueId, Timestamp};
use sterna_storage::{Error, Result};

use super::notice::Ready;
use super::report;
use super::worker::Worker;
use crate::deliver::envelope::{Envelope, Failure, State, Target};
use crate::deliver::reply;
use crate::limits;
use crate::net::Reservation;
use crate::outbound::{Content, Delivery, Destination, Job, Outcome, Refusal};
use crate::smtp::client::{RecipientRequest, Request};

/// What became of a group of recipients: their positions, and outcomes in the same order.
struct Tried {
    positions: Vec<usize>,
    delivery: Delivery,
}

impl Worker {
    /// Never fails: what cannot be written down now is written down again until it can be, or the claim is lost.
    pub(super) async fn round(&self, claim: Claim) {
        let id = claim.entry.id;
        let mut envelope = match Envelope::decode(&claim.entry.payload) {
            Ok(envelope) => envelope,
            Err(error) => return self.set_aside(&claim, &error).await,
        };
        let now = self.inner.parts.queue.now();
        let positions = due_positions(&envelope, now);
        self.try_locals(&claim, &mut envelope, &positions).await;
        if !self.try_remotes(&claim, &mut envelope, &positions).await {
            tracing::warn!(%id, "claim lost, another node goes on");
            return;
        }
        self.give_up_expired(&claim, &mut envelope);
        self.end(&claim, envelope).await;
    }

    /// An entry that cannot be read needs a person.
    async fn set_aside(&self, claim: &Claim, error: &Error) {
        let (id, queue) = (claim.entry.id, &self.inner.parts.queue);
        tracing::error!(%id, %error, "queue entry cannot be read: held");
        let mut tries = Tries::of(id);
        loop {
            let held = match queue.hold(id).await {
                Ok(_) => queue.reschedule(claim, claim.entry.due, &claim.entry.payload).await,
                Err(error) => Err(error),
            };
            if tries.are_over(held).await {
                return;
            }
        }
    }

    async fn try_locals(&self, claim: &Claim, envelope: &mut Envelope, positions: &[usize]) {
        for at in positions {
            if !matches!(envelope.recipients[*at].target, Target::Local { .. }) {
                continue;
            }
            match self.try_local(&claim.entry, envelope, *at).await {
                Ok(()) => envelope.settle(*at, State::Delivered),
                Err(error) => {
                    tracing::warn!(id = %claim.entry.id, recipient = at, %error, "local delivery failed");
                    let refusal = local_refusal(&error);
                    self.note_refusal(envelope, *at, refusal);
                }
            }
        }
    }

    async fn try_local(&self, entry: &Entry, envelope: &Envelope, at: usize) -> Result<()> {
        let _held = self.memory(entry.body_size).await?;
        self.inner.parts.deliverer.deliver_queued(entry, envelope, at).await
    }

    /// Sets memory aside for a message that is read whole. What is larger than any reservation can be, since the
    /// settings were others when it was taken, gets the largest.
    pub(super) async fn memory(&self, octets: u64) -> Result<Reservation> {
        let budget = &self.inner.parts.budget;
        let octets = usize::try_from(octets).unwrap_or(usize::MAX).min(budget.largest_octets());
        let held = budget.reserve(octets, limits::QUEUE_MEMORY_WAIT).await;
        held.map_err(|error| Error::Overloaded(error.to_string().into()))
    }

    /// `false` if the claim is lost.
    async fn try_remotes(&self, claim: &Claim, envelope: &mut Envelope, positions: &[usize]) -> bool {
        let groups = self.groups(envelope, positions);
        if groups.is_empty() {
            return true;
        }
        let content = match self.content(&claim.entry, envelope).await {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(id = %claim.entry.id, %error, "message cannot be read");
                let refusal = local_refusal(&error);
                groups.iter().flat_map(|(_, group)| group).for_each(|at| {
                    self.note_refusal(envelope, *at, Refusal { is_temporary: true, ..refusal.clone() });
                });
                return true;
            }
        };
        let jobs: Vec<(Vec<usize>, Job)> = groups
            .into_iter()
            .map(|(destination, group)| {
                let job = self.job(claim, envelope, (destination, &group), content.clone());
                (group, job)
            })
            .collect();
        let total = jobs.len();
        let mut running = stream::iter(jobs)
            .map(|(positions, job)| async move {
                let delivery = self.inner.parts.outbound.deliver(&job).await;
                Tried { positions, delivery }
            })
            .buffer_unordered(limits::QUEUE_GROUPS_TOGETHER);
        let mut finished = 0;
        while let Some(tried) = running.next().await {
            finished += 1;
            if !self.note(envelope, tried) {
                return false;
            }
            // What was sent is written down at once, so that a crash does not send it again.
            if finished < total && !self.write_down(claim, envelope).await {
                return false;
            }
        }
        true
    }

    /// Recipients that can go in one transaction.
    fn groups(&self, envelope: &Envelope, positions: &[usize]) -> Vec<(Destination, Vec<usize>)> {
        let outbound = &self.inner.parts.outbound;
        let mut by_destination: BTreeMap<Destination, Vec<usize>> = BTreeMap::new();
        for at in positions {
            let recipient = &envelope.recipients[*at];
            if recipient.target == Target::Remote && !recipient.is_final() {
                let destination = outbound.router().destination(recipient.address.domain());
                by_destination.entry(destination).or_default().push(*at);
            }
        }
        let together = outbound.config().recipients_per_transaction.max(1);
        let split = |(destination, all): (Destination, Vec<usize>)| {
            let groups: Vec<_> =
                all.chunks(together).map(|group| (destination.clone(), group.to_vec())).collect();
            groups
        };
        by_destination.into_iter().flat_map(split).collect()
    }

    async fn content(&self, entry: &Entry, envelope: &Envelope) -> Result<Content> {
        let reader = self.inner.parts.bodies.open_body(entry.body).await?;
        Ok(Content::stored(envelope.trace.clone(), reader))
    }

    fn job(
        &self,
        claim: &Claim,
        envelope: &Envelope,
        (destination, positions): (Destination, &[usize]),
        content: Content,
    ) -> Job {
        let recipient = |at: &usize| {
            let recipient = &envelope.recipients[*at];
            RecipientRequest {
                address: recipient.address.clone(),
                notify: recipient.notify,
                original: recipient.original.clone(),
            }
        };
        let request = Request {
            sender: envelope.sender.clone(),
            size_octets: content.octets(),
            body: envelope.body,
            smtp_utf8: envelope.smtp_utf8,
            return_content: envelope.return_content,
            envelope_id: envelope.envelope_id.clone(),
            recipients: positions.iter().map(recipient).collect(),
        };
        let (queue, claim) = (self.inner.parts.queue.clone(), claim.clone());
        let still_ours = move || {
            let (queue, claim) = (queue.clone(), claim.clone());
            async move { queue.check(&claim).await.is_ok() }.boxed()
        };
        Job { destination, request, content, still_ours: Arc::new(still_ours) }
    }

    /// `false` if the claim is lost.
    fn note(&self, envelope: &mut Envelope, tried: Tried) -> bool {
        match tried.delivery {
            Delivery::Abandoned => return false,
            Delivery::Busy => {
                let soon = limits::QUEUE_BUSY_PAUSE.mul_f64(0.5 + rand::random::<f64>());
                for at in tried.positions {
                    envelope.recipients[at].next_attempt = self.inner.parts.queue.now().plus(soon);
                }
            }
            Delivery::Tried(outcomes) => {
                for (at, outcome) in tried.positions.into_iter().zip(outcomes) {
                    match outcome {
                        Outcome::Relayed { host, dsn, reply } => {
                            tracing::info!(recipient = %envelope.recipients[at].address, host, "delivered");
                            envelope.settle(at, State::Relayed { host, dsn, reply });
                        }
                        Outcome::Refused(refusal) => self.note_refusal(envelope, at, refusal),
                    }
                }
            }
        }
        true
    }

    fn note_refusal(&self, envelope: &mut Envelope, at: usize, refusal: Refusal) {
        let now = self.inner.parts.queue.now();
        let recipient = &mut envelope.recipients[at];
        tracing::info!(recipient = %recipient.address, status = refusal.status, text = refusal.text, "not delivered");
        recipient.attempts += 1;
        recipient.next_attempt = self.inner.schedule.next_attempt(now, recipient.attempts, rand::random());
        let Refusal { is_temporary, status, text, host } = refusal;
        recipient.last_failure = Some(Failure { at: Timestamp::now(), status, text, host });
        if !is_temporary {
            envelope.settle(at, State::Failed);
        }
    }

    /// Recipients that have been tried for long enough (RFC 3463 X.4.7).
    fn give_up_expired(&self, claim: &Claim, envelope: &mut Envelope) {
        if !self.inner.schedule.is_expired(claim.entry.created, self.inner.parts.queue.now()) {
            return;
        }
        for at in 0..envelope.recipients.len() {
            let recipient = &mut envelope.recipients[at];
            if recipient.is_final() {
                continue;
            }
            let last = recipient.last_failure.take();
            let text = last.as_ref().map_or("no attempt succeeded", |failure| failure.text.as_str());
            recipient.last_failure = Some(Failure {
                at: last.as_ref().map_or_else(Timestamp::now, |failure| failure.at),
                status: "5.4.7".into(),
                text: format!("not delivered in time; last: {text}"),
                host: last.and_then(|failure| failure.host),
            });
            envelope.settle(at, State::Failed);
        }
    }

    /// `false` if the claim is lost.
    async fn write_down(&self, claim: &Claim, envelope: &Envelope) -> bool {
        let payload = envelope.encode();
        match self.inner.parts.queue.update(claim, &payload).await {
            Ok(()) => true,
            Err(Error::NotFound(_)) => false,
            Err(error) => {
                // The end of the round writes the same.
                tracing::warn!(id = %claim.entry.id, %error, "queue entry not written");
                true
            }
        }
    }

    /// Reports what is to be reported and ends the claim, in one transaction; again and again until it is done.
    async fn end(&self, claim: &Claim, envelope: Envelope) {
        let age = self.inner.parts.queue.now().since(claim.entry.created);
        let due = report::due(&envelope, &self.inner.schedule, age);
        let mut reported = envelope.clone();
        report::mark(&mut reported, &due);
        let mut tries = Tries::of(claim.entry.id);
        loop {
            let ended = match self.report(claim, &envelope, &due).await {
                Ok(report) => self.finish(claim, &reported, report).await,
                // The body is gone, or its domain: nobody can be told, now or later.
                Err(Error::NotFound(what)) => {
                    tracing::error!(id = %claim.entry.id, %what, "no report can be made");
                    self.finish(claim, &reported, None).await
                }
                // Who takes the entry over while nobody can be told must not send again what was sent.
                Err(error) if self.write_down(claim, &envelope).await => Err(error),
                Err(_) => return,
            };
            if tries.are_over(ended).await {
                return;
            }
        }
    }

    async fn finish(&self, claim: &Claim, envelope: &Envelope, report: Option<Ready>) -> Result<()> {
        let (parts, payload) = (&self.inner.parts, envelope.encode());
        let next = envelope.recipients.iter().filter(|one| !one.is_final()).map(|one| one.next_attempt).min();
        let expiry = self.inner.schedule.expiry(claim.entry.created);
        parts
            .database
            .run(async |tx| {
                if let Some(Ready { entry, staged }) = &report {
                    staged.commit_into(tx, Owner::Queue(entry.id)).await?;
                    parts.queue.put(tx, entry)?;
                }
                match next {
                    None => parts.queue.remove_in(tx, claim).await,
                    Some(next) => parts.queue.reschedule_in(tx, claim, next.min(expiry), &payload).await,
                }
            })
            .await
    }
}

/// Tries to end a claim, with longer and longer pauses between them.
struct Tries {
    id: QueueId,
    pause: Duration,
}

impl Tries {
    fn of(id: QueueId) -> Self {
        Self { id, pause: limits::QUEUE_PAUSE }
    }

    /// Whether nothing is left to be done. If something is, it is time for the next try.
    async fn are_over(&mut self, last: Result<()>) -> bool {
        match last {
            Ok(()) => return true,
            // Cancelled, taken over, or ended by an earlier try whose answer was lost.
            Err(Error::NotFound(_)) => return true,
            Err(error) => tracing::warn!(id = %self.id, %error, "queue entry not ended, trying again"),
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(30));
        false
    }
}

/// The recipients to be tried now: those that are due, or, where somebody made the entry due before all of them,
/// all that are left.
fn due_positions(envelope: &Envelope, now: Timestamp) -> Vec<usize> {
    let left = || (0..envelope.recipients.len()).filter(|at| !envelope.recipients[*at].is_final());
    let due: Vec<usize> = left().filter(|at| envelope.recipients[*at].next_attempt <= now).collect();
    if due.is_empty() { left().collect() } else { due }
}

fn local_refusal(error: &Error) -> Refusal {
    let reply = reply::of(error);
    let status = reply.enhanced().map_or_else(|| "4.3.0".to_owned(), |enhanced| enhanced.to_string());
    Refusal {
        is_temporary: !matches!(error, Error::NotFound(_)),
        status,
        text: reply.text().to_owned(),
        host: None,
    }
}
