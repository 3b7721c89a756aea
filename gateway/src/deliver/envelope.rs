//! What a queue entry remembers of its message: the payload that `storage::queue` keeps without
//! reading it. Written when the message is accepted, rewritten with each attempt.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sterna_storage::kv::record::Record;
use sterna_storage::types::{AccountId, Address, DomainId, OperationId, QueueId, Timestamp};

pub use crate::smtp::codec::parameter::{BodyKind, Notify, Return};
pub use crate::smtp::codec::{Mailbox, ReversePath};

/// A message's envelope and the state of each of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Whom reports go to; `None` for the null reverse-path, to which none ever goes.
    pub sender: ReversePath,
    /// What the sender said of the message's octets.
    pub body: BodyKind,
    /// Whether addresses and header may be UTF-8 (RFC 6531): the next server must offer SMTPUTF8.
    pub smtp_utf8: bool,
    /// RET (RFC 3461 §4.3).
    pub return_content: Option<Return>,
    /// ENVID as xtext (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// Header fields that stand before the stored body wherever the message goes, each with its CRLF:
    /// our Received, and our DKIM-Signature on what our accounts send. Local copies have Return-Path
    /// and Delivered-To before these.
    pub trace: String,
    /// Under which domain's key the body is sealed; only recipients of that domain may share it.
    pub body_domain: DomainId,
    /// Who brought it.
    pub origin: Origin,
    /// All recipients, also those that are done; never empty.
    pub recipients: Vec<Recipient>,
}

/// Who brought a message, for people who ask later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When its last octet was read, by the wall clock.
    pub received: Timestamp,
    /// The account that submitted it; `None` if it came from elsewhere or from ourselves.
    pub account: Option<AccountId>,
    /// The client's address; `None` if it came from ourselves.
    pub peer: Option<IpAddr>,
    /// The client's name, as it introduced itself.
    pub hello: String,
    /// `ESMTPS` and the like.
    pub protocol: String,
    /// TLS version and cipher, as in `TLS1.3 TLS13_AES_256_GCM_SHA384`.
    pub tls: Option<String>,
}

/// A recipient and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where the message goes: for a local one, the address that led to the account.
    pub address: Mailbox,
    /// ORCPT (`address-type;xtext`), for reports and the next server.
    pub original: Option<String>,
    /// NOTIFY; `None` where nothing was said: reports on failure and delay.
    pub notify: Option<Notify>,
    /// How it gets there.
    pub target: Target,
    /// How far it is.
    pub state: State,
    /// Attempts made.
    pub attempts: u32,
    /// Not before this, by the clock of the queue ([`sterna_storage::queue::Queue::now`]); ignored once `state` is final.
    pub next_attempt: Timestamp,
    /// What the last attempt ended with, if not with success.
    pub last_failure: Option<Failure>,
    /// Whether its sender was told of the delay.
    pub delay_reported: bool,
    /// Whether nothing is left to tell its sender: the report on its final state was sent, or none is due.
    pub reported: bool,
}

/// How a recipient is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// An account of this system.
    Local {
        /// Whose INBOX it goes to.
        account: AccountId,
        /// The account's domain, under whose key its body is sealed.
        domain: DomainId,
    },
    /// By SMTP, to the domain of the address.
    Remote,
}

/// How far a recipient is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Still to be delivered.
    Pending,
    /// In the mailbox.
    Delivered,
    /// Handed on to another server.
    Relayed {
        /// Its name.
        host: String,
        /// Whether it offers DSN, so that further reports are its matter (RFC 3461 §5.2.2).
        dsn: bool,
        /// Its last reply.
        reply: String,
    },
    /// Given up: `last_failure` says why.
    Failed,
}

/// What an attempt ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Enhanced status, as in `4.4.1` (RFC 3463).
    pub status: String,
    /// The other server's reply, or what went wrong here, in words.
    pub text: String,
    /// The server that gave the reply; `None` if there was none.
    pub host: Option<String>,
}

impl Record for Envelope {
    const VERSION: u8 = 1;
}

