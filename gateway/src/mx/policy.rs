//! Mail from other servers, and over LMTP from a server beside us: only for recipients that exist, never
//! relayed, never with a login.

use std::sync::Arc;

use crate::deliver::Deliverer;
use crate::deliver::admission::{Admission, Found, RELAYING_DENIED, Recipients};
use crate::deliver::intake::{Intake, taken};
use crate::deliver::reply::TRY_AGAIN;
use crate::login::sasl::Credentials;
use crate::net::{Connection, Reservation};
use crate::smtp::codec::{EnhancedCode, ForwardPath, Reply};
use crate::smtp::driver::{self, Service};
use crate::smtp::session::{Candidate, Incoming, Role, Transaction};
use crate::smtp::{Peer, Policy};

/// What the connections of this role share.
#[derive(Clone)]
pub struct Mx {
    /// Who exists.
    pub recipients: Recipients,
    /// Takes the messages.
    pub deliverer: Deliverer,
}

/// Serves a connection of port 25 ([`Role::Mx`]) or of LMTP ([`Role::Lmtp`]).
pub async fn serve(service: Service, mx: Arc<Mx>, connection: Connection) {
    let (host, role) = (service.config.host_name.clone(), service.config.role);
    driver::serve(service, connection, MxPolicy { mx, host, role }).await;
}

struct MxPolicy {
    mx: Arc<Mx>,
    host: String,
    role: Role,
}

impl Policy for MxPolicy {
    type Admission = Admission;

    /// Never offered here; the session refuses AUTH before it comes to this.
    async fn authenticate(&mut self, _: &Peer, _: &Credentials) -> Result<(), Reply> {
        Err(Reply::new(502, EnhancedCode(5, 5, 1), "Command not implemented"))
    }

    /// Any sender may try; the null sender must be taken (RFC 5321 §4.5.5).
    async fn sender(&mut self, _: &Peer, _: &Transaction<Admission>) -> Result<(), Reply> {
        Ok(())
    }

    async fn recipient(
        &mut self,
        peer: &Peer,
        transaction: &Transaction<Admission>,
        candidate: &Candidate,
    ) -> Result<Admission, Reply> {
        let size = transaction.parameters.size_octets.unwrap_or(0);
        let refusal = match self.mx.recipients.find(candidate, size).await {
            Ok(Found::Ours(admission)) => return Ok(admission),
            Ok(Found::Elsewhere { is_certain: true, .. }) => RELAYING_DENIED,
            Ok(Found::Elsewhere { is_certain: false, .. }) => TRY_AGAIN,
            Err(refusal) => refusal,
        };
        tracing::info!(peer = %peer.address, reply = %refusal, "recipient refused");
        Err(refusal)
    }

    async fn message(
        &mut self,
        peer: &Peer,
        incoming: Incoming<Admission>,
        memory: Reservation,
    ) -> Vec<Reply> {
        let paths = match self.role {
            Role::Lmtp => incoming.transaction.recipients.iter().map(|one| one.path.clone()).collect(),
            Role::Mx | Role::Submission => Vec::new(),
        };
        let accepted = match Intake::new(incoming, memory) {
            Ok(intake) => intake.accept(&self.mx.deliverer, &self.host, peer).await,
            Err(refusal) => Err(refusal),
        };
        match accepted {
            Ok(id) if paths.is_empty() => vec![taken(id)],
            // RFC 2033 §4.2: a reply for each, in their order.
            Ok(id) => paths.iter().map(|path| delivered(path, &id.to_string())).collect(),
            Err(refusal) => vec![refusal],
        }
    }
}

fn delivered(path: &ForwardPath, id: &str) -> Reply {
    let text = match path {
        ForwardPath::Postmaster => format!("<postmaster> OK, queued as {id}"),
        ForwardPath::Mailbox(mailbox) => format!("<{mailbox}> OK, queued as {id}"),
    };
    Reply::composed(250, EnhancedCode(2, 1, 5), text)
}
