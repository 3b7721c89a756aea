//! Deliveries. Those that wait for the same mailbox on this node are combined into one transaction,
//! without lingering: while one commit is under way the next ones gather.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::edit::{MailboxEdit, Pushes};
use super::mailboxes::find_id;
use super::store::Room;
use super::stored::{StoredMessage, encode_summary};
use super::{Body, Limits, MailStore, MailboxName, NewMessage, SpecialUse};
use crate::bodies::Owner;
use crate::kv::Transaction;
use crate::kv::operation;
use crate::limits::{
    DELIVERIES_WAITING, DELIVERIES_WAITING_OCTETS, DELIVERY_BATCH_MESSAGES, DELIVERY_BATCH_OCTETS,
    DELIVERY_KEPT,
};
use crate::types::{AccountId, MailboxId, OperationId, Timestamp, Uid};
use crate::{Error, Result};

/// Where a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// INBOX.
    Inbox,
    /// The first mailbox with that use by name; INBOX where there is none.
    SpecialUse(SpecialUse),
    /// That mailbox; `NotFound` once it is deleted.
    Mailbox(MailboxId),
}

/// One message for one account.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// A delivery with the id of an earlier one gives the earlier one's result and files nothing.
    pub operation: OperationId,
    /// Whose.
    pub account: AccountId,
    /// Into which mailbox.
    pub target: Target,
    /// What.
    pub message: NewMessage,
    /// Quota to keep; what was accepted before may overdraw it and comes without limits (design §5).
    pub limits: Limits,
}

/// Where a message was filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// In which mailbox.
    pub mailbox: MailboxId,
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// Under which UID.
    pub uid: Uid,
}

type LaneKey = (AccountId, Target);

struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Result<Delivered>>,
}

/// In the order in which they came.
#[derive(Default)]
struct Waiters {
    queue: VecDeque<Waiting>,
    octets: usize,
}

/// Who waits for which mailbox. A lane is there exactly as long as a task empties it.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<LaneKey, Waiters>>);

impl Lanes {
    // Whether the caller has to start the lane's task.
    fn enter(&self, key: LaneKey, waiting: Waiting) -> Result<bool> {
        let octets = waiting.delivery.message.written_octets();
        let mut lanes = self.0.lock();
        if let Some(lane) = lanes.get_mut(&key) {
            if lane.queue.len() >= DELIVERIES_WAITING || lane.octets + octets > DELIVERIES_WAITING_OCTETS {
                return Err(Error::Overloaded("deliveries waiting for one mailbox".into()));
            }
            lane.queue.push_back(waiting);
            lane.octets += octets;
            return Ok(false);
        }
        lanes.insert(key, Waiters { queue: VecDeque::from([waiting]), octets });
        Ok(true)
    }

    // The next batch; the lane is gone once it is empty.
    fn take(&self, key: &LaneKey) -> Vec<Waiting> {
        let mut lanes = self.0.lock();
        let Some(lane) = lanes.get_mut(key) else { return Vec::new() };
        let (mut batch, mut octets) = (Vec::new(), 0);
        while batch.len() < DELIVERY_BATCH_MESSAGES
            && octets < DELIVERY_BATCH_OCTETS
            && let Some(waiting) = lane.queue.pop_front()
        {
            octets += waiting.delivery.message.written_octets();
            batch.push(waiting);
        }
        lane.octets -= octets;
        if batch.is_empty() {
            lanes.remove(key);
        }
        batch
    }
}

// Removes the lane if its task ends before its time, so that nobody waits for a dead one.
struct Lane {
    store: MailStore,
    key: LaneKey,
    emptied: bool,
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.emptied {
            self.store.inner.lanes.0.lock().remove(&self.key);
        }
    }
}

impl Lane {
    async fn run(mut self) {
        loop {
            let batch = self.store.inner.lanes.take(&self.key);
            if batch.is_empty() {
                // `take` has removed the lane; another may stand in its place already.
                self.emptied = true;
                return;
            }
            let (deliveries, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.delivery, waiting.answer)).unzip();
            let results = self.store.deliver_all(self.key, &deliveries).await;
            for (answer, result) in answers.into_iter().zip(results) {
                // A caller who no longer waits learns the result by its operation id.
                let _ = answer.send(result);
            }
        }
    }
}

