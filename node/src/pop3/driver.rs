//! The socket's side of a session: lines in, replies out, and what takes time between. Output is written out
//! before anything is awaited of the client, so that a slow reader holds back its own session alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use sterna_gateway::login::network::Network;
use sterna_gateway::login::sasl::Credentials;
use sterna_gateway::login::standing::{self, Standing};
use sterna_gateway::login::{Authenticator, LoginError};
use sterna_gateway::net::{ByteBudget, Connection, Drain, Tls};
use sterna_storage::Error;
use sterna_storage::directory::{Account, Directory};
use sterna_storage::mailstore::MailStore;
use sterna_storage::types::UidSet;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::codec::{LineDecoder, ResponseCode, Stuffer, TopCutter, err};
use super::inbox::Inbox;
use super::lock::{MaildropLock, MaildropLocks};
use super::maildrop::Maildrop;
use super::session::{Facts, LoginRefusal, Retrieval, Session, Step};
use crate::limits::{POP3_BUDGET_PATIENCE, POP3_OUTPUT_OCTETS, POP3_RETRIEVAL_OCTETS};

/// What the POP3 sessions of a node share.
pub struct Runtime {
    /// The server's name, for greeting and farewell.
    pub host_name: String,
    /// From the connection to a login that succeeds.
    pub login_timeout: Duration,
    /// Without a command for so long, a session ends and removes nothing. RFC 1939 §3 asks for 10 minutes at least.
    pub idle_timeout: Duration,
    /// A client that takes nothing of a reply for so long is given up.
    pub write_timeout: Duration,
    /// Networks whose clients may log in without TLS.
    pub trusted_networks: Vec<Network>,
    /// The certificates, if STLS is to be offered.
    pub tls: Option<Tls>,
    /// Who may log in.
    pub authenticator: Authenticator,
    /// Where accounts are looked at again.
    pub directory: Directory,
    /// Where the mail is.
    pub store: MailStore,
    /// Who has which maildrop.
    pub locks: MaildropLocks,
    /// The octets of all sessions of the node.
    pub budget: ByteBudget,
    /// The server's end.
    pub drain: Drain,
}

/// Serves one client to its end.
pub async fn serve(connection: Connection, runtime: Arc<Runtime>) {
    let peer = connection.peer;
    tracing::debug!(%peer, "pop3 session begins");
    match Driver::new(connection, runtime).run().await {
        Ok(()) => tracing::debug!(%peer, "pop3 session ends"),
        Err(error) => tracing::debug!(%peer, %error, "pop3 session breaks off"),
    }
}

struct Driver {
    connection: Connection,
    runtime: Arc<Runtime>,
    session: Session,
    decoder: LineDecoder,
    input: BytesMut,
    output: BytesMut,
    // The next command must be complete by then.
    deadline: Instant,
    opened: Option<Opened>,
}

/// What a login gave.
struct Opened {
    inbox: Inbox,
    account: Arc<Account>,
    // The directory's version when the account was last looked at.
    directory_version: u64,
    changes: watch::Receiver<()>,
    // Held for as long as the session lasts.
    _lock: MaildropLock,
}

/// Whether the session goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    GoOn,
    Close,
}

