//! The report that an entry's sender gets, as an entry of its own.

use bytes::Bytes;
use sterna_storage::Result;
use sterna_storage::bodies::Staged;
use sterna_storage::directory::Resolution;
use sterna_storage::kv::record::Record;
use sterna_storage::queue::{Claim, Entry};
use sterna_storage::types::{QueueId, Timestamp};

use super::report;
use super::worker::Worker;
use crate::deliver::envelope::{BodyKind, Envelope, Notify, Origin, Recipient};
use crate::deliver::plan;
use crate::limits;
use crate::message::dsn::{Action, Composed};

/// A report that is written and not yet put into the queue.
pub(super) struct Ready {
    pub(super) entry: Entry,
    pub(super) staged: Staged,
}

impl Worker {
    /// The report as an entry of its own; `None` where nothing is due, or its recipient does not exist.
    pub(super) async fn report(
        &self,
        claim: &Claim,
        envelope: &Envelope,
        due: &[(usize, Action)],
    ) -> Result<Option<Ready>> {
        if due.is_empty() {
            return Ok(None);
        }
        let parts = &self.inner.parts;
        let Some(wanted) = self.report_recipient(envelope).await? else { return Ok(None) };
        let wanted = plan::Wanted { notify: Some(Notify::NEVER), ..wanted };
        let reader = parts.bodies.open_body(claim.entry.body).await?;
        let whole = report::returns_all(envelope, due) && reader.len() <= limits::DSN_RETURN_OCTETS as u64;
        let octets = if whole { reader.len() } else { limits::HEADER_OCTETS as u64 };
        let _held = self.memory(octets.min(reader.len())).await?;
        let message = [envelope.trace.as_bytes(), &reader.read_all(0..octets).await?].concat();
        // By the wall clock for people, by the store's for the queue.
        let (now, due_at) = (Timestamp::now(), parts.queue.now());
        let facts =
            report::Facts { host: &parts.outbound.config().host, now, schedule: &self.inner.schedule };
        let Some(composed) = report::compose(envelope, due, &Bytes::from(message), &facts) else {
            return Ok(None);
        };
        let staged = parts.bodies.write(envelope.body_domain, &composed.octets).await?;
        let report = report_envelope(envelope, &composed, plan::recipients(&[wanted], due_at), now);
        let entry = Entry {
            id: QueueId::new(now),
            created: due_at,
            due: due_at,
            body: staged.id,
            body_size: staged.size,
            payload: report.encode(),
            held: false,
        };
        tracing::info!(id = %claim.entry.id, report = %entry.id, "report to the sender");
        Ok(Some(Ready { entry, staged }))
    }

    async fn report_recipient(&self, envelope: &Envelope) -> Result<Option<plan::Wanted>> {
        let Some(sender) = &envelope.sender else { return Ok(None) };
        let Some(address) = sender.address() else { return Ok(Some(plan::Wanted::remote(sender.clone()))) };
        Ok(match self.inner.parts.directory.resolve(&address).await? {
            Resolution::NotLocal { .. } => Some(plan::Wanted::remote(sender.clone())),
            Resolution::Unknown => None,
            Resolution::Deliver { accounts, forwards } => {
                Some(plan::Wanted::local(sender.clone(), accounts, &forwards))
            }
        })
    }
}

fn report_envelope(
    about: &Envelope,
    composed: &Composed,
    recipients: Vec<Recipient>,
    now: Timestamp,
) -> Envelope {
    Envelope {
        // Never a report about a report (RFC 5321 §6.1).
        sender: None,
        body: if composed.is_8bit { BodyKind::EightBitMime } else { BodyKind::SevenBit },
        smtp_utf8: composed.smtputf8,
        return_content: None,
        envelope_id: None,
        trace: String::new(),
        body_domain: about.body_domain,
        origin: Origin {
            received: now,
            account: None,
            peer: None,
            hello: String::new(),
            protocol: String::new(),
            tls: None,
        },
        recipients,
    }
}