impl MailStore {
    /// Files one message. When this returns, body, record and counters are durable: here `250` may become a
    /// promise. `NotFound` (account, mailbox), `OverQuota`, `TooLarge` (prefix or summary out of bounds).
    pub async fn deliver(&self, delivery: Delivery) -> Result<Delivered> {
        delivery.message.check()?;
        let (answer, result) = oneshot::channel();
        let key = (delivery.account, delivery.target);
        if self.inner.lanes.enter(key, Waiting { delivery, answer })? {
            tokio::spawn(Lane { store: self.clone(), key, emptied: false }.run());
        }
        result.await.map_err(|_| Error::Closed)?
    }

    async fn deliver_all(&self, key: LaneKey, deliveries: &[Delivery]) -> Vec<Result<Delivered>> {
        match self.deliver_together(key, deliveries).await {
            Ok(results) => results,
            Err(error) if deliveries.len() == 1 || is_of_all(&error) => vec![Err(error); deliveries.len()],
            Err(_) => {
                // One of them may be to blame: let it fail alone.
                let mut results = Vec::with_capacity(deliveries.len());
                for delivery in deliveries {
                    let alone = self.deliver_together(key, std::slice::from_ref(delivery)).await;
                    results.push(alone.and_then(|mut results| results.pop().unwrap_or(Err(Error::Closed))));
                }
                results
            }
        }
    }

    // One transaction for all; an error is that of the transaction, not of a delivery.
    async fn deliver_together(
        &self,
        (account, target): LaneKey,
        deliveries: &[Delivery],
    ) -> Result<Vec<Result<Delivered>>> {
        let mailbox = self.resolve(account, target).await?;
        let _turn = self.inner.locks.turn(account, mailbox).await;
        let deliver = async |tx: &mut Transaction| self.deliver_in(tx, (account, mailbox), deliveries).await;
        self.commit(&[(account, mailbox)], deliver).await
    }

    async fn deliver_in(
        &self,
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        deliveries: &[Delivery],
    ) -> Result<(Vec<Result<Delivered>>, Pushes)> {
        let domain = self.domain(tx, account).await?;
        let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
        let (now, kept_until) = (Timestamp::now(), tx.now().await?.plus(DELIVERY_KEPT));
        let mut room: Option<(Limits, Room)> = None;
        let (mut filed_octets, mut results) = (0, Vec::with_capacity(deliveries.len()));
        for delivery in deliveries {
            if let Some(earlier) = operation::result(tx, delivery.operation).await? {
                // Filed by a run of which nobody was told how it ended, perhaps: then no view was told either.
                self.inner.views.doubt(account, mailbox);
                results.push(Ok(earlier));
                continue;
            }
            let size = delivery.message.size_octets();
            if room.as_ref().is_none_or(|(limits, _)| *limits != delivery.limits) {
                let mut fresh = Room::read(tx, account, domain, delivery.limits).await?;
                // What this transaction has filed is not in the usage yet.
                fresh.spend(filed_octets);
                room = Some((delivery.limits, fresh));
            }
            if let Some((_, room)) = &mut room
                && let Err(error) = room.take(size)
            {
                results.push(Err(error));
                continue;
            }
            let uid = self.file(tx, &mut edit, &delivery.message, now).await?;
            filed_octets += size;
            let delivered = Delivered { mailbox, uid_validity: edit.counters.uid_validity, uid };
            operation::record(tx, delivery.operation, kept_until, &delivered)?;
            results.push(Ok(delivered));
        }
        Ok((results, edit.finish(tx, domain).into_iter().collect()))
    }

    /// Writes body and records of one message under the next UID.
    pub(super) async fn file(
        &self,
        tx: &mut Transaction,
        edit: &mut MailboxEdit,
        message: &NewMessage,
        now: Timestamp,
    ) -> Result<Uid> {
        let flags = edit.store_flags(tx, &message.flags).await?;
        let owner = Owner::Message { account: edit.account, mailbox: edit.mailbox, uid: edit.next_uid()? };
        self.hold_body(tx, &message.body, owner).await?;
        let mut stored = StoredMessage::from_new(message, now);
        stored.flags = flags;
        edit.insert(tx, stored, encode_summary(&message.prefix, &message.summary))
    }