impl Driver {
    fn new(connection: Connection, runtime: Arc<Runtime>) -> Self {
        let facts = Facts {
            host_name: runtime.host_name.clone(),
            is_secure: connection.stream.is_tls(),
            offers_tls: runtime.tls.is_some(),
            is_trusted: runtime.trusted_networks.iter().any(|network| network.contains(connection.peer.ip())),
        };
        let mut output = BytesMut::new();
        let session = Session::new(facts, &mut output);
        let deadline = Instant::now() + runtime.login_timeout;
        let (decoder, input) = (LineDecoder::default(), BytesMut::new());
        Self { connection, runtime, session, decoder, input, output, deadline, opened: None }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            while let Some(line) = self.decoder.decode(&mut self.input) {
                if self.is_revoked().await {
                    return self.flush().await;
                }
                let step = self.session.handle(&line, &mut self.output);
                let flow = self.take(step).await?;
                if flow == Flow::Close {
                    return self.flush().await;
                }
                self.flush_if_full().await?;
                self.command_done();
                // What is at hand already is never waited for: others get their turn here.
                tokio::task::consume_budget().await;
            }
            self.flush().await?;
            if !self.receive().await? {
                return Ok(());
            }
        }
    }

    /// Whether the session ends because its account is not what it was; then the client is told, and nothing is
    /// removed. The account is looked at again when the directory has changed.
    async fn is_revoked(&mut self) -> bool {
        let directory = &self.runtime.directory;
        let version = directory.version();
        let Some(opened) = self.opened.as_mut().filter(|opened| opened.directory_version != version) else {
            return false;
        };
        match Box::pin(standing::of(directory, &opened.account)).await {
            Standing::Good(current) => {
                (opened.account, opened.directory_version) = (current, version);
                false
            }
            Standing::Revoked => {
                err(&mut self.output, Some(ResponseCode::Auth), "the account has changed, log in again");
                true
            }
            Standing::Unknown => false,
        }
    }

    /// The idle time begins anew with each command; the time to log in does not.
    fn command_done(&mut self) {
        if self.opened.is_some() {
            self.deadline = Instant::now() + self.runtime.idle_timeout;
        }
    }

    /// Waits for input, holding no buffer; whether the session goes on. At the deadline it ends without a word
    /// (RFC 1939 §3), also for a client that never pauses.
    async fn receive(&mut self) -> io::Result<bool> {
        if Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.is_revoked().await {
            self.flush().await?;
            return Ok(false);
        }
        self.output = BytesMut::new();
        let drain = self.runtime.drain.clone();
        let read = timeout_at(self.deadline, self.connection.read(&mut self.input));
        let changes = self.opened.as_mut().map(|opened| &mut opened.changes);
        tokio::select! {
            biased;
            read = read => match read {
                Ok(octets) => Ok(octets? > 0),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
            () = drain.started() => {
                err(&mut self.output, Some(ResponseCode::SysTemp), "server is shutting down");
                self.flush().await?;
                Ok(false)
            }
            // It is looked at before the next wait.
            () = changed(changes) => Ok(true),
        }
    }

    /// What a step does is boxed: a session's task is as large as the largest thing it may ever wait for, and
    /// most sessions wait for their client.
    async fn take(&mut self, step: Step) -> io::Result<Flow> {
        match step {
            Step::Continue => {}
            Step::Close => return Ok(Flow::Close),
            Step::StartTls => Box::pin(self.start_tls()).await?,
            Step::LogIn(credentials) => {
                self.flush().await?;
                return Ok(Box::pin(self.log_in(&credentials)).await);
            }
            Step::List(mut listing) => {
                while self.session.list(&mut listing, &mut self.output) {
                    self.flush().await?;
                }
            }
            Step::Retrieve(retrieval) => Box::pin(self.retrieve(&retrieval)).await?,
            Step::Update(messages) => {
                self.flush().await?;
                Box::pin(self.update(&messages)).await;
                return Ok(Flow::Close);
            }
        }
        Ok(Flow::GoOn)
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let runtime = Arc::clone(&self.runtime);
        let Some(tls) = &runtime.tls else { return Err(io::Error::other("STLS without certificates")) };
        self.flush().await?;
        // What was sent in the clear after STLS is dropped with the buffer.
        self.connection.start_tls(tls, &mut self.input).await?;
        self.decoder = LineDecoder::default();
        self.session.secured();
        Ok(())
    }

    async fn log_in(&mut self, credentials: &Credentials) -> Flow {
        match self.open(credentials).await {
            Ok((opened, maildrop)) => {
                self.opened = Some(opened);
                self.session.opened(maildrop, &mut self.output);
                Flow::GoOn
            }
            Err(refusal) => match self.session.refused(refusal, &mut self.output) {
                Step::Close => Flow::Close,
                _ => Flow::GoOn,
            },
        }
    }

    async fn open(&self, credentials: &Credentials) -> Result<(Opened, Maildrop), LoginRefusal> {
        let peer = self.connection.peer;
        let directory_version = self.runtime.directory.version();
        let verified = self.runtime.authenticator.authenticate(credentials, peer.ip()).await;
        let account = verified.map_err(|error| {
            tracing::info!(%peer, login = %credentials.login, %error, "pop3 login refused");
            match error {
                LoginError::Invalid | LoginError::Disabled => LoginRefusal::Invalid,
                LoginError::Locked { .. } => LoginRefusal::Throttled,
                LoginError::Unavailable => LoginRefusal::Unavailable,
            }
        })?;
        let changes = self.runtime.directory.subscribe_to(account.id);
        let lock = self.runtime.locks.acquire(account.id).ok_or(LoginRefusal::InUse)?;
        let (inbox, maildrop) = Inbox::open(&self.runtime.store, account.id).await.map_err(|error| {
            tracing::warn!(%peer, account = %account.id, %error, "cannot open the maildrop");
            LoginRefusal::Unavailable
        })?;
        tracing::info!(%peer, account = %account.id, messages = maildrop.remaining(), "pop3 login");
        Ok((Opened { inbox, account, directory_version, changes, _lock: lock }, maildrop))
    }

    /// RETR and TOP. If the message cannot be read to its end, the connection breaks: there is no way to
    /// say so, and half a message must not look like a whole one.
    async fn retrieve(&mut self, retrieval: &Retrieval) -> io::Result<()> {
        let Some(opened) = &self.opened else { return Ok(()) };
        let budget = self.runtime.budget.clone();
        let reserved = budget.reserve(POP3_RETRIEVAL_OCTETS, POP3_BUDGET_PATIENCE).await;
        let begun = match &reserved {
            Ok(_) => opened.inbox.begin(retrieval.uid, &budget).await,
            Err(error) => Err(Error::Overloaded(error.to_string().into())),
        };
        let mut chunks = match begun {
            Ok(chunks) => chunks,
            Err(error) => {
                tracing::warn!(uid = %retrieval.uid, %error, "cannot read a message");
                self.session.retrieval_failed(&error, &mut self.output);
                return Ok(());
            }
        };
        self.session.message_follows(retrieval, &mut self.output);
        let mut cutter = retrieval.body_lines.map(TopCutter::new);
        let mut stuffer = Stuffer::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(io::Error::other)?;
            let taken = cutter.as_mut().map_or(chunk.len(), |cutter| cutter.take(&chunk));
            stuffer.push(&chunk[..taken], &mut self.output);
            self.flush_if_full().await?;
            if cutter.as_ref().is_some_and(TopCutter::is_done) {
                break;
            }
        }
        stuffer.finish(&mut self.output);
        Ok(())
    }

    /// The UPDATE state: what DELE marked goes, and nothing else (RFC 1939 §6).
    async fn update(&mut self, messages: &UidSet) {
        let Some(opened) = &self.opened else { return };
        let removed = opened.inbox.remove(messages).await;
        if let Err(error) = &removed {
            tracing::warn!(peer = %self.connection.peer, %error, "cannot remove deleted messages");
        }
        self.session.updated(&removed, &mut self.output);
    }

    async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.output.len() >= POP3_OUTPUT_OCTETS { self.flush().await } else { Ok(()) }
    }

    /// Writes the output.
    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.connection.write(&self.output, self.runtime.write_timeout).await?;
        self.output.clear();
        Ok(())
    }
}

/// Waits until the directory has changed; for ever before a login.
async fn changed(changes: Option<&mut watch::Receiver<()>>) {
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
