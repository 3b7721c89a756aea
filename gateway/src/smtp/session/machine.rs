//! The session itself: what state it is in, and how input moves it. What each command does stands
//! in `cmd`.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::super::codec::{Command, Reply};
use super::line::{self, Line, LineReader};
use super::replies;
use super::transfer::{Taken, Transfer};
use super::{Candidate, Channel, Config, Hello, Incoming, Role, Transaction};
use crate::limits::{
    CLIENT_ERRORS, COMMAND_LINE_OCTETS, IDLE_COMMANDS, LOGIN_LINE_OCTETS, REFUSED_RECIPIENTS,
    SURPLUS_RECIPIENTS,
};
use crate::login::sasl::{Credentials, Exchange};

/// What the driver is to do next. `A` is what the policy remembers of a recipient.
#[derive(Debug)]
pub enum Step<A> {
    /// Send the output; then read more, until [`Session::deadline`].
    NeedMore,
    /// Send the output, make the handshake, then call [`Session::tls_started`].
    StartTls,
    /// Verify, then call [`Session::authenticated`].
    Authenticate(Credentials),
    /// May this sender send? Then call [`Session::sender_checked`] with the transaction.
    CheckSender(Box<Transaction<A>>),
    /// May it send to this recipient ([`Session::transaction`] says what came before)? Then call
    /// [`Session::recipient_checked`].
    CheckRecipient(Candidate),
    /// Set memory for so many octets of message in all aside, then call [`Session::memory_granted`].
    Memory(usize),
    /// A message. Accept it or not, then call [`Session::message_answered`].
    Message(Box<Incoming<A>>),
    /// Send the output and close the connection.
    Close,
}

#[derive(Debug)]
pub(in crate::smtp) enum State {
    /// Between commands.
    Commands,
    /// In an authentication exchange.
    Login(Exchange),
    /// A step was given out and its answer is awaited.
    Asked,
    /// The same; the answer decides whether DATA's text may come, or whether a transfer goes on as `then`.
    AskedForMemory { then: Box<State>, first: bool },
    /// In the text behind DATA.
    Data,
    /// In the octets behind BDAT; with a reply if they are skipped.
    Chunk { left_octets: u64, size_octets: u64, last: bool, skipped: Option<Reply> },
    /// Nothing more is read.
    Closing,
}

/// Failings of one client, each with its bound.
#[derive(Debug, Default)]
pub(in crate::smtp) struct Counts {
    pub(in crate::smtp) errors: u32,
    pub(in crate::smtp) login_failures: u32,
    pub(in crate::smtp) refused_recipients: u32,
    /// Recipients past the transaction's limit, since the last message.
    pub(in crate::smtp) surplus_recipients: u32,
    /// Commands since the last message, other than those that make one.
    pub(in crate::smtp) idle_commands: u32,
}

/// One client's dialogue.
#[derive(Debug)]
pub struct Session<A> {
    pub(in crate::smtp) config: Arc<Config>,
    pub(in crate::smtp) state: State,
    pub(in crate::smtp) channel: Channel,
    pub(in crate::smtp) logged_in: bool,
    pub(in crate::smtp) hello: Option<Hello>,
    pub(in crate::smtp) transaction: Option<Box<Transaction<A>>>,
    pub(in crate::smtp) transfer: Option<Box<Transfer>>,
    /// How many replies the message in the policy's hands gets.
    pub(in crate::smtp) replies_due: usize,
    pub(in crate::smtp) counts: Counts,
    lines: LineReader,
    output: Vec<u8>,
    deadline: Instant,
}

impl<A> Session<A> {
    /// Begins with the greeting (RFC 5321 §3.1).
    pub fn open(config: Arc<Config>, channel: Channel, now: Instant) -> Self {
        let protocol = if config.role == Role::Lmtp { "LMTP" } else { "ESMTP" };
        let greeting = Reply::bare(220, format!("{} {protocol} ready", config.host_name));
        let deadline = now + config.command_wait;
        let mut session = Self {
            config,
            state: State::Commands,
            channel,
            logged_in: false,
            hello: None,
            transaction: None,
            transfer: None,
            replies_due: 0,
            counts: Counts::default(),
            lines: LineReader::default(),
            output: Vec::new(),
            deadline,
        };
        session.reply(&greeting);
        session
    }