impl Envelope {
    /// Whether every recipient's state is final and every report that was due was sent: the queue entry can go.
    pub fn is_done(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.is_final() && recipient.reported)
    }

    /// Sets a recipient's final state; whether a report is due follows from what its sender wants
    /// (RFC 3461 §4.1, and never to the null reverse-path).
    pub fn settle(&mut self, recipient: usize, state: State) {
        let nobody = self.sender.is_none();
        if let Some(recipient) = self.recipients.get_mut(recipient) {
            let wanted = recipient.notify.unwrap_or(Notify { success: false, failure: true, delay: true });
            recipient.reported = nobody
                || match &state {
                    State::Pending => false,
                    State::Delivered => !wanted.success,
                    // A server that speaks DSN reports further on by itself.
                    State::Relayed { dsn, .. } => *dsn || !wanted.success,
                    State::Failed => !wanted.failure,
                };
            recipient.state = state;
        }
    }
}

impl Recipient {
    /// One that nothing was done for yet.
    pub fn new(address: Mailbox, target: Target, now: Timestamp) -> Self {
        Self {
            address,
            original: None,
            notify: None,
            target,
            state: State::Pending,
            attempts: 0,
            next_attempt: now,
            last_failure: None,
            delay_reported: false,
            reported: false,
        }
    }

    /// Whether its state is final.
    pub fn is_final(&self) -> bool {
        self.state != State::Pending
    }

    /// The directory's form of the address; `None` at an address literal.
    pub fn directory_address(&self) -> Option<Address> {
        self.address.address()
    }
}

/// The operation that files a message in an account: the same for every attempt, so that it takes
/// effect once, wherever and however often it is tried.
pub fn local_operation(queue_id: QueueId, account: AccountId) -> OperationId {
    OperationId::derived(&[b"deliver", &queue_id.0, &account.0.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(recipients: Vec<Recipient>) -> Envelope {
        Envelope {
            sender: None,
            body: BodyKind::EightBitMime,
            smtp_utf8: true,
            return_content: Some(Return::Headers),
            envelope_id: Some("QQ314159".into()),
            trace: "Received: from x\r\n".into(),
            body_domain: DomainId(3),
            origin: Origin {
                received: Timestamp::from_secs(1_700_000_000),
                account: None,
                peer: Some("192.0.2.1".parse().expect("an address")),
                hello: "x.example".into(),
                protocol: "ESMTP".into(),
                tls: None,
            },
            recipients,
        }
    }

    #[test]
    fn envelopes_are_read_back() {
        let now = Timestamp::from_secs(1_700_000_000);
        let mut recipient = Recipient::new(
            "\"a b\"@[IPv6:2001:db8::1]".parse().expect("valid"),
            Target::Local { account: AccountId(7), domain: DomainId(3) },
            now,
        );
        recipient.notify = Some(Notify::NEVER);
        recipient.last_failure =
            Some(Failure { at: now, status: "4.2.2".into(), text: "full".into(), host: None });
        let envelope = envelope(vec![recipient]);
        assert_eq!(Envelope::decode(&envelope.encode()).expect("own record"), envelope);
        assert!(!envelope.is_done() && !envelope.recipients[0].is_final());
    }

    #[test]
    fn reports_are_due_as_the_sender_wants() {
        let due = |sender: Option<&str>, notify, state| {
            let now = Timestamp::from_secs(1);
            let mut recipient = Recipient::new("b@x.example".parse().expect("valid"), Target::Remote, now);
            recipient.notify = notify;
            let sender = sender.map(|sender| sender.parse().expect("valid"));
            let mut envelope = Envelope { sender, ..envelope(vec![recipient]) };
            envelope.settle(0, state);
            !envelope.is_done()
        };
        let success = Some(Notify { success: true, failure: false, delay: false });
        let relayed = |dsn| State::Relayed { host: "mx".into(), dsn, reply: "250".into() };
        assert!(due(Some("a@x.example"), None, State::Failed));
        assert!(!due(Some("a@x.example"), None, State::Delivered));
        assert!(due(Some("a@x.example"), success, State::Delivered));
        assert!(!due(Some("a@x.example"), success, State::Failed));
        assert!(due(Some("a@x.example"), success, relayed(false)));
        assert!(!due(Some("a@x.example"), success, relayed(true)));
        assert!(!due(Some("a@x.example"), Some(Notify::NEVER), State::Failed));
        assert!(!due(None, success, State::Failed) && !due(None, success, State::Delivered));
    }

    #[test]
    fn operations_differ_by_message_and_account() {
        let (one, other) = (QueueId([1; 10]), QueueId([2; 10]));
        assert_eq!(local_operation(one, AccountId(1)), local_operation(one, AccountId(1)));
        assert_ne!(local_operation(one, AccountId(1)), local_operation(one, AccountId(2)));
        assert_ne!(local_operation(one, AccountId(1)), local_operation(other, AccountId(1)));
    }
}
