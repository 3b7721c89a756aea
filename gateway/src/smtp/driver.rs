//! Socket, session and policy together: moves octets, keeps the time, asks the policy, and holds the
//! message's memory under the node's budget. It knows no command.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::policy::{Peer, Policy};
use super::session::{Config, Session, Step};
use crate::limits::{CLOSE_WAIT, MEMORY_WAIT};
use crate::net::{ByteBudget, Connection, Drain, Reservation, Tls};

/// What all connections of a listener share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    /// The server's side of the dialogue; `starttls` must be false where `tls` is `None`.
    pub config: Arc<Config>,
    /// For STARTTLS.
    pub tls: Option<Tls>,
    /// Memory of all messages under way.
    pub budget: ByteBudget,
    /// When it starts, idle clients are told to come again, and others after their message.
    pub drain: Drain,
}

/// How a connection goes on.
enum Flow {
    On,
    End,
}

struct Dialogue<P: Policy> {
    service: Service,
    connection: Connection,
    policy: P,
    peer: Peer,
    session: Session<P::Admission>,
    input: BytesMut,
    memory: Reservation,
}

/// Serves one connection to its end.
pub async fn serve<P: Policy>(service: Service, connection: Connection, policy: P) {
    let peer = Peer { address: connection.peer, tls: connection.stream.tls_facts() };
    let channel = service.config.channel(connection.stream.is_tls(), connection.peer.ip());
    let session = Session::open(Arc::clone(&service.config), channel, Instant::now());
    let (input, memory) = (BytesMut::new(), service.budget.empty());
    let mut dialogue = Dialogue { service, connection, policy, peer, session, input, memory };
    while let Flow::On = dialogue.step().await {}
    let goodbye = dialogue.connection.stream.shutdown();
    // The peer may be gone already; nobody waits for it.
    let _ = tokio::time::timeout(CLOSE_WAIT, goodbye).await;
}

impl<P: Policy> Dialogue<P> {
    /// What the policy does is boxed: a connection's task is as large as the largest thing it may ever wait
    /// for, and most connections wait for their client.
    async fn step(&mut self) -> Flow {
        // What is at hand already is never waited for: others get their turn here.
        tokio::task::consume_budget().await;
        match self.session.handle(&mut self.input, Instant::now()) {
            Step::NeedMore => return self.more().await,
            Step::StartTls => return self.start_tls().await,
            Step::Close => {
                self.flush().await;
                return Flow::End;
            }
            Step::Memory(octets) => {
                let granted = self.memory.grow_to(octets, MEMORY_WAIT).await;
                self.session.memory_granted(granted.ok().map(|()| octets));
            }
            Step::Authenticate(credentials) => {
                let verdict = Box::pin(self.policy.authenticate(&self.peer, &credentials)).await;
                self.session.authenticated(verdict);
            }
            Step::CheckSender(transaction) => {
                let verdict = Box::pin(self.policy.sender(&self.peer, &transaction)).await;
                self.session.sender_checked(transaction, verdict);
            }
            Step::CheckRecipient(candidate) => {
                let verdict = match self.session.transaction() {
                    Some(transaction) => {
                        Box::pin(self.policy.recipient(&self.peer, transaction, &candidate)).await
                    }
                    None => return Flow::End,
                };
                self.session.recipient_checked(candidate, verdict);
            }
            Step::Message(incoming) => {
                let memory = std::mem::replace(&mut self.memory, self.service.budget.empty());
                let replies = Box::pin(self.policy.message(&self.peer, *incoming, memory)).await;
                self.session.message_answered(&replies);
            }
        }
        Flow::On
    }

    /// Sends what there is, then waits for more: until the deadline, or until the server ends and no
    /// message is under way.
    async fn more(&mut self) -> Flow {
        self.memory.shrink_to(self.session.granted_octets());
        if let Flow::End = self.flush().await {
            return Flow::End;
        }
        let between_messages = !self.session.is_amid_mail();
        let deadline = tokio::time::Instant::from_std(self.session.deadline());
        tokio::select! {
            read = self.connection.read(&mut self.input) => match read {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Flow::End, // what was not acknowledged is the client's still
            },
            () = tokio::time::sleep_until(deadline) => self.session.timed_out(),
            () = self.service.drain.started(), if between_messages => self.session.shut_down(),
        }
        Flow::On
    }

    async fn start_tls(&mut self) -> Flow {
        let Some(tls) = &self.service.tls else { return Flow::End };
        let output = self.session.take_output();
        if self.connection.write(&output, self.service.config.reply_wait).await.is_err() {
            return Flow::End;
        }
        if let Err(error) = self.connection.start_tls(tls, &mut self.input).await {
            tracing::debug!(peer = %self.peer.address, %error, "TLS handshake failed");
            return Flow::End;
        }
        self.peer.tls = self.connection.stream.tls_facts();
        self.session.tls_started(Instant::now());
        Flow::On
    }

    async fn flush(&mut self) -> Flow {
        let output = self.session.take_output();
        match output.is_empty()
            || self.connection.write(&output, self.service.config.reply_wait).await.is_ok()
        {
            true => Flow::On,
            false => Flow::End,
        }
    }
}
