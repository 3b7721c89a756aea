//! The client's states (RFC 5321 §4.1.4, RFC 2033 §4, RFC 2920 §3.1, RFC 3207 §4).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;

use super::super::codec::{DataEncoder, PeerReply, ReplyError, ReplyParser};
use super::{Extensions, Request};
use crate::limits::{CLIENT_COMMAND_WAIT, CLIENT_DATA_WAIT, CLIENT_END_WAIT};

/// Whether a connection is to be under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// No, or it is already.
    Never,
    /// If the server offers it.
    IfOffered,
    /// Or nothing is sent.
    Required,
}

/// How to talk to a server.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Our own name.
    pub hello: String,
    /// LMTP instead of SMTP.
    pub lmtp: bool,
    /// Use of STARTTLS.
    pub tls: TlsUse,
}

/// Why a connection is of no further use. Recipients without an outcome may be tried elsewhere or later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server does not want to talk (greeting, EHLO and HELO, or STARTTLS where it is required).
    #[error("refused: {0}")]
    Refused(PeerReply),
    /// 421: the server closes the connection.
    #[error("the server closes the connection: {0}")]
    Closing(PeerReply),
    /// TLS is required and not offered.
    #[error("the server offers no STARTTLS")]
    NoTls,
    /// What came is no reply, or one that nothing asked for.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

/// What the driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the output, then read more within [`Client::patience`].
    NeedMore,
    /// Drop what was read, make the handshake, then call [`Client::tls_started`].
    StartTls,
    /// Begin a transaction, or quit.
    Ready,
    /// Send the output, then the message through [`Client::encode_body`] and [`Client::end_body`].
    SendBody,
    /// The transaction is over.
    Done(Outcome),
    /// The server said goodbye; close the connection.
    Closed,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// For each recipient of the request, in its order.
    pub recipients: Vec<RecipientOutcome>,
}

/// What became of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// The server has taken responsibility.
    Accepted(PeerReply),
    /// It has not: `reply` is temporary or permanent.
    Refused(PeerReply),
}

/// A command that was sent and whose reply is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Rset,
    Mail,
    Rcpt(usize),
    Data,
    /// The end of the message; for LMTP once per accepted recipient.
    End(Option<usize>),
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Talking,
    Handshake,
    Ready,
    Body,
    Closed,
}

/// One connection to a server.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    state: State,
    awaited: VecDeque<Awaited>,
    parser: ReplyParser,
    output: Vec<u8>,
    extensions: Extensions,
    request: Option<Request>,
    /// Parallel to the request's recipients; `None` while it is accepted or not yet answered.
    refused: Vec<Option<PeerReply>>,
    accepted: Vec<Option<PeerReply>>,
    encoder: DataEncoder,
    tls: bool,
    used: bool,
}

impl Client {
    /// On a fresh connection, which is `tls` already or not.
    pub fn open(config: ClientConfig, tls: bool) -> Self {
        Self {
            config,
            state: State::Talking,
            awaited: VecDeque::from([Awaited::Greeting]),
            parser: ReplyParser::default(),
            output: Vec::new(),
            extensions: Extensions::default(),
            request: None,
            refused: Vec::new(),
            accepted: Vec::new(),
            encoder: DataEncoder::default(),
            tls,
            used: false,
        }
    }

    /// Takes replies from `input` until there is something for the driver to do.
    pub fn handle(&mut self, input: &mut BytesMut) -> Result<Step, ClientError> {
        loop {
            match self.state {
                State::Ready => return Ok(Step::Ready),
                State::Handshake => return Ok(Step::StartTls),
                State::Body => return Ok(Step::SendBody),
                State::Closed => return Ok(Step::Closed),
                State::Talking => {}
            }
            let Some(reply) = self.parser.parse(input)? else { return Ok(Step::NeedMore) };
            let Some(awaited) = self.awaited.pop_front() else { return Err(self.unasked(reply)) };
            if reply.code == 421 && awaited != Awaited::Quit {
                return Err(ClientError::Closing(reply));
            }
            if let Some(outcome) = self.answered(awaited, reply)? {
                return Ok(Step::Done(outcome));
            }
        }
    }

