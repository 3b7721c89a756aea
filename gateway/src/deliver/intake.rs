//! From what a session received to an [`Arrival`]: trace header, envelope, and the reply that names the
//! queue id. Shared by all inbound roles.

use bytes::Bytes;
use sterna_storage::types::{AccountId, DomainId, QueueId, Timestamp};

use super::admission::Admission;
use super::envelope::{Envelope, Origin};
use super::{Arrival, Deliverer, plan, reply};
use crate::limits::HOPS;
use crate::message::{header, trace};
use crate::net::Reservation;
use crate::smtp::Peer;
use crate::smtp::codec::{EnhancedCode, Reply};
use crate::smtp::session::{Incoming, Transaction};

/// The message has been through too many servers.
const LOOP: Reply = Reply::new(554, EnhancedCode(5, 4, 6), "Too many hops: the message goes in circles");

/// A message on its way from a role's policy to the deliverer.
#[derive(Debug)]
pub struct Intake {
    /// The id that the reply will carry.
    pub id: QueueId,
    /// When its last octet was read.
    pub received: Timestamp,
    /// As the session gave it.
    pub incoming: Incoming<Admission>,
    /// What its octets count against.
    memory: Reservation,
    /// Who submitted it, and the domain it is sent from.
    pub submitter: Option<(AccountId, DomainId)>,
    /// Header fields that stand below our Received and above the message.
    pub signatures: String,
}

impl Intake {
    /// Of a message that was read just now. Refused with `554 5.4.6` if it goes in circles.
    pub fn new(incoming: Incoming<Admission>, memory: Reservation) -> Result<Self, Reply> {
        let section = &incoming.message[..header::length(&incoming.message)];
        if trace::hops(section) > HOPS {
            return Err(LOOP);
        }
        let received = Timestamp::now();
        let (id, signatures) = (QueueId::new(received), String::new());
        Ok(Self { id, received, incoming, memory, submitter: None, signatures })
    }

    /// Gives it to the deliverer; its id is then a promise.
    pub async fn accept(self, deliverer: &Deliverer, host: &str, peer: &Peer) -> Result<QueueId, Reply> {
        let id = self.id;
        let arrival = self.arrival(host, peer, deliverer.now())?;
        let (octets, recipients) = (arrival.message.len(), arrival.envelope.recipients.len());
        match deliverer.accept(arrival).await {
            Ok(()) => {
                tracing::info!(%id, octets, recipients, peer = %peer.address, "accepted");
                Ok(id)
            }
            Err(error) => {
                tracing::warn!(%id, %error, peer = %peer.address, "message not accepted");
                Err(reply::of(&error))
            }
        }
    }

    fn arrival(self, host: &str, peer: &Peer, due: Timestamp) -> Result<Arrival, Reply> {
        let tls = peer.tls.as_ref().map(|tls| format!("{} {}", tls.version, tls.cipher));
        let mut trace = self.received_field(host, peer, tls.as_deref());
        trace.push_str(&self.signatures);
        let Incoming { transaction, message, hello, protocol } = self.incoming;
        let Transaction { sender, parameters, recipients } = transaction;
        let domains = recipients.iter().find_map(|recipient| recipient.admission.domain);
        let wanted: Vec<_> = recipients.into_iter().map(|recipient| recipient.admission.wanted).collect();
        let recipients = plan::recipients(&wanted, due);
        let body_domain =
            plan::body_domain(&recipients).or(self.submitter.map(|(_, domain)| domain)).or(domains);
        let envelope = Envelope {
            sender,
            body: parameters.body,
            smtp_utf8: parameters.smtp_utf8,
            return_content: parameters.return_content,
            envelope_id: parameters.envelope_id,
            trace,
            body_domain: body_domain.ok_or(reply::TRY_AGAIN)?,
            origin: Origin {
                received: self.received,
                account: self.submitter.map(|(account, _)| account),
                peer: Some(peer.address.ip()),
                hello: hello.name,
                protocol: protocol.to_owned(),
                tls,
            },
            recipients,
        };
        let memory = Some(self.memory);
        Ok(Arrival { id: self.id, envelope, message: Bytes::from(message), memory })
    }

    /// Our Received field (RFC 5321 §4.4). Where our own accounts connect from is nobody's business.
    fn received_field(&self, host: &str, peer: &Peer, tls: Option<&str>) -> String {
        let recipient = match self.incoming.transaction.recipients.as_slice() {
            [only] => only.admission.wanted.address.address(),
            _ => None,
        };
        let client =
            trace::Client { helo: &self.incoming.hello.name, name: None, address: peer.address.ip() };
        trace::received(&trace::Received {
            from: self.submitter.is_none().then_some(client),
            by: host,
            with: self.incoming.protocol,
            tls,
            id: self.id,
            recipient: recipient.as_ref(),
            time: self.received,
        })
    }
}

/// What the client is told of a message that was taken.
pub fn taken(id: QueueId) -> Reply {
    Reply::composed(250, EnhancedCode(2, 0, 0), format!("OK, queued as {id}"))
}
