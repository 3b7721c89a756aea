//! What a role decides, apart from how the protocol says it. One policy value serves one connection.

use std::future::Future;
use std::net::SocketAddr;

use super::codec::Reply;
use super::session::{Candidate, Incoming, Transaction};
use crate::login::sasl::Credentials;
use crate::net::{Reservation, TlsFacts};

/// The other side of a connection, as far as the connection itself tells.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The TLS in use now.
    pub tls: Option<TlsFacts>,
}

/// Decides for one connection. Every refusal is the reply that the client gets.
pub trait Policy: Send {
    /// What is remembered of a recipient from RCPT to the end of the message.
    type Admission: Send + Sync;

    /// Checks a login.
    fn authenticate(
        &mut self,
        peer: &Peer,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<(), Reply>> + Send;

    /// May this sender send?
    fn sender(
        &mut self,
        peer: &Peer,
        transaction: &Transaction<Self::Admission>,
    ) -> impl Future<Output = Result<(), Reply>> + Send;

    /// May it send to this recipient?
    fn recipient(
        &mut self,
        peer: &Peer,
        transaction: &Transaction<Self::Admission>,
        candidate: &Candidate,
    ) -> impl Future<Output = Result<Self::Admission, Reply>> + Send;

    /// Takes a message or refuses it. A positive reply is a promise: by then it must be kept (RFC 5321
    /// §6.1). `memory` is what the message's octets count against; it lives as long as they do. One reply, or for LMTP one per recipient in their order.
    fn message(
        &mut self,
        peer: &Peer,
        incoming: Incoming<Self::Admission>,
        memory: Reservation,
    ) -> impl Future<Output = Vec<Reply>> + Send;
}