    /// What is to be sent; it is then empty.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// How long to wait for the reply that comes next (RFC 5321 §4.5.3.2).
    pub fn patience(&self) -> Duration {
        match self.awaited.front() {
            Some(Awaited::Data) => CLIENT_DATA_WAIT,
            Some(Awaited::End(_)) => CLIENT_END_WAIT,
            _ => CLIENT_COMMAND_WAIT,
        }
    }

    /// What the server offers.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The handshake succeeded; the introduction begins anew (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.tls = true;
        self.parser = ReplyParser::default();
        self.state = State::Talking;
        self.introduce();
    }

    /// Begins a transaction; only at [`Step::Ready`].
    pub fn begin(&mut self, request: Request) {
        self.refused = vec![None; request.recipients.len()];
        self.accepted = vec![None; request.recipients.len()];
        self.request = Some(request);
        self.state = State::Talking;
        // What an earlier transaction may have left open is ended first.
        let used = std::mem::replace(&mut self.used, true);
        if used {
            self.send(b"RSET\r\n", Awaited::Rset);
        }
        if !used || self.extensions.pipelining {
            self.send_mail();
        }
        if self.extensions.pipelining {
            let recipients = self.refused.len();
            (0..recipients).for_each(|number| self.send_rcpt(number));
            self.send(b"DATA\r\n", Awaited::Data);
        }
    }

    /// Ends the dialogue; only at [`Step::Ready`].
    pub fn quit(&mut self) {
        self.send(b"QUIT\r\n", Awaited::Quit);
        self.state = State::Talking;
    }

    /// Appends the wire form of a piece of the message; only at [`Step::SendBody`].
    pub fn encode_body(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.encoder.encode(piece, out);
    }

    /// Appends the end of the message. From here on the server may have accepted it: if the connection
    /// breaks, nobody knows.
    pub fn end_body(&mut self, out: &mut Vec<u8>) {
        self.encoder.finish(out);
        self.encoder = DataEncoder::default();
        self.await_end();
        self.state = State::Talking;
    }

    fn send(&mut self, command: &[u8], awaited: Awaited) {
        self.output.extend_from_slice(command);
        self.awaited.push_back(awaited);
    }

    fn introduce(&mut self) {
        let verb = if self.config.lmtp { "LHLO" } else { "EHLO" };
        let command = format!("{verb} {}\r\n", self.config.hello);
        self.send(command.as_bytes(), Awaited::Ehlo);
    }

    fn send_mail(&mut self) {
        let mut command = Vec::new();
        if let Some(request) = &self.request {
            request.write_mail(&self.extensions, &mut command);
        }
        self.send(&command, Awaited::Mail);
    }

    fn send_rcpt(&mut self, number: usize) {
        let mut command = Vec::new();
        if let Some(recipient) = self.request.as_ref().and_then(|request| request.recipients.get(number)) {
            recipient.write_rcpt(&self.extensions, &mut command);
        }
        self.send(&command, Awaited::Rcpt(number));
    }

    fn await_end(&mut self) {
        if self.config.lmtp {
            // RFC 2033 §4.2: a reply for each recipient that RCPT accepted, in order.
            let accepted = self.refused.iter().enumerate().filter(|(_, refused)| refused.is_none());
            self.awaited.extend(accepted.map(|(number, _)| Awaited::End(Some(number))));
        } else {
            self.awaited.push_back(Awaited::End(None));
        }
    }

    /// A reply that nothing asked for: servers that close say why before they are asked.
    fn unasked(&mut self, reply: PeerReply) -> ClientError {
        self.state = State::Closed;
        match reply.code {
            421 => ClientError::Closing(reply),
            _ => ClientError::Reply(ReplyError::Malformed),
        }
    }

    fn answered(&mut self, awaited: Awaited, reply: PeerReply) -> Result<Option<Outcome>, ClientError> {
        match awaited {
            Awaited::Greeting if reply.is_success() => self.introduce(),
            Awaited::Ehlo if reply.is_success() => {
                self.extensions = Extensions::of(&reply);
                self.introduced()?;
            }
            // RFC 5321 §3.2: a server that knows no EHLO.
            Awaited::Ehlo if reply.is_permanent() && !self.config.lmtp && !self.tls_required() => {
                let command = format!("HELO {}\r\n", self.config.hello);
                self.send(command.as_bytes(), Awaited::Helo);
            }
            Awaited::Helo if reply.is_success() => {
                self.extensions = Extensions::default();
                self.state = State::Ready;
            }
            Awaited::StartTls if reply.is_success() => self.state = State::Handshake,
            Awaited::StartTls if !self.tls_required() => self.state = State::Ready,
            Awaited::Greeting | Awaited::Ehlo | Awaited::Helo | Awaited::StartTls => {
                return Err(ClientError::Refused(reply));
            }
            Awaited::Rset if self.extensions.pipelining => {}
            Awaited::Rset => self.send_mail(),
            Awaited::Mail => return Ok(self.mail_answered(reply)),
            Awaited::Rcpt(number) => return Ok(self.rcpt_answered(number, reply)),
            Awaited::Data => return Ok(self.data_answered(reply)),
            Awaited::End(number) => return Ok(self.end_answered(number, reply)),
            Awaited::Quit => self.state = State::Closed,
        }
        Ok(None)
    }

    fn tls_required(&self) -> bool {
        self.config.tls == TlsUse::Required && !self.tls
    }

    fn introduced(&mut self) -> Result<(), ClientError> {
        if self.tls || self.config.tls == TlsUse::Never {
            self.state = State::Ready;
        } else if self.extensions.starttls {
            self.send(b"STARTTLS\r\n", Awaited::StartTls);
        } else if self.config.tls == TlsUse::Required {
            return Err(ClientError::NoTls);
        } else {
            self.state = State::Ready;
        }
        Ok(())
    }

    fn mail_answered(&mut self, reply: PeerReply) -> Option<Outcome> {
        if reply.is_success() {
            if !self.extensions.pipelining {
                self.send_rcpt(0);
            }
            return None;
        }
        self.refuse_rest(&reply);
        self.finish_if_nothing_awaited()
    }

    fn rcpt_answered(&mut self, number: usize, reply: PeerReply) -> Option<Outcome> {
        if !reply.is_success() && self.refused[number].is_none() {
            self.refused[number] = Some(reply);
        }
        if self.extensions.pipelining {
            return None;
        }
        if number + 1 < self.refused.len() {
            self.send_rcpt(number + 1);
        } else if self.has_recipients() {
            self.send(b"DATA\r\n", Awaited::Data);
        }
        self.finish_if_nothing_awaited()
    }

    fn data_answered(&mut self, reply: PeerReply) -> Option<Outcome> {
        match (reply.is_intermediate(), self.has_recipients()) {
            (true, true) => self.state = State::Body,
            // RFC 2920 §3.1: DATA was sent along, and the server wants text for nobody.
            (true, false) => {
                self.output.extend_from_slice(b".\r\n");
                self.awaited.push_back(Awaited::End(None));
            }
            (false, _) => self.refuse_rest(&reply),
        }
        if self.state == State::Body { None } else { self.finish_if_nothing_awaited() }
    }

    fn end_answered(&mut self, number: Option<usize>, reply: PeerReply) -> Option<Outcome> {
        let numbers = number.map_or(0..self.refused.len(), |number| number..number + 1);
        for number in numbers {
            if self.refused[number].is_none() {
                match reply.is_success() {
                    true => self.accepted[number] = Some(reply.clone()),
                    false => self.refused[number] = Some(reply.clone()),
                }
            }
        }
        self.finish_if_nothing_awaited()
    }

    fn has_recipients(&self) -> bool {
        self.refused.iter().any(Option::is_none)
    }

    fn refuse_rest(&mut self, reply: &PeerReply) {
        for refused in &mut self.refused {
            refused.get_or_insert_with(|| reply.clone());
        }
    }

    fn finish_if_nothing_awaited(&mut self) -> Option<Outcome> {
        if !self.awaited.is_empty() {
            return None;
        }
        self.request = None;
        self.state = State::Ready;
        let accepted = std::mem::take(&mut self.accepted);
        let outcomes = std::mem::take(&mut self.refused).into_iter().zip(accepted);
        let recipients = outcomes.filter_map(|(refused, accepted)| match (refused, accepted) {
            (Some(reply), _) => Some(RecipientOutcome::Refused(reply)),
            (None, accepted) => accepted.map(RecipientOutcome::Accepted),
        });
        Some(Outcome { recipients: recipients.collect() })
    }
}