    pub(super) async fn hold_body(&self, tx: &mut Transaction, body: &Body, owner: Owner) -> Result<()> {
        match body {
            Body::Staged(staged) => staged.commit_into(tx, owner).await,
            Body::Shared(body) => self.inner.bodies.share(tx, body.id, owner).await,
        }
    }

    async fn resolve(&self, account: AccountId, target: Target) -> Result<MailboxId> {
        let inbox = || async {
            let found = find_id(&mut self.inner.db.begin(), account, &MailboxName::inbox()).await?;
            found.ok_or_else(|| Error::NotFound("mailbox".into()))
        };
        match target {
            Target::Mailbox(mailbox) => Ok(mailbox),
            Target::Inbox => inbox().await,
            Target::SpecialUse(wanted) => {
                let mailboxes = self.mailboxes(account).await?;
                match mailboxes.into_iter().find(|mailbox| mailbox.special_use == Some(wanted)) {
                    Some(mailbox) => Ok(mailbox.id),
                    None => inbox().await,
                }
            }
        }
    }
}

/// Whether none of several deliveries in one transaction can be to blame.
fn is_of_all(error: &Error) -> bool {
    matches!(error, Error::Closed | Error::Overloaded(_) | Error::Unavailable(_) | Error::CommitUnknown)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mailstore::BodyRef;
    use crate::types::{BodyId, Flags};

    const LANE: LaneKey = (AccountId(1), Target::Inbox);

    fn waiting(summary_octets: usize) -> Waiting {
        let message = NewMessage {
            body: Body::Shared(BodyRef { id: BodyId([0; 16]), size: 1 }),
            prefix: Bytes::new(),
            summary: vec![0; summary_octets].into(),
            flags: Flags::default(),
            internal_date: Timestamp::from_secs(0),
        };
        let (account, target) = LANE;
        let limits = Limits::default();
        Waiting {
            delivery: Delivery { operation: OperationId::random(), account, target, message, limits },
            answer: oneshot::channel().0,
        }
    }

    /// How many get in before one is told `Overloaded`.
    fn admitted(lanes: &Lanes, summary_octets: usize) -> usize {
        let mut admitted = 0;
        while lanes.enter(LANE, waiting(summary_octets)).is_ok() {
            admitted += 1;
        }
        admitted
    }

    #[test]
    fn who_waits_for_a_mailbox_is_bounded_by_number_and_octets() {
        let lanes = Lanes::default();
        assert_eq!(admitted(&lanes, 0), DELIVERIES_WAITING);
        let other = (AccountId(2), Target::Inbox);
        assert!(lanes.enter(other, waiting(0)).is_ok_and(|is_first| is_first), "another mailbox");
        assert_eq!(lanes.take(&LANE).len(), DELIVERY_BATCH_MESSAGES);
        assert_eq!(admitted(&lanes, 0), DELIVERY_BATCH_MESSAGES);

        let lanes = Lanes::default();
        let octets = crate::limits::SUMMARY_OCTETS;
        let each = waiting(octets).delivery.message.written_octets();
        assert_eq!(admitted(&lanes, octets), DELIVERIES_WAITING_OCTETS / each);
        let taken = lanes.take(&LANE).len();
        assert_eq!(taken, DELIVERY_BATCH_OCTETS.div_ceil(each));
        assert_eq!(admitted(&lanes, octets), taken);
        while !lanes.take(&LANE).is_empty() {}
        assert!(lanes.0.lock().is_empty());
    }

    #[test]
    fn a_prefix_or_summary_past_its_bound_is_refused() {
        use crate::limits::{PREFIX_OCTETS, SUMMARY_OCTETS};

        let of = |prefix: usize, summary: usize| {
            let message = waiting(summary).delivery.message;
            NewMessage { prefix: vec![b'x'; prefix].into(), ..message }.check()
        };
        assert!(of(PREFIX_OCTETS, SUMMARY_OCTETS).is_ok());
        assert!(matches!(of(PREFIX_OCTETS + 1, 0), Err(Error::TooLarge(_))));
        assert!(matches!(of(0, SUMMARY_OCTETS + 1), Err(Error::TooLarge(_))));
    }
}
