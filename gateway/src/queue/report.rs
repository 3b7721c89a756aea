//! What senders are told: which recipients a report is due for, and the report itself as a message of its own
//! under the null reverse-path (RFC 3461 §5.2, RFC 3464).

use std::time::Duration;

use bytes::Bytes;
use sterna_storage::types::Timestamp;

use super::schedule::Schedule;
use crate::deliver::envelope::{Envelope, Recipient, Return, State};
use crate::message::dsn::{self, Action, Composed, Report, Returned};

/// The recipients that a report is due for, by position, and what it says of them: `age` is the message's. Empty for the
/// null sender.
pub(super) fn due(envelope: &Envelope, schedule: &Schedule, age: Duration) -> Vec<(usize, Action)> {
    if envelope.sender.is_none() {
        return Vec::new();
    }
    let is_late = envelope.origin.account.is_some() && schedule.is_late(age);
    let action = |recipient: &Recipient| match &recipient.state {
        State::Pending => {
            let wanted = recipient.notify.is_none_or(|notify| notify.delay);
            (is_late && wanted && !recipient.delay_reported && recipient.attempts > 0)
                .then_some(Action::Delayed)
        }
        _ if recipient.reported => None,
        State::Delivered => Some(Action::Delivered),
        State::Relayed { .. } => Some(Action::Relayed),
        State::Failed => Some(Action::Failed),
    };
    let recipients = envelope.recipients.iter().enumerate();
    recipients.filter_map(|(at, recipient)| action(recipient).map(|action| (at, action))).collect()
}

/// Writes down that the report is on its way.
pub(super) fn mark(envelope: &mut Envelope, due: &[(usize, Action)]) {
    for (at, action) in due {
        if let Some(recipient) = envelope.recipients.get_mut(*at) {
            match action {
                Action::Delayed => recipient.delay_reported = true,
                Action::Failed | Action::Delivered | Action::Relayed => recipient.reported = true,
            }
        }
    }
}

/// Whether the report returns the whole message: only if a failure is reported and the sender asked for it (RFC
/// 3461 §4.3).
pub(super) fn returns_all(envelope: &Envelope, due: &[(usize, Action)]) -> bool {
    let has_failure = due.iter().any(|(_, action)| *action == Action::Failed);
    has_failure && envelope.return_content == Some(Return::Full)
}

/// The report's octets; `None` for the null sender. `message` is the message with its trace, or its beginning
/// with the whole header.
pub(super) fn compose(
    envelope: &Envelope,
    due: &[(usize, Action)],
    message: &Bytes,
    facts: &Facts<'_>,
) -> Option<Composed> {
    let sender = envelope.sender.as_ref()?.to_string();
    let told: Vec<(String, &Recipient, Action)> = due
        .iter()
        .filter_map(|(at, action)| {
            envelope.recipients.get(*at).map(|recipient| (recipient.address.to_string(), recipient, *action))
        })
        .collect();
    let expiry = facts.schedule.expiry(envelope.origin.received);
    let recipients: Vec<dsn::Recipient<'_>> =
        told.iter().map(|(address, recipient, action)| line(address, recipient, *action, expiry)).collect();
    let header = &message[..crate::message::header::length(message)];
    let returned =
        if returns_all(envelope, due) { Returned::Full(message) } else { Returned::Header(header) };
    Some(dsn::compose(&Report {
        host: facts.host,
        sender: &sender,
        envelope_id: envelope.envelope_id.as_deref(),
        arrived: envelope.origin.received,
        now: facts.now,
        recipients: &recipients,
        returned,
        smtputf8: envelope.smtp_utf8,
    }))
}

/// What a report needs to know besides the envelope.
pub(super) struct Facts<'a> {
    pub(super) host: &'a str,
    pub(super) now: Timestamp,
    pub(super) schedule: &'a Schedule,
}

fn line<'a>(
    address: &'a str,
    recipient: &'a Recipient,
    action: Action,
    expiry: Timestamp,
) -> dsn::Recipient<'a> {
    let failure = recipient.last_failure.as_ref();
    let (status, remote_host, text) = match (&recipient.state, failure) {
        (State::Relayed { host, reply, .. }, _) => ("2.0.0", Some(host.as_str()), reply.as_str()),
        (State::Delivered, _) => ("2.0.0", None, ""),
        (_, Some(failure)) => (failure.status.as_str(), failure.host.as_deref(), failure.text.as_str()),
        (State::Failed, None) => ("5.0.0", None, ""),
        (State::Pending, None) => ("4.0.0", None, ""),
    };
    dsn::Recipient {
        address,
        original: recipient.original.as_deref(),
        action,
        status,
        remote_host,
        text,
        last_attempt: failure.map(|failure| failure.at),
        retried_until: Some(expiry),
    }
}