    /// Takes from `input` until there is something for the driver to do.
    pub fn handle(&mut self, input: &mut BytesMut, now: Instant) -> Step<A> {
        loop {
            let step = match &self.state {
                State::Closing => Some(Step::Close),
                State::Asked | State::AskedForMemory { .. } => Some(Step::NeedMore),
                State::Commands | State::Login(_) => self.line(input, now),
                State::Data => self.data(input, now),
                State::Chunk { .. } => self.chunk(input, now),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// What is to be sent; it is then empty.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// When the client is given up if what it has begun is not complete.
    pub fn deadline(&self) -> Instant {
        self.transfer.as_ref().map_or(self.deadline, |transfer| match self.state {
            State::Data | State::Chunk { .. } => transfer.deadline(),
            _ => self.deadline,
        })
    }

    /// The deadline passed.
    pub fn timed_out(&mut self) {
        self.close_with(&replies::IDLE_TOO_LONG);
    }

    /// The server ends (RFC 5321 §3.8).
    pub fn shut_down(&mut self) {
        self.close_with(&replies::SHUTTING_DOWN);
    }

    /// Whether a message is under way, which a server that ends lets come in first.
    pub fn is_amid_mail(&self) -> bool {
        self.transaction.is_some() || self.transfer.is_some() || self.replies_due > 0
    }

    /// The transaction under way, for the policy.
    pub fn transaction(&self) -> Option<&Transaction<A>> {
        self.transaction.as_deref()
    }

    /// Memory that the message under way has been granted, in octets.
    pub fn granted_octets(&self) -> usize {
        self.transfer.as_ref().map_or(0, |transfer| transfer.granted_octets)
    }

    /// Waiting begins anew.
    pub(in crate::smtp) fn restart_deadline(&mut self, now: Instant) {
        self.deadline = now + self.config.command_wait;
    }

    /// One line: a command, or a response of an authentication exchange.
    fn line(&mut self, input: &mut BytesMut, now: Instant) -> Option<Step<A>> {
        let limit = match self.config.role {
            Role::Submission => LOGIN_LINE_OCTETS,
            Role::Mx | Role::Lmtp => COMMAND_LINE_OCTETS,
        };
        let length = match self.lines.next(input, limit) {
            Line::Partial => return Some(Step::NeedMore),
            Line::Whole(length) => length,
            Line::WithoutCr => return self.broken_line(&replies::LINE_WITHOUT_CRLF, now),
            Line::TooLong => return self.broken_line(&replies::LINE_TOO_LONG, now),
        };
        self.deadline = now + self.config.command_wait;
        if let State::Login(_) = self.state {
            let step = self.login_response(&input[..length]);
            line::take(input, length);
            return step;
        }
        let ascii = input[..length].is_ascii();
        let command = Command::parse(&input[..length]);
        line::take(input, length);
        match command {
            Ok(command) => self.command(command, ascii, now),
            Err(error) => self.fail(&replies::syntax(error)),
        }
    }

    fn broken_line(&mut self, reply: &Reply, now: Instant) -> Option<Step<A>> {
        self.deadline = now + self.config.command_wait;
        if let State::Login(_) = self.state {
            self.state = State::Commands;
        }
        self.fail(reply)
    }

    fn data(&mut self, input: &mut BytesMut, now: Instant) -> Option<Step<A>> {
        let Some(transfer) = self.transfer.as_mut().filter(|_| !input.is_empty()) else {
            return Some(Step::NeedMore);
        };
        // What is far too large is read to its end for the answer's sake, but not for ever.
        let length = input.len().min(transfer.readable_octets());
        if length == 0 {
            self.close_with(&replies::TOO_LARGE);
            return None;
        }
        match transfer.take(&input[..length], now) {
            Taken::Octets(octets) => {
                input.advance(octets);
                None
            }
            Taken::End(octets) => {
                input.advance(octets);
                self.deadline = now + self.config.command_wait;
                self.message_ended()
            }
            Taken::NeedMemory(octets) => self.ask_for_memory(octets, false),
        }
    }

    fn chunk(&mut self, input: &mut BytesMut, now: Instant) -> Option<Step<A>> {
        let State::Chunk { left_octets, skipped, .. } = &mut self.state else { return None };
        if *left_octets == 0 {
            self.deadline = now + self.config.command_wait;
            return self.chunk_ended();
        }
        if input.is_empty() {
            return Some(Step::NeedMore);
        }
        let length = usize::try_from(*left_octets).unwrap_or(usize::MAX).min(input.len());
        let taken = match &mut self.transfer {
            Some(transfer) if skipped.is_none() => transfer.take(&input[..length], now),
            _ => Taken::Octets(length),
        };
        match taken {
            Taken::Octets(octets) | Taken::End(octets) => {
                input.advance(octets);
                *left_octets -= octets as u64;
                None
            }
            Taken::NeedMemory(octets) => self.ask_for_memory(octets, false),
        }
    }

    pub(in crate::smtp) fn ask_for_memory(&mut self, octets: usize, first: bool) -> Option<Step<A>> {
        let then = Box::new(std::mem::replace(&mut self.state, State::Asked));
        self.state = State::AskedForMemory { then, first };
        Some(Step::Memory(octets))
    }

    pub(in crate::smtp) fn reply(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Answers a client's error; after too many of them it is sent away.
    pub(in crate::smtp) fn fail(&mut self, reply: &Reply) -> Option<Step<A>> {
        self.reply(reply);
        self.count_error();
        None
    }

    pub(in crate::smtp) fn count_error(&mut self) {
        self.counts.errors += 1;
        if self.counts.errors >= CLIENT_ERRORS {
            self.close_with(&replies::TOO_MANY_ERRORS);
        }
    }

    /// Answers a command that came before its time: what a pipelining client sends behind a MAIL that is
    /// refused is no error of the client.
    pub(in crate::smtp) fn premature(&mut self, reply: &Reply) -> Option<Step<A>> {
        self.reply(reply);
        self.is_idling();
        None
    }

    /// Answers a recipient that is refused.
    pub(in crate::smtp) fn refuse_recipient(&mut self, reply: &Reply) {
        self.reply(reply);
        self.counts.refused_recipients += 1;
        if self.counts.refused_recipients >= REFUSED_RECIPIENTS {
            self.close_with(&replies::TOO_MANY_REFUSED);
        }
    }

    /// Answers a recipient past the transaction's limit, which is to come in another one.
    pub(in crate::smtp) fn surplus_recipient(&mut self) -> Option<Step<A>> {
        self.reply(&replies::TOO_MANY_RECIPIENTS);
        self.counts.surplus_recipients += 1;
        if self.counts.surplus_recipients >= SURPLUS_RECIPIENTS {
            self.close_with(&replies::TOO_MANY_REFUSED);
        }
        None
    }

    /// Counts a command that makes no message; whether there were too many.
    pub(in crate::smtp) fn is_idling(&mut self) -> bool {
        self.counts.idle_commands += 1;
        if self.counts.idle_commands >= IDLE_COMMANDS {
            self.close_with(&replies::TOO_MANY_COMMANDS);
        }
        self.counts.idle_commands >= IDLE_COMMANDS
    }

    pub(in crate::smtp) fn close_with(&mut self, reply: &Reply) {
        self.reply(reply);
        self.reset();
        self.state = State::Closing;
    }

    /// Ends the transaction (RFC 5321 §4.1.1.5).
    pub(in crate::smtp) fn reset(&mut self) {
        self.transaction = None;
        self.transfer = None;
    }
}
