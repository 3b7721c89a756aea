//! Messages on their way.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use sterna_gateway::deliver::Envelope;
use sterna_gateway::deliver::envelope::{self, Recipient};
use sterna_storage::kv::record::Record;
use sterna_storage::queue::{Listed, Queue};
use sterna_storage::types::{QueueId, Timestamp};

use super::reply::{Asked, At, Reply};
use super::server::{Admin, done};
use super::view::{CountsView, FailureView, Page, PageQuery, QueueView, RecipientView};
use crate::limits;

type Context = State<Arc<Admin>>;

pub(super) async fn list(admin: Context, query: Asked<PageQuery>) -> Reply<Json<Page<QueueView>>> {
    let after = query.0.after.as_deref().map(str::parse::<QueueId>).transpose()?;
    let limit = query.0.limit.unwrap_or(limits::ADMIN_PAGE_ITEMS).max(1);
    let listed = admin.queue.list(after, limit).await?;
    // Pages end early where entries are long; only an empty one is the last.
    let next = listed.last().map(|last| last.entry.id.to_string());
    let people = People::of(&admin.queue);
    Ok(Json(Page { items: listed.iter().map(|one| view(one, people)).collect(), next }))
}

pub(super) async fn show(admin: Context, id: At<String>) -> Reply<Json<QueueView>> {
    Ok(Json(view(&admin.queue.entry(parsed(&id.0)?).await?, People::of(&admin.queue))))
}

fn parsed(id: &str) -> Reply<QueueId> {
    Ok(id.parse()?)
}

pub(super) async fn counts(admin: Context) -> Reply<Json<CountsView>> {
    let counts = admin.queue.counts().await?;
    let (entries, claimed, held) = (counts.entries, counts.claimed, counts.held);
    let people = People::of(&admin.queue);
    let oldest = counts.oldest.map(|oldest| people.told(oldest));
    Ok(Json(CountsView { entries, claimed, held, oldest }))
}

pub(super) async fn hold(admin: Context, id: At<String>) -> Reply<Json<Value>> {
    let id = parsed(&id.0)?;
    admin.queue.hold(id).await?;
    tracing::info!(%id, "a message is held");
    Ok(done())
}

pub(super) async fn release(admin: Context, id: At<String>) -> Reply<Json<Value>> {
    let id = parsed(&id.0)?;
    admin.queue.release(id).await?;
    tracing::info!(%id, "a held message goes on");
    Ok(done())
}

pub(super) async fn retry(admin: Context, id: At<String>) -> Reply<Json<Value>> {
    let id = parsed(&id.0)?;
    admin.queue.try_now(id, admin.queue.now()).await?;
    tracing::info!(%id, "a message is tried now");
    Ok(done())
}

pub(super) async fn cancel(admin: Context, id: At<String>) -> Reply<Json<Value>> {
    let id = parsed(&id.0)?;
    admin.queue.cancel(id).await?;
    tracing::info!(%id, "a message was taken out of the queue");
    Ok(done())
}

/// How people are told the queue's times: by the wall clock.
#[derive(Clone, Copy)]
struct People {
    store: Timestamp,
    wall: Timestamp,
}

impl People {
    fn of(queue: &Queue) -> Self {
        Self { store: queue.now(), wall: Timestamp::now() }
    }

    fn told(self, time: Timestamp) -> Timestamp {
        time.told(self.store, self.wall)
    }
}

fn view(listed: &Listed, people: People) -> QueueView {
    let entry = &listed.entry;
    let state = match (entry.held, listed.claimed) {
        (true, _) => "held",
        (false, true) => "active",
        (false, false) => "waiting",
    };
    let envelope = Envelope::decode(&entry.payload);
    if let Err(error) = &envelope {
        tracing::error!(id = %entry.id, %error, "a queue entry cannot be read");
    }
    let sender = |envelope: &Envelope| envelope.sender.as_ref().map(ToString::to_string);
    QueueView {
        id: entry.id.to_string(),
        created: people.told(entry.created),
        due: people.told(entry.due),
        size_octets: entry.body_size,
        state: state.to_owned(),
        sender: envelope.as_ref().ok().and_then(sender),
        recipients: envelope
            .map(|envelope| envelope.recipients.iter().map(|one| recipient(one, people)).collect())
            .unwrap_or_default(),
    }
}

fn recipient(recipient: &Recipient, people: People) -> RecipientView {
    let state = match &recipient.state {
        envelope::State::Pending => "pending".to_owned(),
        envelope::State::Delivered => "delivered".to_owned(),
        envelope::State::Relayed { host, .. } => format!("relayed to {host}"),
        envelope::State::Failed => "failed".to_owned(),
    };
    let last_failure = recipient.last_failure.as_ref().map(|failure| FailureView {
        at: failure.at,
        status: failure.status.clone(),
        text: failure.text.clone(),
        host: failure.host.clone(),
    });
    RecipientView {
        address: recipient.address.to_string(),
        state,
        attempts: recipient.attempts,
        next_attempt: people.told(recipient.next_attempt),
        last_failure,
    }
}
