//! One connection from greeting to end: commands one after another, each answered before the next
//! is looked at; pipelined ones are answered together.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use sterna_gateway::net::{Connection, Turn};
use tokio::time::Instant;

use super::Output;
use crate::imap::cmd::call::Call;
use crate::imap::cmd::dispatch;
use crate::imap::codec::command::Command;
use crate::imap::codec::frame::{Frame, Framer, Refusal};
use crate::imap::codec::parse::{self, Tagged};
use crate::imap::context::ImapContext;
use crate::imap::session::capability::{self, Announced};
use crate::imap::session::{Session, Stage};
use crate::imap::status::{CommandError, Kind, Outcome, Status};
use crate::limits;

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said LOGOUT and was answered.
    Logout,
    /// The server ends it; this goes into `* BYE`.
    Bye(Cow<'static, str>),
    /// The client is gone, or nothing can be said to it any more.
    Gone(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// The server's words for a client that must go.
pub(super) fn bye(text: &'static str) -> End {
    End::Bye(text.into())
}

/// A connection with its session. Small while idle: the buffers are given back then.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) context: Arc<ImapContext>,
    pub(super) session: Session,
    /// Received and not yet understood.
    pub(super) input: BytesMut,
    /// Answered and not yet sent.
    pub(super) output: Vec<u8>,
    framer: Framer,
    opened: Instant,
    /// When it leaves if the node drains.
    turn: Turn,
    /// When the command in hand began to arrive, or the last one ended.
    active: Instant,
    /// Since the last command that succeeded after a login.
    errors: u32,
    pub(super) failed_logins: u32,
    /// The directory's version when the account was last looked at.
    pub(super) directory_version: u64,
}

/// Serves one client until it leaves, is sent away, or the node drains.
pub async fn serve(connection: Connection, context: Arc<ImapContext>) {
    let now = Instant::now();
    let mut link = Link {
        connection,
        context,
        session: Session::default(),
        input: BytesMut::new(),
        output: Vec::new(),
        framer: Framer::default(),
        opened: now,
        turn: Turn::draw(),
        active: now,
        errors: 0,
        failed_logins: 0,
        directory_version: 0,
    };
    let Err(end) = link.run().await;
    let peer = link.connection.peer;
    match end {
        End::Logout => {}
        End::Bye(text) => {
            tracing::debug!(%peer, %text, "IMAP connection ended by the server");
            link.output.extend_from_slice(format!("* BYE {text}\r\n").as_bytes());
        }
        End::Gone(error) => {
            tracing::debug!(%peer, %error, "IMAP connection lost");
            return;
        }
    }
    // The client may be gone; there is nobody else to tell.
    let _ = tokio::time::timeout(limits::IMAP_LAST_WORDS, link.flush()).await;
}

impl Link {
    async fn run(&mut self) -> Result<Infallible, End> {
        let greeting = format!("* OK [CAPABILITY {}] Sterna ready\r\n", self.capabilities());
        self.output.extend_from_slice(greeting.as_bytes());
        loop {
            match self.framer.next(&self.input, self.command_bound()) {
                Frame::NeedMore => {
                    self.flush().await?;
                    self.fill(self.command_deadline(), self.input.is_empty()).await?;
                }
                Frame::Continue => {
                    self.output.extend_from_slice(b"+ Go ahead\r\n");
                    self.flush().await?;
                }
                Frame::Command { octets } => {
                    let tagged = parse::command(&self.taken(octets));
                    self.command(tagged).await?;
                    if !self.input.is_empty() {
                        // Others get their turn between the commands of one that pipelines, however long each takes.
                        tokio::task::yield_now().await;
                    }
                }
                Frame::Append { octets, tag, head, literal } => {
                    self.taken(octets);
                    Box::pin(self.append(&tag, head, literal)).await?;
                }
                Frame::Refused { octets, tag, reason, literal } => {
                    self.taken(octets);
                    let status = match reason {
                        Refusal::TooBig => {
                            Status { code: Some("TOOBIG".into()), ..Status::bad("Literal too large") }
                        }
                        Refusal::Syntax(error) => Status::bad(error.0),
                    };
                    self.refuse_literal(tag.as_deref(), status, literal).await?;
                    self.count_error()?;
                }
                Frame::TooLong => return Err(bye("Command too long")),
            }
        }
    }

    /// Takes a frame's octets off the input; the next command starts behind them.
    fn taken(&mut self, octets: usize) -> BytesMut {
        self.framer = Framer::default();
        self.active = Instant::now();
        self.input.split_to(octets)
    }

    fn command_bound(&self) -> usize {
        match self.session.stage() {
            Stage::Greeted => limits::IMAP_COMMAND_OCTETS_BEFORE_LOGIN,
            _ => limits::IMAP_COMMAND_OCTETS,
        }
    }

    pub(super) fn command_deadline(&self) -> Instant {
        if self.session.stage() == Stage::Greeted {
            return self.opened + Duration::from_secs(self.context.config.login_timeout_s);
        }
        let idle = Duration::from_secs(self.context.config.idle_timeout_s);
        self.active + if self.input.is_empty() { idle } else { limits::IMAP_COMMAND_TIME }
    }

    /// Waits for more octets, at least one. `between` commands the node's drain ends the connection.
    pub(super) async fn fill(&mut self, deadline: Instant, between: bool) -> Result<(), End> {
        if between && self.output.capacity() > 0 {
            self.output = Vec::new();
        }
        let was_empty = self.input.is_empty();
        let read = tokio::select! {
            read = self.connection.read(&mut self.input) => read?,
            () = self.context.drain.comes_to(self.turn), if between => {
                return Err(bye("The server is going down; connect again"));
            }
            () = tokio::time::sleep_until(deadline) => {
                return Err(bye("Too long without a command"));
            }
        };
        if read == 0 {
            return Err(End::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        if was_empty {
            self.active = Instant::now();
        }
        Ok(())
    }

    /// Sends what was answered.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let patience = Duration::from_secs(self.context.config.write_timeout_s);
        Output::new(&mut self.connection, &mut self.output, patience).flush().await
    }

    /// A line of a dialogue within a command, without its end. Waits for it.
    pub(super) async fn line(&mut self) -> Result<BytesMut, End> {
        loop {
            if let Some(line) = self.line_at_hand()? {
                return Ok(line);
            }
            self.flush().await?;
            self.fill(self.command_deadline(), false).await?;
        }
    }

    /// The same, if it has arrived.
    pub(super) fn line_at_hand(&mut self) -> Result<Option<BytesMut>, End> {
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
            let too_long = self.input.len() > limits::IMAP_COMMAND_OCTETS_BEFORE_LOGIN;
            return if too_long { Err(bye("Line too long")) } else { Ok(None) };
        };
        let mut line = self.taken(end + 1);
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        }
        Ok(Some(line))
    }

    /// Reads and drops.
    pub(super) async fn discard(&mut self, octets: u64, deadline: Instant) -> Result<(), End> {
        let mut left = octets;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
            self.input.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            let pause = Instant::now() + limits::IMAP_LITERAL_PAUSE;
            self.fill(deadline.min(pause), false).await?;
        }
    }

    async fn command(&mut self, tagged: Tagged) -> Result<(), End> {
        let tag = tagged.tag.as_deref().unwrap_or("*");
        let command = match tagged.command {
            Ok(command) => command,
            Err(error) => {
                Status::bad(error.0).write(&mut self.output, tag);
                return self.count_error();
            }
        };
        self.check_account().await?;
        if let Err(status) = self.session.admits(&command) {
            status.write(&mut self.output, tag);
            return self.count_error();
        }
        match command {
            Command::Capability => {
                let line = format!("* CAPABILITY {}\r\n", self.capabilities());
                self.output.extend_from_slice(line.as_bytes());
                self.conclude(tag, Ok(Status::ok("CAPABILITY completed")))
            }
            Command::Logout => {
                self.output.extend_from_slice(b"* BYE Logging out\r\n");
                Status::ok("LOGOUT completed").write(&mut self.output, tag);
                Err(End::Logout)
            }
            Command::StartTls => Box::pin(self.start_tls(tag)).await,
            Command::Login { login, password } => Box::pin(self.login(tag, &login, &password)).await,
            Command::Authenticate { mechanism, initial } => {
                Box::pin(self.authenticate(tag, &mechanism, initial.as_deref())).await
            }
            // Not boxed: this is where idle connections wait.
            Command::Idle => self.idle(tag).await,
            command => {
                let outcome = Box::pin(async { dispatch::run(&mut self.call(tag), command).await }).await;
                self.conclude(tag, outcome)
            }
        }
    }

    /// A command in hand.
    pub(super) fn call<'c>(&'c mut self, tag: &'c str) -> Call<'c> {
        let patience = Duration::from_secs(self.context.config.write_timeout_s);
        let out = Output::new(&mut self.connection, &mut self.output, patience);
        Call { session: &mut self.session, context: &self.context, out, tag }
    }

    /// Answers a command.
    pub(super) fn conclude(&mut self, tag: &str, outcome: Outcome) -> Result<(), End> {
        self.active = Instant::now();
        match outcome {
            Ok(status) | Err(CommandError::Refused(status)) => {
                status.write(&mut self.output, tag);
                match status.kind {
                    Kind::Bad => return self.count_error(),
                    // A client with one bad habit works for days: what it gets right is forgiven for.
                    Kind::Ok if self.session.stage() > Stage::Greeted => self.errors = 0,
                    Kind::Ok | Kind::No => {}
                }
                Ok(())
            }
            Err(CommandError::Connection(error)) => Err(End::Gone(error)),
            Err(CommandError::Bye(text)) => Err(bye(text)),
        }
    }

    pub(super) fn count_error(&mut self) -> Result<(), End> {
        self.errors += 1;
        let most = match self.session.stage() {
            Stage::Greeted => limits::IMAP_ERRORS_BEFORE_LOGIN,
            _ => limits::IMAP_ERRORS,
        };
        if self.errors >= most { Err(bye("Too many invalid commands")) } else { Ok(()) }
    }

    /// Whether passwords may be sent now.
    pub(super) fn may_log_in(&self) -> bool {
        self.connection.stream.is_tls() || self.context.trusts(self.connection.peer.ip())
    }

    pub(super) fn capabilities(&self) -> String {
        capability::list(Announced {
            logged_in: self.session.stage() > Stage::Greeted,
            may_log_in: self.may_log_in(),
            may_start_tls: !self.connection.stream.is_tls() && self.context.tls.is_some(),
            append_limit_octets: self.context.config.append_limit_octets,
        })
    }

    async fn start_tls(&mut self, tag: &str) -> Result<(), End> {
        let tls = match &self.context.tls {
            Some(tls) if !self.connection.stream.is_tls() => tls.clone(),
            _ => return self.conclude(tag, Ok(Status::bad("STARTTLS is not possible"))),
        };
        Status::ok("Begin TLS negotiation now").write(&mut self.output, tag);
        self.flush().await?;
        // What came before the handshake could come from anyone: it is dropped with all that was said.
        self.connection.start_tls(&tls, &mut self.input).await?;
        self.framer = Framer::default();
        self.session = Session::default();
        Ok(())
    }
}
