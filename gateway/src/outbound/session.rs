//! One dialogue with another server: moves octets between the wire and the client's state machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use futures::StreamExt;
use tokio::time::Instant;

use super::content::Content;
use super::transport::MayEnd;
use super::wire::Wire;
use crate::limits;
use crate::smtp::client::{self, Client, ClientConfig, ClientError, Extensions, Request, Step, TlsUse};

/// Why a connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error(transparent)]
    Dialogue(#[from] ClientError),
    /// The message cannot be read: our own trouble.
    #[error("the message cannot be read: {0}")]
    Storage(#[from] sterna_storage::Error),
    /// The caller has lost the right to send.
    #[error("given up")]
    Abandoned,
}

/// A dialogue that broke off.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) why: Lost,
    /// Whether the final dot had been sent: then the server may have taken the message all the same.
    pub(super) was_sent: bool,
}

impl Broken {
    /// Whether a connection that had been kept open may only have gone stale.
    pub(super) fn is_stale(&self) -> bool {
        let closed = matches!(self.why, Lost::Io(_) | Lost::Closed | Lost::Dialogue(ClientError::Closing(_)));
        closed && !self.was_sent
    }
}

/// Where and how to connect.
#[derive(Clone)]
pub(super) struct Dial<'a> {
    pub(super) host: &'a str,
    pub(super) address: SocketAddr,
    pub(super) hello: &'a str,
    /// `None`: in the clear.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

/// An open connection, ready for a transaction.
pub(super) struct Session {
    wire: Wire,
    client: Client,
    input: BytesMut,
    pub(super) address: SocketAddr,
    pub(super) transactions: u32,
    /// When it last became idle.
    pub(super) idle_since: Instant,
}

impl Session {
    /// Connects and introduces itself. A failed handshake is [`Lost::Tls`]: the caller may dial again in the
    /// clear.
    pub(super) async fn open(dial: Dial<'_>) -> Result<Self, Lost> {
        let tls = if dial.tls.is_some() { TlsUse::IfOffered } else { TlsUse::Never };
        let config = ClientConfig { hello: dial.hello.to_owned(), lmtp: false, tls };
        let mut session = Self {
            wire: Wire::connect(dial.address).await.map_err(Lost::Connect)?,
            client: Client::open(config, false),
            input: BytesMut::new(),
            address: dial.address,
            transactions: 0,
            idle_since: Instant::now(),
        };
        loop {
            match session.step().await? {
                Step::Ready => return Ok(session),
                Step::StartTls => {
                    // What came before the handshake came from anyone (RFC 3207 §4.2).
                    session.input.clear();
                    let Some(tls) = dial.tls.clone() else { return Err(Lost::Closed) };
                    session.wire.start_tls(tls, dial.host).await.map_err(Lost::Tls)?;
                    session.client.tls_started();
                }
                _ => return Err(Lost::Closed),
            }
        }
    }

    pub(super) fn extensions(&self) -> &Extensions {
        self.client.extensions()
    }

    /// Sends what the client has to say and reads until there is something else to do.
    async fn step(&mut self) -> Result<Step, Lost> {
        loop {
            let step = self.client.handle(&mut self.input);
            let output = self.client.take_output();
            if !output.is_empty() {
                self.wire.write(&output).await?;
            }
            match step? {
                Step::NeedMore => {
                    if self.wire.read(&mut self.input, self.client.patience()).await? == 0 {
                        return Err(Lost::Closed);
                    }
                }
                other => return Ok(other),
            }
        }
    }

    /// One transaction. `may_end` is asked before the final dot, after which the message is the other server's.
    pub(super) async fn transact(
        &mut self,
        request: Request,
        content: &Content,
        may_end: &MayEnd,
    ) -> Result<client::Outcome, Broken> {
        self.transactions += 1;
        self.client.begin(request);
        let unsent = |why| Broken { why, was_sent: false };
        match self.step().await.map_err(unsent)? {
            Step::Done(outcome) => return Ok(outcome),
            Step::SendBody => self.send_body(content, may_end).await.map_err(unsent)?,
            _ => return Err(unsent(Lost::Closed)),
        }
        let sent = |why| Broken { why, was_sent: true };
        match self.step().await.map_err(sent)? {
            Step::Done(outcome) => Ok(outcome),
            _ => Err(sent(Lost::Closed)),
        }
    }

    /// Up to and with the final dot. What fails before the dot leaves the connection broken, so that the server
    /// cannot take half a message for a whole one.
    async fn send_body(&mut self, content: &Content, may_end: &MayEnd) -> Result<(), Lost> {
        let mut pieces = content.stream();
        let mut out = Vec::new();
        while let Some(piece) = pieces.next().await {
            self.client.encode_body(&piece?, &mut out);
            if out.len() >= limits::OUTBOUND_WRITE_OCTETS {
                self.wire.write(&out).await?;
                out.clear();
            }
        }
        if !may_end().await {
            return Err(Lost::Abandoned);
        }
        self.client.end_body(&mut out);
        Ok(self.wire.write(&out).await?)
    }

    /// Says goodbye, if the server listens.
    pub(super) async fn quit(mut self) {
        self.client.quit();
        let goodbye = async { while !matches!(self.step().await, Ok(Step::Closed) | Err(_)) {} };
        // A server that does not answer is left.
        let _ = tokio::time::timeout(limits::OUTBOUND_QUIT_WAIT, goodbye).await;
    }
}
